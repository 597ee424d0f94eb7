//! A device management with an API and published keys, for the plug-ins `rules`, `managed-renewal` and
//! `signed-challenge`.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_stubs::{DeviceApi, TokenSigner};
use serde_json::{Value, json};

/// Answer `GET /devices/<id>` and `GET /jwks.json`, and print a token for each device.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs device-api --certificate tls.pem --private-key tls.key \\\n      --device '17={\"state\":\"managed\",\"names\":[\"CN=device-17\"]}'\n\nThe ids `stub:401`, `stub:429`, `stub:500`, `stub:slow`, `stub:truncated` and `stub:html` are\nanswered so."
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: crate::Tls,
    /// The profile that tokens are for.
    #[arg(long, default_value = "laptops")]
    profile: String,
    /// A device: `ID=RECORD`, the record in JSON; its member `names` goes into the token. May be
    /// repeated.
    #[arg(long)]
    device: Vec<String>,
    /// Answer about devices only to whoever brings this bearer token.
    #[arg(long)]
    bearer: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let signer = TokenSigner::es256("1");
    let mut api = DeviceApi::new().key(signer.jwk());
    if let Some(token) = &arguments.bearer {
        api = api.bearer(token);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    for device in &arguments.device {
        let (id, record) = device.split_once('=').expect("ID=RECORD");
        let record: Value = serde_json::from_str(record).expect("a record in JSON");
        let claims = json!({
            "iss": "stub", "aud": arguments.profile, "iat": now, "exp": now + 3600,
            "jti": format!("{id}-{now}"), "sub": id, "names": record.get("names"),
        });
        println!("token of device {id}: {}", signer.token(&claims));
        api = api.device(id, record);
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let server = api.listen(listener, &arguments.tls.identity());
    println!("answering at https://{}/devices/<id>", server.server().address());
    crate::print(|| server.asked().iter().map(|id| format!("asked about {id}")).collect()).await;
}
