//! A receiver for the plug-in `webhook`, to try it by hand: allows the challenges that it is told.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a tool for people at a terminal, never part of a product"
)]

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use clap::Parser;
use countersign_stubs::{Identity, Receiver};

/// Receive webhooks and allow the challenges given here.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  webhook-receiver --id hook-1 --key-file webhook.key \\\n      --certificate tls.pem --private-key tls.key \\\n      --allow OPEN=17,CN=device-17,DNS:device-17.example"
)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The webhook's id.
    #[arg(long)]
    id: String,
    /// A file with the shared key in base64.
    #[arg(long)]
    key_file: PathBuf,
    /// The TLS certificate, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// Its private key, PEM.
    #[arg(long)]
    private_key: PathBuf,
    /// A challenge, the device's id, and its names: `CHALLENGE=ID,NAME,NAME`. May be repeated.
    #[arg(long)]
    allow: Vec<String>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let key = std::fs::read_to_string(&arguments.key_file).expect("the key file is read");
    let key =
        base64::engine::general_purpose::STANDARD.decode(key.trim()).expect("the key is base64");
    let identity = Identity::read(&arguments.certificate, &arguments.private_key);
    let mut receiver = Receiver::new(&arguments.id, key);
    for allowed in &arguments.allow {
        let (challenge, device) = allowed.split_once('=').expect("CHALLENGE=ID,NAME,…");
        let mut parts = device.split(',');
        let id = parts.next().expect("the device's id");
        receiver = receiver.allow(challenge, id, &parts.collect::<Vec<_>>());
    }
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.expect("the address");
    let receiver = receiver.listen(listener, &identity);
    println!("receiving at https://{}/", receiver.server().address());
    let mut shown = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let bodies = receiver.bodies();
        for body in bodies.iter().skip(shown) {
            println!("{body}");
        }
        shown = bodies.len();
    }
}
