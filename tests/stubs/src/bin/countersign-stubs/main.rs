//! The stubs, to try a plug-in by hand: each one a sub-command, a file each.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a tool for people at a terminal, never part of a product"
)]

mod device_api;
mod fleet;
mod intune;
mod jamf_pro;
mod kandji;
mod webhook;
mod workspace_one;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use countersign_stubs::Identity;

/// Stand in for a device management on this machine.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  countersign-stubs intune --certificate tls.pem --private-key tls.key \\\n      \
                  --secret-file client.secret --give OPEN-17=device-17"
)]
struct Arguments {
    #[command(subcommand)]
    stub: Stub,
}

#[derive(Subcommand)]
enum Stub {
    DeviceApi(device_api::Arguments),
    Fleet(fleet::Arguments),
    Intune(intune::Arguments),
    JamfPro(jamf_pro::Arguments),
    Kandji(kandji::Arguments),
    Webhook(webhook::Arguments),
    WorkspaceOne(workspace_one::Arguments),
}

/// Who the stub is over TLS; whoever speaks to it must trust the certificate.
#[derive(Args)]
struct Tls {
    /// The TLS certificate, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// Its private key, PEM.
    #[arg(long)]
    private_key: PathBuf,
}

impl Tls {
    fn identity(&self) -> Identity {
        Identity::read(&self.certificate, &self.private_key)
    }
}

#[tokio::main]
async fn main() {
    match Arguments::parse().stub {
        Stub::DeviceApi(arguments) => device_api::run(arguments).await,
        Stub::Fleet(arguments) => fleet::run(arguments).await,
        Stub::Intune(arguments) => intune::run(arguments).await,
        Stub::JamfPro(arguments) => jamf_pro::run(arguments).await,
        Stub::Kandji(arguments) => kandji::run(arguments).await,
        Stub::Webhook(arguments) => webhook::run(arguments).await,
        Stub::WorkspaceOne(arguments) => workspace_one::run(arguments).await,
    }
}

/// Prints what is new, for ever.
async fn print(mut lines: impl FnMut() -> Vec<String>) {
    let mut shown = 0;
    loop {
        let lines = lines();
        for line in lines.iter().skip(shown) {
            println!("{line}");
        }
        shown = lines.len();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
