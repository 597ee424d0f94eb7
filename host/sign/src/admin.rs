//! What people may ask through the admin socket: to look, to have a checkpoint written, and, two of
//! them, to reset the revocation fuse. Nothing that is signed and no limit can be changed from here.

use countersign_config::Mode;
use countersign_ipc::{AdminReply, AdminRequest, EnrolmentId, Peer};
use countersign_ledger as ledger;
use serde_json::json;

use crate::process::Process;

/// Entries in one answer.
const MOST_ENTRIES: u32 = 1000;

/// Octets of ledger bodies in one answer: a frame holds one mebibyte.
const MOST_OCTETS: usize = 512 * 1024;

impl Process {
    /// Answers one question.
    pub(crate) async fn answer_admin(&self, peer: Peer, request: AdminRequest) -> AdminReply {
        let answer = match request {
            AdminRequest::Status => self.status().await.map(AdminReply::Facts),
            AdminRequest::Metrics => self.metrics_text().await.map(AdminReply::Text),
            AdminRequest::Ledger { from, limit, enrolment } => {
                self.ledger_entries(from, limit, enrolment).await.map(AdminReply::Facts)
            }
            AdminRequest::Checkpoint => self.checkpoint_for(peer).await,
            AdminRequest::Requests { .. } | AdminRequest::Request { .. } => Err(ask("serve")),
            AdminRequest::FuseStatus => self.revocation_fuse().await.map(AdminReply::Facts),
            AdminRequest::FuseReset { let_through, person } => self
                .reset_revocation_fuse(peer, let_through, person.as_deref())
                .await
                .map(AdminReply::Facts),
            AdminRequest::OrderKey => self.order_key_pem().map(AdminReply::Text),
            AdminRequest::IssueChallenge { .. }
            | AdminRequest::Plugins
            | AdminRequest::Tombstones
            | AdminRequest::LiftTombstone { .. }
            | AdminRequest::DeadLetters
            | AdminRequest::Resend { .. }
            | AdminRequest::Orders
            | AdminRequest::Orphans
            | AdminRequest::Revoke { .. }
            | AdminRequest::WithdrawOrders { .. } => Err(ask("verify")),
        };
        answer.unwrap_or_else(|message| AdminReply::Refused { message })
    }

    async fn status(&self) -> Result<serde_json::Value, String> {
        let detail = self.why_not_ready().await;
        let certificate = self.countersigner.key().certificate();
        let size = self.ledger.size().await.map_err(|error| error.to_string())?;
        let unsettled = self.book.count_unsettled().await.map_err(|error| error.to_string())?;
        Ok(json!({
            "process": "sign",
            "version": env!("CARGO_PKG_VERSION"),
            "ready": detail.is_empty(),
            "detail": detail,
            "findings": self.readiness.findings(),
            "lab": self.mode == Mode::Lab,
            "ledger": {
                "size": size,
                "head": self.ledger_head(size).await?,
                "last-checkpoint": self.ledger.last_checkpoint(),
            },
            "fuse": self.fuse.fill(),
            "revocation-fuse": self.revocation_fuse().await?,
            "unsettled": unsettled,
            "ea": {
                "subject": certificate.subject(),
                "certificate-sha256": hex::encode(self.countersigner.certificate_sha256()),
                "not-after": seconds(certificate.not_after()),
                "token": self.countersigner.key().pool().token().description().label,
            },
        }))
    }

    async fn ledger_head(&self, size: u64) -> Result<Option<ledger::Digest>, String> {
        let Some(from) = size.checked_sub(1) else { return Ok(None) };
        let filter = ledger::Filter { from, limit: 1, ..ledger::Filter::default() };
        let entries = self.ledger.entries(filter).await.map_err(|error| error.to_string())?;
        Ok(entries.first().map(|entry| entry.hash))
    }

    async fn ledger_entries(
        &self,
        from: u64,
        limit: u32,
        enrolment: Option<EnrolmentId>,
    ) -> Result<serde_json::Value, String> {
        let filter = ledger::Filter {
            from,
            limit: limit.min(MOST_ENTRIES),
            enrolment: enrolment.map(|enrolment| enrolment.0.into()),
            ..ledger::Filter::default()
        };
        let mut entries = self.ledger.entries(filter).await.map_err(|error| error.to_string())?;
        let mut octets = 0;
        let fit = entries.iter().take_while(|entry| {
            octets += entry.body.len() + 512;
            octets <= MOST_OCTETS
        });
        // At least one, or whoever pages on would never get past a large one.
        let fit = fit.count().max(1);
        entries.truncate(fit);
        let size = self.ledger.size().await.map_err(|error| error.to_string())?;
        Ok(json!({ "size": size, "entries": entries }))
    }

    /// A checkpoint is an act: it stands in the ledger, under the checkpoint.
    async fn checkpoint_for(&self, peer: Peer) -> Result<AdminReply, String> {
        let act = ledger::Event::Admin(ledger::Admin {
            who: format!("uid {}", peer.uid).into(),
            act: "checkpoint".into(),
            detail: "asked for a checkpoint".into(),
        });
        self.record(vec![act]).await.map_err(|error| {
            self.notice(&error);
            error.to_string()
        })?;
        let checkpoint = self.checkpoint().await.map_err(|error| error.to_string())?;
        serde_json::to_value(checkpoint).map(AdminReply::Facts).map_err(|error| error.to_string())
    }
}

fn ask(process: &str) -> String {
    format!("`sign` does not know this; ask `{process}`, on its own admin socket")
}

fn seconds(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
