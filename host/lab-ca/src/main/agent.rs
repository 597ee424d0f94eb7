//! `countersign-lab-ca revoke-agent`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use countersign_lab_ca::{Agent, LabCa, LabCaError, OrderKey};

/// What the agent is told.
#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign-lab-ca revoke-agent --directory lab --address 127.0.0.1:8446 --roots lab/ca.pem --certificate agent.pem --key agent.key --order-key order.pub --authority lab --every 10"
)]
pub(crate) struct Arguments {
    /// The CA's directory.
    #[arg(long)]
    directory: PathBuf,
    /// Host and port of [verify.revoker].
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Roots that its certificate must chain to (PEM).
    #[arg(long)]
    roots: PathBuf,
    /// The agent's certificate and its chain (PEM).
    #[arg(long)]
    certificate: PathBuf,
    /// Its private key (PEM).
    #[arg(long)]
    key: PathBuf,
    /// The public key that orders must be signed with (PEM), from `countersign revoker key`.
    #[arg(long)]
    order_key: PathBuf,
    /// The authority's name in the config of the registration authority.
    #[arg(long)]
    authority: String,
    /// Write the revocation list (DER) here after a run that revoked something.
    #[arg(long)]
    publish: Option<PathBuf>,
    /// Seconds between two runs; without it there is one run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: Option<u64>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), LabCaError> {
    let path = &arguments.order_key;
    let pem = std::fs::read_to_string(path).map_err(super::file(path))?;
    let agent = Agent {
        address: arguments.address,
        roots: arguments.roots,
        certificate: arguments.certificate,
        key: arguments.key,
        order_key: OrderKey::from_pem(&pem)?,
        authority: arguments.authority,
        publish: arguments.publish,
    };
    let ca = LabCa::open(&arguments.directory)?;
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| LabCaError::Server(error.to_string()))?;
    runtime.block_on(async {
        loop {
            match (agent.run(&ca).await, arguments.every) {
                (Ok(report), _) => super::print(&format!(
                    "carried out {}, nothing to do {}, failed {}, came again {}, refused {}\n",
                    report.carried_out,
                    report.nothing_to_do,
                    report.failed,
                    report.replayed,
                    report.refused
                ))?,
                (Err(error), None) => return Err(error),
                (Err(error), Some(_)) => {
                    tracing::error!(%error, "a run failed; the next one tries again")
                }
            }
            let Some(seconds) = arguments.every else { return Ok(()) };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
                stopped = super::until_told_to_stop() => {
                    return stopped.map_err(|error| LabCaError::Server(error.to_string()));
                }
            }
        }
    })
}
