//! The parts of the running process, and the way of one signature through them.

use countersign_config::Mode;
use countersign_fail_points::{Point, reached};
use countersign_ipc::{SealedApproval, SignReply};
use countersign_keys::TokenError;
use countersign_ledger::{self as ledger, Ledger, LedgerError, Station};
use countersign_profile::Csr;

use crate::book::{Book, BookError, Durable, Standing};
use crate::clock::Clock;
use crate::countersign::{Countersigner, NotSigned};
use crate::denials::Denials;
use crate::fuse::{Blown, Fuse};
use crate::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::order::Orders;
use crate::readiness::{Readiness, Trouble};
use crate::recheck::Rules;
use crate::reconcile::Reconciliation;
use crate::refusal::{About, Refused};
use crate::room::Room;
use crate::seal::Seals;

/// How the ledger names this process where it acts by itself.
const OURSELVES: &str = "countersign-sign";

/// How the counters name the one peer that brings seals.
const SERVE: &str = "serve";

/// Everything that answers.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) mode: Mode,
    pub(crate) clock: Clock,
    pub(crate) seals: Seals,
    pub(crate) rules: Rules,
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) countersigner: Countersigner,
    pub(crate) fuse: Fuse,
    pub(crate) orders: Orders,
    pub(crate) denials: Denials,
    pub(crate) in_flight: InFlight,
    pub(crate) readiness: Readiness,
    pub(crate) room: Room,
    pub(crate) reconciliation: Reconciliation,
    pub(crate) metrics: Metrics,
}

/// Why a seal and its request got no signature.
enum Not {
    Refused(About, Refused),
    Now { retry_after: u32, detail: String },
}

/// Seconds after which trying again makes sense where nobody knows better.
const SOON: u32 = 5;
/// The same, where a person must act first.
const LATER: u32 = 60;

impl Process {
    /// Countersigns `csr` on the strength of `sealed`, or says why not. What was refused is in
    /// the ledger when this returns.
    pub(crate) async fn countersign(&self, sealed: &SealedApproval, csr: &[u8]) -> SignReply {
        match self.way_of_a_signature(sealed, csr).await {
            Ok(durable) => durable.into_reply(),
            Err(Not::Refused(about, refused)) => self.refuse(&about, refused).await,
            Err(Not::Now { retry_after, detail }) => {
                self.metrics.unavailable();
                SignReply::Unavailable { retry_after, detail }
            }
        }
    }

    /// Seal → hard limits → signature → disk. Each step takes what the one before it made.
    async fn way_of_a_signature(
        &self,
        sealed: &SealedApproval,
        csr: &[u8],
    ) -> Result<Durable, Not> {
        let about = About::unproven(sealed, csr);
        let proven = match self.seals.open(sealed) {
            Ok(proven) => proven,
            Err(refused) => return Err(Not::Refused(about, refused)),
        };
        let about = about.proven(&proven);
        let refuse = |refused| Not::Refused(about.clone(), refused);
        if csr.len() > Csr::MAX_OCTETS {
            return Err(refuse(Refused::new("csr-malformed", "more than 64 KiB")));
        }
        Rules::same_request(&proven, csr).map_err(refuse)?;

        let _turn = self.in_flight.hold(proven.approval().enrolment).await;
        let _will_write = self.book.store().announce();
        match self.book.standing(&proven).await {
            Ok(Standing::Stored(durable)) => {
                // The very octets, whatever became of the seal since: a second signature is what
                // must not be.
                self.metrics.replayed();
                return Ok(durable);
            }
            Ok(Standing::Refused(refused)) => return Err(refuse(refused)),
            Ok(Standing::Unsettled { attempt }) => {
                // Its outcome may be on its way, so this is for later; but it is in the ledger.
                let detail = format!("the outcome of attempt {attempt} is not recorded yet");
                self.refuse(&about, Refused::new("attempt-unsettled", detail.as_str())).await;
                return Err(Not::Now { retry_after: SOON, detail });
            }
            Ok(Standing::Fresh) => self.look_before_signing().await,
            Ok(Standing::ClockBackwards { last, now }) => {
                return Err(self.failed(LedgerError::ClockBackwards { last, now }.into()));
            }
            Err(error) => return Err(self.failed(error)),
        }
        if let Some(detail) = self.readiness.why_not_sign() {
            return Err(Not::Now { retry_after: LATER, detail });
        }
        let admissible = self.rules.recheck(proven, csr, self.clock.now()).map_err(refuse)?;
        Book::fits(&admissible).map_err(refuse)?;

        let place = match self.fuse.take() {
            Ok(place) => place,
            Err(blown) => return Err(self.blown(blown).await),
        };
        reached(Point::SignatureNext);
        self.reconciliation.begin();
        let signed = match self.countersigner.sign(admissible).await {
            Ok(signed) => signed,
            Err(error) => {
                match &error {
                    NotSigned::ReadBack(_) => self.threw_away(&error).await,
                    NotSigned::Certificate(_) | NotSigned::Token(_) => {
                        self.reconciliation.nothing_came();
                    }
                }
                return Err(self.not_signed(&error));
            }
        };
        reached(Point::SignatureMade);
        self.metrics.ea_signature();
        let durable = match self.book.keep(signed).await {
            Ok(durable) => durable,
            Err(error) => {
                self.threw_away(&error).await;
                return Err(self.failed(error));
            }
        };
        self.reconciliation.kept();
        place.keep();
        self.metrics.signed();
        self.readiness.clear(Trouble::Token);
        Ok(durable)
    }

    /// Writes a refusal into the ledger, within the cap, then tells it.
    async fn refuse(&self, about: &About, refused: Refused) -> SignReply {
        tracing::warn!(
            code = refused.code,
            detail = refused.detail,
            enrolment = about.proven.as_ref().map(|(enrolment, _)| enrolment.to_hex()),
            "refused to countersign"
        );
        self.metrics.refused(refused.code);
        let profile = about.proven.as_ref().map_or("", |(_, profile)| profile.as_str());
        if self.denials.admit(Station::Sign, profile, SERVE, self.clock.now())
            && let Err(error) = self.record(vec![about.entry(&refused)]).await
        {
            return match self.failed(error) {
                Not::Now { retry_after, detail } => SignReply::Unavailable { retry_after, detail },
                Not::Refused(_, refused) => SignReply::Refused { code: refused.code.to_owned() },
            };
        }
        SignReply::Refused { code: refused.code.to_owned() }
    }

    /// Appends entries, with whatever counted refusals wait to be written.
    pub(crate) async fn record(&self, mut events: Vec<ledger::Event>) -> Result<(), BookError> {
        let ended = self.denials.ended(self.clock.now());
        events.extend(ended.iter().cloned().map(ledger::Event::DeniedExcess));
        let untold = self.reconciliation.take_untold();
        if untold > 0 {
            let detail =
                format!("{untold} signatures were made, did not become durable, and left nowhere");
            events.push(self.note("ea-signature-thrown-away", detail));
        }
        if events.is_empty() {
            return Ok(());
        }
        self.book.record(events).await.inspect_err(|_| {
            self.denials.restore(ended);
            self.reconciliation.give_back_untold(untold);
        })
    }

    /// A signature was made that nobody will see; the ledger knows the EA key's every use.
    async fn threw_away(&self, why: &impl std::fmt::Display) {
        tracing::error!(%why, "a signature was thrown away");
        self.reconciliation.thrown_away();
        // What cannot be told now is told with the next entry.
        if let Err(error) = self.record(Vec::new()).await {
            tracing::error!(%error, "the ledger could not be told");
        }
    }

    /// An entry that this process makes by itself.
    pub(crate) fn note(&self, act: &str, detail: String) -> ledger::Event {
        ledger::Event::Admin(ledger::Admin {
            who: OURSELVES.into(),
            act: act.into(),
            detail: detail.into(),
        })
    }

    /// Tells the log and the ledger.
    pub(crate) async fn alarm(&self, act: &str, detail: &str) {
        tracing::error!(act, detail, "alarm");
        let event = self.note(act, detail.to_owned());
        if let Err(error) = self.book.record(vec![event]).await {
            self.notice(&error);
        }
    }

    async fn blown(&self, blown: Blown) -> Not {
        let detail = blown.to_string();
        self.metrics.fuse_blown();
        if blown.first {
            self.alarm("fuse-blown", &detail).await;
        }
        Not::Now { retry_after: blown.retry_after, detail }
    }

    fn not_signed(&self, error: &NotSigned) -> Not {
        let retry_after = match error {
            NotSigned::Token(TokenError::Busy | TokenError::Deadline) => SOON,
            NotSigned::Token(_) | NotSigned::Certificate(_) | NotSigned::ReadBack(_) => LATER,
        };
        self.readiness.set(Trouble::Token, error.to_string());
        Not::Now { retry_after, detail: error.to_string() }
    }

    /// Something did not become durable, so nothing leaves.
    fn failed(&self, error: BookError) -> Not {
        self.notice(&error);
        let retry_after = match &error {
            BookError::Overtaken => 1,
            BookError::Store(store) if store.is_transient() => SOON,
            BookError::Store(_)
            | BookError::Ledger(_)
            | BookError::Column(_)
            | BookError::OrderKey(_) => LATER,
        };
        Not::Now { retry_after, detail: error.to_string() }
    }

    /// Puts what an error means into the readiness.
    pub(crate) fn notice(&self, error: &BookError) {
        match error {
            BookError::Ledger(LedgerError::ClockBackwards { .. }) => {
                self.readiness.set(Trouble::Clock, error.to_string());
            }
            BookError::Ledger(LedgerError::Damaged { .. }) => {
                self.readiness.halt(&error.to_string());
            }
            BookError::Ledger(_) | BookError::Store(_) | BookError::Column(_) => {
                self.readiness.set(Trouble::Store, error.to_string());
            }
            BookError::Overtaken | BookError::OrderKey(_) => tracing::error!(%error, "not kept"),
        }
    }

    /// Signs and appends a checkpoint. Without checkpoints nothing is signed.
    pub(crate) async fn checkpoint(&self) -> Result<ledger::Checkpoint, LedgerError> {
        match self.ledger.checkpoint(self.clock.now()).await {
            Ok(checkpoint) => {
                self.readiness.clear(Trouble::Checkpoint);
                Ok(checkpoint)
            }
            Err(error) => {
                match &error {
                    LedgerError::Damaged { .. } => self.readiness.halt(&error.to_string()),
                    _ => self.readiness.set(Trouble::Checkpoint, error.to_string()),
                }
                Err(error)
            }
        }
    }
}
