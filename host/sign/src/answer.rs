//! What `serve` and `verify` may ask, and who of them what. Each message has its line here;
//! there is no other.

use countersign_ipc::{DenialRecord, OutcomeRecord, Peer, Role, SignReply, SignRequest};
use countersign_ledger::{self as ledger, Station};

use crate::book::{BookError, Taken};
use crate::process::Process;
use crate::readiness::Trouble;
use crate::refusal::{About, Refused};

/// Detail and names of a denial are cut by the ledger; what is longer than this is not read.
const MAX_NAMES: usize = 256;

impl Process {
    /// Answers one message.
    pub(crate) async fn answer(&self, peer: Peer, request: SignRequest) -> SignReply {
        if !may_ask(peer.role, &request) {
            return self.out_of_role(peer.role, &request).await;
        }
        match request {
            SignRequest::Countersign { sealed, csr } => self.countersign(&sealed, &csr.0).await,
            SignRequest::Outcome(record) => match self.outcomes(vec![record]).await.pop() {
                Some(reply) => reply,
                None => self.refused(Refused::new("outcome-missing", "no answer for an outcome")),
            },
            SignRequest::Outcomes(records) => SignReply::Each(self.outcomes(records).await),
            SignRequest::Denied(record) => self.denied(peer.role, record).await,
            SignRequest::Order(order) => {
                let taken = self.book.order(order).await;
                if let Ok(Ok(Taken::Now)) = taken {
                    self.metrics.ordered();
                }
                self.done(taken)
            }
            SignRequest::SignOrder(order) => self.sign_order(order).await,
            SignRequest::OrderEnded(ended) => self.order_ended(ended).await,
            SignRequest::OrdersWithdrawn { people, detail } => {
                self.orders_withdrawn(&people, &detail).await
            }
            SignRequest::Unsettled => match self.book.unsettled().await {
                Ok(unsettled) => SignReply::Unsettled(unsettled),
                Err(error) => self.unavailable(&error.into()),
            },
            SignRequest::Health => self.health().await,
        }
    }

    async fn outcomes(&self, records: Vec<OutcomeRecord>) -> Vec<SignReply> {
        match self.book.settle(records.clone()).await {
            Ok(taken) => records
                .into_iter()
                .zip(taken)
                .map(|(record, taken)| {
                    if let Ok(Taken::Now) = taken {
                        self.metrics.outcome(record.outcome);
                    }
                    self.done(Ok(taken))
                })
                .collect(),
            // One that cannot be written must not hold up the others.
            Err(_) if records.len() > 1 => {
                let mut replies = Vec::with_capacity(records.len());
                for record in records {
                    replies.extend(Box::pin(self.outcomes(vec![record])).await);
                }
                replies
            }
            Err(error) => vec![self.unavailable(&error)],
        }
    }

    async fn denied(&self, role: Role, record: DenialRecord) -> SignReply {
        let by = match (role, record.station.as_str()) {
            (Role::Serve, "admit") => Station::Admit,
            (Role::Verify, "verify") => Station::Verify,
            _ => return self.refused(Refused::new("station-differs", "not the station's process")),
        };
        let csr_sha256 = match record.csr_sha256.map(|octets| <[u8; 32]>::try_from(octets.0)) {
            None => None,
            Some(Ok(sha256)) => Some(sha256.into()),
            Some(Err(_)) => {
                return self.refused(Refused::new("csr-malformed", "expected 32 octets"));
            }
        };
        self.metrics.denied();
        if !self.denials.admit(by, &record.profile, &record.source, self.clock.now()) {
            return SignReply::Done;
        }
        let entry = ledger::Event::Denied(ledger::Denial {
            by,
            profile: record.profile.into(),
            code: record.code.into(),
            detail: record.detail.into(),
            csr_sha256,
            names: record.names.iter().take(MAX_NAMES).map(Into::into).collect(),
            source: record.source.into(),
        });
        match self.record(vec![entry]).await {
            Ok(()) => SignReply::Done,
            Err(error) => self.unavailable(&error),
        }
    }

    async fn health(&self) -> SignReply {
        let detail = self.why_not_ready().await;
        SignReply::Healthy { ready: detail.is_empty(), detail }
    }

    /// Everything that keeps the process from signing now. Token and database are asked anew:
    /// nobody sends requests to a process that is not ready, so no request would show that they
    /// are well again.
    pub(crate) async fn why_not_ready(&self) -> Vec<String> {
        match self.countersigner.token_health().await {
            Ok(()) => self.readiness.clear(Trouble::Token),
            Err(error) => self.readiness.set(Trouble::Token, error.to_string()),
        }
        self.look().await;
        let mut detail = self.readiness.details();
        detail.extend(self.countersigner.certificate_trouble());
        detail.extend(self.fuse.fill().iter().filter(|fill| fill.is_full()).map(|fill| {
            format!(
                "fuse: {} signatures in the last {}, {} are allowed",
                fill.used, fill.window, fill.limit
            )
        }));
        detail
    }

    fn done(&self, taken: Result<Result<Taken, Refused>, BookError>) -> SignReply {
        match taken {
            Ok(Ok(Taken::Now | Taken::Before)) => SignReply::Done,
            Ok(Err(refused)) => self.refused(refused),
            Err(error) => self.unavailable(&error),
        }
    }

    fn refused(&self, refused: Refused) -> SignReply {
        tracing::warn!(code = refused.code, detail = refused.detail, "a message was not taken");
        self.metrics.refused(refused.code);
        SignReply::Refused { code: refused.code.to_owned() }
    }

    fn unavailable(&self, error: &BookError) -> SignReply {
        self.notice(error);
        self.metrics.unavailable();
        SignReply::Unavailable { retry_after: 5, detail: error.to_string() }
    }

    /// A peer asks what its role never asks: the process behind it is not the one we know.
    async fn out_of_role(&self, role: Role, request: &SignRequest) -> SignReply {
        let refused = Refused::new("not-your-role", format!("role {role} does not ask this"));
        self.metrics.refused(refused.code);
        tracing::error!(%role, "a peer asked for what its role never asks");
        let source = role.to_string();
        if self.denials.admit(Station::Sign, "", &source, self.clock.now()) {
            let entry = match request {
                SignRequest::Countersign { sealed, csr } => {
                    About::unproven(sealed, &csr.0).entry(&refused)
                }
                _ => ledger::Event::Denied(ledger::Denial {
                    by: Station::Sign,
                    profile: "".into(),
                    code: refused.code.into(),
                    detail: refused.detail.as_str().into(),
                    csr_sha256: None,
                    names: Vec::new(),
                    source: source.into(),
                }),
            };
            if let Err(error) = self.record(vec![entry]).await {
                return self.unavailable(&error);
            }
        }
        SignReply::Refused { code: refused.code.to_owned() }
    }
}

/// Only `serve` has signatures made and tells their outcomes; only `verify` has orders signed and tells
/// their ends.
fn may_ask(role: Role, request: &SignRequest) -> bool {
    match (role, request) {
        (
            Role::Serve,
            SignRequest::Countersign { .. }
            | SignRequest::Outcome(_)
            | SignRequest::Outcomes(_)
            | SignRequest::Denied(_)
            | SignRequest::Order(_)
            | SignRequest::Unsettled
            | SignRequest::Health,
        )
        | (
            Role::Verify,
            SignRequest::Denied(_)
            | SignRequest::Order(_)
            | SignRequest::SignOrder(_)
            | SignRequest::OrderEnded(_)
            | SignRequest::OrdersWithdrawn { .. }
            | SignRequest::Health,
        ) => true,
        (
            Role::Serve,
            SignRequest::SignOrder(_)
            | SignRequest::OrderEnded(_)
            | SignRequest::OrdersWithdrawn { .. },
        )
        | (
            Role::Verify,
            SignRequest::Countersign { .. }
            | SignRequest::Outcome(_)
            | SignRequest::Outcomes(_)
            | SignRequest::Unsettled,
        )
        | (Role::Sign | Role::Admin, _) => false,
    }
}
