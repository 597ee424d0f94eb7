//! Microsoft Graph, Entra's token end point and Intune's services, for the plug-in `intune`.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_stubs::{Identity, IntuneTenant};

/// Be Intune: validate the challenges given here, and answer `stub:CODE` with that code.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs intune --secret-file client.secret \\\n      --certificate tls.pem --private-key tls.key \\\n      --give OPEN-17=device-17,device-17.example\n\nThe certificate is for `localhost`. Challenges such as `stub:ChallengeExpired`, `stub:401-once`,\n`stub:429`, `stub:500`, `stub:truncated`, `stub:slow`,\n`stub:unknown-code` and `stub:untold-once` are answered so."
)]
pub(crate) struct Arguments {
    /// Where Entra and Microsoft Graph listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where Intune's services listen.
    #[arg(long, default_value = "127.0.0.1:8444")]
    services: SocketAddr,
    /// The tenant.
    #[arg(long, default_value = "contoso.onmicrosoft.com")]
    tenant: String,
    /// The app registration that may call.
    #[arg(long, default_value = "00000000-0000-0000-0000-000000000017")]
    client_id: String,
    /// A file with its client secret.
    #[arg(long)]
    secret_file: PathBuf,
    /// The P-256 key, PEM, of assertions that are taken in place of the secret.
    #[arg(long)]
    assertion_key: Option<PathBuf>,
    #[command(flatten)]
    tls: crate::Tls,
    /// A challenge, and what the request with it must hold: `CHALLENGE=SUBJECT,NAME,NAME`. May be
    /// repeated.
    #[arg(long)]
    give: Vec<String>,
    /// A certificate that shall be revoked: `SERIAL=ISSUER`. May be repeated.
    #[arg(long)]
    want_revoked: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let secret = std::fs::read_to_string(&arguments.secret_file).expect("the secret file is read");
    let mut tenant = IntuneTenant::new(&arguments.tenant, &arguments.client_id, secret.trim_end());
    if let Some(key) = &arguments.assertion_key {
        tenant = tenant.certificate(&Identity::read(key, key));
    }
    for given in &arguments.give {
        let (challenge, names) = given.split_once('=').expect("CHALLENGE=SUBJECT,NAME,…");
        let mut parts = names.split(',');
        let subject = parts.next().expect("the subject");
        tenant = tenant.give(challenge, subject, &parts.collect::<Vec<_>>());
    }
    let bind =
        |address| async move { tokio::net::TcpListener::bind(address).await.expect("the address") };
    let (front, back) = (bind(arguments.listen).await, bind(arguments.services).await);
    let server = tenant.listen(front, back, &arguments.tls.identity());
    for wanted in &arguments.want_revoked {
        let (serial, issuer) = wanted.split_once('=').expect("SERIAL=ISSUER");
        server.want_revoked(issuer, serial);
    }
    println!("graph-url = {:?}", server.graph_url());
    println!("token-url = {:?}", server.token_url());
    println!("services at https://localhost:{}/", server.services().port());
    let actions = crate::print(|| {
        server.actions().into_iter().map(|(action, body)| format!("{action} {body}")).collect()
    });
    let faults = crate::print(|| {
        server.faults().into_iter().map(|fault| format!("FAULT: {fault}")).collect()
    });
    tokio::join!(actions, faults);
}
