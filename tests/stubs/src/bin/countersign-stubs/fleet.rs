//! Fleet, for the plug-in `fleet`: its hosts, and its question for a challenge.

use std::net::SocketAddr;
use std::path::PathBuf;

use countersign_stubs::{Client, Fleet, FleetHost};

/// Be Fleet: answer about the hosts given here, and fetch a challenge for one of them.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  countersign-stubs fleet --token-file fleet.token \\\n      --certificate tls.pem --private-key tls.key --host 52=C02XK1 \\\n      --ask 192.0.2.7:8443/challenge/macs --user fleet --password-file fleet.password \\\n      --roots ca.pem --for C02XK1\n\nHosts whose serial numbers begin with DENIED, BUSY, ERROR, BROKEN, HTML or SLOW are answered so."
)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: crate::Tls,
    /// A file with the API-only user's token.
    #[arg(long)]
    token_file: PathBuf,
    /// A managed Mac: `NUMBER=SERIAL-NUMBER`. May be repeated.
    #[arg(long)]
    host: Vec<String>,
    /// Where a challenge is asked for: `HOST:PORT/challenge/PROFILE`.
    #[arg(long, requires_all = ["user", "password_file", "roots"])]
    ask: Option<String>,
    /// The user that asks.
    #[arg(long)]
    user: Option<String>,
    /// A file with its password.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// What the listener's certificate must be below, PEM.
    #[arg(long)]
    roots: Option<PathBuf>,
    /// The host that the question names, by its serial number; none if left out.
    #[arg(long = "for")]
    target: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) {
    let token = std::fs::read_to_string(&arguments.token_file).expect("the token file is read");
    let mut fleet = Fleet::new(token.trim_end());
    let mut hosts = Vec::new();
    for text in &arguments.host {
        let (number, serial) = text.split_once('=').expect("NUMBER=SERIAL-NUMBER");
        let host = FleetHost::new(number.parse().expect("a number"), serial);
        println!("host {serial}: /scep/PROFILE/{}", host.identifier("CA"));
        fleet = fleet.host(host.clone());
        hosts.push(host);
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let server = fleet.listen(listener, &arguments.tls.identity());
    println!("answering at https://{}/api/v1/fleet/", server.server().address());
    if let (Some(ask), Some(user), Some(password), Some(roots)) =
        (&arguments.ask, &arguments.user, &arguments.password_file, &arguments.roots)
    {
        let (authority, path) = ask.split_once('/').expect("HOST:PORT/challenge/PROFILE");
        let password = std::fs::read_to_string(password).expect("the password file is read");
        let roots = std::fs::read(roots).expect("the roots are read");
        let client = Client::new(authority, &roots).basic(user, password.trim_end());
        let is_target =
            |host: &&FleetHost| Some(&host.hardware_serial) == arguments.target.as_ref();
        let target = hosts.iter().find(is_target);
        let answer = server.fetch_challenge(&client, &format!("/{path}"), target).await;
        println!("{} {}", answer.status, answer.text());
    }
    let asked = crate::print(|| {
        let received = server.server().received();
        received.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    });
    let refused = crate::print(|| {
        server.refused().into_iter().map(|why| format!("REFUSED: {why}")).collect()
    });
    tokio::join!(asked, refused);
}
