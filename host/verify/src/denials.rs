//! Denials on their way to the ledger, which `sign` keeps. Not durable on the way: strangers
//! provoke them, and `sign` caps them.

use std::time::Duration;

use countersign_ipc::{Client, DenialRecord, SignReply, SignRequest};
use tokio::sync::mpsc;

const WAITING: usize = 1024;
const ASK: Duration = Duration::from_secs(10);

/// Where denials are put.
#[derive(Debug, Clone)]
pub(crate) struct Denials {
    sender: mpsc::Sender<DenialRecord>,
}

impl Denials {
    /// Spawns the task that carries them.
    pub(crate) fn to(sign: Client<SignRequest, SignReply>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<DenialRecord>(WAITING);
        tokio::spawn(async move {
            while let Some(denial) = receiver.recv().await {
                match sign.call(&SignRequest::Denied(denial), ASK).await {
                    Ok(SignReply::Done) => {}
                    Ok(other) => tracing::warn!(?other, "a denial did not reach the ledger"),
                    Err(error) => tracing::warn!(%error, "a denial did not reach the ledger"),
                }
            }
        });
        Self { sender }
    }

    pub(crate) fn report(&self, denial: DenialRecord) {
        tracing::info!(station = "verify", profile = denial.profile, code = denial.code,
            detail = denial.detail, names = ?denial.names, source = denial.source, "denied");
        if self.sender.try_send(denial).is_err() {
            tracing::warn!("a denial did not fit into the queue to the ledger");
        }
    }
}
