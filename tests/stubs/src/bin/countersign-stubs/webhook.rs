//! A receiver for the plug-in `webhook`: allows the challenges that it is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use countersign_stubs::Receiver;

/// Receive webhooks and allow the challenges given here.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs webhook --id hook-1 --key-file webhook.key \\\n      --certificate tls.pem --private-key tls.key \\\n      --allow OPEN=17,CN=device-17,DNS:device-17.example"
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The webhook's id.
    #[arg(long)]
    id: String,
    /// A file with the shared key in base64.
    #[arg(long)]
    key_file: PathBuf,
    #[command(flatten)]
    tls: crate::Tls,
    /// A challenge, the device's id, and its names: `CHALLENGE=ID,NAME,NAME`. May be repeated.
    #[arg(long)]
    allow: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let key = std::fs::read_to_string(&arguments.key_file).expect("the key file is read");
    let key =
        base64::engine::general_purpose::STANDARD.decode(key.trim()).expect("the key is base64");
    let mut receiver = Receiver::new(&arguments.id, key);
    for allowed in &arguments.allow {
        let (challenge, device) = allowed.split_once('=').expect("CHALLENGE=ID,NAME,…");
        let mut parts = device.split(',');
        let id = parts.next().expect("the device's id");
        receiver = receiver.allow(challenge, id, &parts.collect::<Vec<_>>());
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let receiver = receiver.listen(listener, &arguments.tls.identity());
    println!("receiving at https://{}/", receiver.server().address());
    crate::print(|| receiver.bodies().iter().map(ToString::to_string).collect()).await;
}
