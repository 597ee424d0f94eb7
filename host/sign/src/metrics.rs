//! Counters, in the text form of Prometheus. Written by hand: a dozen lines need no library, and
//! this process links as little as can be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use countersign_ipc::OutcomeKind;

use crate::process::Process;

/// Counted since the process started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    ea_signatures: AtomicU64,
    signed: AtomicU64,
    replayed: AtomicU64,
    unavailable: AtomicU64,
    fuse_blown: AtomicU64,
    denied: AtomicU64,
    ordered: AtomicU64,
    orders_signed: AtomicU64,
    orders_held: AtomicU64,
    outcomes: [AtomicU64; 4],
    /// By code; codes are constants of this program and of the profile's limits.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

const OUTCOMES: [&str; 4] = ["issued", "refused", "withheld", "abandoned"];

impl Metrics {
    /// The EA key was used.
    pub(crate) fn ea_signature(&self) {
        count(&self.ea_signatures);
    }

    /// A signature became durable.
    pub(crate) fn signed(&self) {
        count(&self.signed);
    }

    /// Stored octets were given once more.
    pub(crate) fn replayed(&self) {
        count(&self.replayed);
    }

    /// Something could not be done now.
    pub(crate) fn unavailable(&self) {
        count(&self.unavailable);
    }

    /// The fuse held a signature back.
    pub(crate) fn fuse_blown(&self) {
        count(&self.fuse_blown);
    }

    /// A denial was told.
    pub(crate) fn denied(&self) {
        count(&self.denied);
    }

    /// A revocation was ordered.
    pub(crate) fn ordered(&self) {
        count(&self.ordered);
    }

    /// A revocation order was signed.
    pub(crate) fn order_signed(&self) {
        count(&self.orders_signed);
    }

    /// The revocation fuse held an order.
    pub(crate) fn order_held(&self) {
        count(&self.orders_held);
    }

    /// An attempt came to its end.
    pub(crate) fn outcome(&self, outcome: OutcomeKind) {
        let [issued, refused, withheld, abandoned] = &self.outcomes;
        count(match outcome {
            OutcomeKind::Issued => issued,
            OutcomeKind::Refused => refused,
            OutcomeKind::Withheld => withheld,
            OutcomeKind::Abandoned => abandoned,
        });
    }

    /// Something was refused.
    pub(crate) fn refused(&self, code: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code).or_default() += 1;
    }
}

impl Process {
    /// All metrics as text.
    pub(crate) async fn metrics_text(&self) -> Result<String, String> {
        let metrics = &self.metrics;
        let mut text = Text::default();
        let ready = self.why_not_ready().await.is_empty();
        text.family("ready", "gauge", "1 if the process would sign", [("", u64::from(ready))]);
        text.counter("ea_signatures", "Uses of the EA key", &metrics.ea_signatures);
        text.counter("signed", "Signatures that became durable and left", &metrics.signed);
        text.counter("replayed", "Stored signatures given once more", &metrics.replayed);
        text.counter("unavailable", "Requests that could not be answered", &metrics.unavailable);
        text.counter("fuse_blown", "Signatures held back by the fuse", &metrics.fuse_blown);
        text.counter("denied", "Denials told by serve and verify", &metrics.denied);
        text.counter("orders", "Revocations ordered", &metrics.ordered);
        text.counter("orders_signed", "Revocation orders signed", &metrics.orders_signed);
        text.counter("orders_held", "Times an order was held by the fuse", &metrics.orders_held);
        let outcomes = OUTCOMES.iter().zip(&metrics.outcomes);
        text.family(
            "outcomes_total",
            "counter",
            "Attempts that ended",
            outcomes.map(|(outcome, count)| {
                (format!("{{outcome=\"{outcome}\"}}"), count.load(Ordering::Relaxed))
            }),
        );
        let refused = metrics.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        text.family(
            "refused_total",
            "counter",
            "Requests refused",
            refused.into_iter().map(|(code, count)| (format!("{{code=\"{code}\"}}"), count)),
        );
        let fill = self.fuse.fill();
        let label = |window: &str| format!("{{window=\"{window}\"}}");
        text.family(
            "fuse_used",
            "gauge",
            "Signatures in the window",
            fill.map(|fill| (label(fill.window), fill.used)),
        );
        text.family(
            "fuse_limit",
            "gauge",
            "Signatures allowed in the window",
            fill.map(|fill| (label(fill.window), u64::from(fill.limit))),
        );
        let size = self.ledger.size().await.map_err(|error| error.to_string())?;
        text.family("ledger_entries", "gauge", "Entries in the ledger", [("", size)]);
        let checkpoint = self.ledger.last_checkpoint().map_or(0, |checkpoint| checkpoint.time);
        text.family(
            "checkpoint_time_seconds",
            "gauge",
            "Time of the last checkpoint, seconds since 1970 UTC",
            [("", checkpoint)],
        );
        let unsettled = self.book.count_unsettled().await.map_err(|error| error.to_string())?;
        text.family("unsettled", "gauge", "Signatures without an outcome", [("", unsettled)]);
        let store = self.book.store().metrics();
        text.family("store_commits_total", "counter", "Group commits", [("", store.commits)]);
        text.family("store_jobs_total", "counter", "Jobs written", [("", store.jobs)]);
        Ok(text.0)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn counter(&mut self, name: &str, help: &str, counter: &AtomicU64) {
        let value = counter.load(Ordering::Relaxed);
        self.family(&format!("{name}_total"), "counter", help, [("", value)]);
    }

    fn family<L: AsRef<str>>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) {
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP countersign_sign_{name} {help}.");
        let _ = writeln!(self.0, "# TYPE countersign_sign_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "countersign_sign_{name}{} {value}", labels.as_ref());
        }
    }
}
