//! How much private-key work strangers may cause: for each source, and for each CEP key.
//!
//! Each budget is N a minute: N at once, then one every 60/N seconds. The budgets for failures are
//! the small ones: a padding oracle, if one were ever found behind the equal answers, needs from
//! thousands to millions of them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::arrival::Source;

/// A minute in nanoseconds: what every budget is for.
const MINUTE: u64 = 60_000_000_000;

/// The pause between two looks for sources that may be forgotten.
const SWEEP: u64 = 1_000_000_000;

/// The pause between two alarms of one kind.
const ALARM_AGAIN: u64 = MINUTE;

/// How long status shows that a budget for failures was spent.
const ALARM_SHOWN: u64 = 10 * MINUTE;

/// How much, each a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Messages of one source (an IPv4 address, an IPv6 /64).
    pub messages_per_source: NonZeroU32,
    /// Messages of one source that fail after the unwrap (zone A).
    pub failures_per_source: NonZeroU32,
    /// Unwraps by one CEP key, whoever causes them.
    pub unwraps_per_key: NonZeroU32,
    /// Unwraps by one CEP key that end in a failure. Beyond it only sources without a failure of
    /// their own are served.
    pub failures_per_key: NonZeroU32,
    /// Most sources remembered; further ones share one budget.
    pub sources: usize,
}

/// The budgets and what is spent of them. Clones spend together.
#[derive(Clone)]
pub struct Budgets {
    inner: Arc<Inner>,
}

struct Inner {
    limits: BudgetLimits,
    begun: Instant,
    spent: Mutex<Spendings>,
    refused: Family<BudgetLabels, Counter>,
    failures: Counter,
}

#[derive(Default)]
struct Spendings {
    sources: HashMap<Prefix, Usage>,
    /// Of all sources that found no room among the remembered.
    others: Usage,
    keys: HashMap<usize, Usage>,
    next_sweep: u64,
    alarms: HashMap<Budget, Alarm>,
}

/// What one source, or one key, has spent.
#[derive(Clone, Copy, Default)]
struct Usage {
    work: Spent,
    failures: Spent,
}

/// Who pays: the smallest part of the address space that a stranger has at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Prefix {
    V4([u8; 4]),
    /// A /64.
    V6([u8; 8]),
}

impl Prefix {
    /// `None` for what is on this host: whoever stands behind a local proxy without a source
    /// header is unknown, and must not pay for everybody else there.
    fn of(source: Source) -> Option<Self> {
        let Source::Address(address) = source else { return None };
        match address.to_canonical() {
            address if address.is_loopback() => None,
            IpAddr::V4(address) => Some(Self::V4(address.octets())),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Some(Self::V6([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

/// Which budget was found spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Budget {
    SourceMessages,
    SourceFailures,
    KeyUnwraps,
    KeyFailures,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceMessages => "messages-per-source",
            Self::SourceFailures => "failures-per-source",
            Self::KeyUnwraps => "unwraps-per-key",
            Self::KeyFailures => "failures-per-key",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    budget: String,
}

/// Nothing left; the device comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget {
    pub(crate) budget: Budget,
    /// Seconds until there is something again.
    pub(crate) retry_after: u32,
}

/// Who pays for a failure.
#[derive(Clone)]
pub(crate) struct Payer {
    budgets: Budgets,
    source: Option<Prefix>,
    key: usize,
}

#[derive(Clone, Copy, Default)]
struct Alarm {
    last: Option<u64>,
    silent_since: u64,
    refused: u64,
}

impl Budgets {
    /// Budgets, all whole, whose metrics are in `registry`.
    pub fn new(limits: BudgetLimits, registry: &mut Registry) -> Self {
        let (refused, failures) = (Family::default(), Counter::default());
        let registry = registry.sub_registry_with_prefix("countersign");
        registry.register(
            "over_budget",
            "Messages refused with 503 because a budget was spent, by budget",
            refused.clone(),
        );
        // All kinds of failure in one number: it must not tell them apart.
        registry.register("zone_a_failures", "Envelopes that did not open", failures.clone());
        let spent = Mutex::new(Spendings::default());
        Self { inner: Arc::new(Inner { limits, begun: Instant::now(), spent, refused, failures }) }
    }

    /// Takes one message out of its source's budget.
    pub(crate) fn message(&self, source: Source) -> Result<(), OverBudget> {
        self.message_at(source, self.now())
    }

    /// Takes one unwrap out of the key's budget, if neither source nor key has failed too often.
    pub(crate) fn unwrap(&self, source: Source, key: usize) -> Result<Payer, OverBudget> {
        self.unwrap_at(source, key, self.now())
    }

    /// What an admin should know, if there is something.
    #[must_use]
    pub fn alarm(&self) -> Option<String> {
        self.alarm_at(self.now())
    }

    fn message_at(&self, source: Source, now: u64) -> Result<(), OverBudget> {
        let Some(prefix) = Prefix::of(source) else { return Ok(()) };
        let limits = &self.inner.limits;
        let mut spent = self.lock();
        let usage = spent.of_source(prefix, limits.sources, now);
        match usage.work.wait(limits.messages_per_source, now) {
            0 => {
                usage.work.spend(limits.messages_per_source, now);
                Ok(())
            }
            wait => Err(self.refuse(&mut spent, Budget::SourceMessages, wait, source, now)),
        }
    }

    fn unwrap_at(&self, source: Source, key: usize, now: u64) -> Result<Payer, OverBudget> {
        let limits = &self.inner.limits;
        let prefix = Prefix::of(source);
        let mut spent = self.lock();
        let of_source = prefix.map(|prefix| *spent.of_source(prefix, limits.sources, now));
        let of_key = spent.keys.entry(key).or_default();

        let refused = [
            // A source that never failed is served even while others attack the key.
            (of_source.is_none_or(|usage| !usage.failures.is_whole(now)))
                .then(|| of_key.failures.wait(limits.failures_per_key, now))
                .map(|wait| (Budget::KeyFailures, wait)),
            of_source.map(|usage| {
                (Budget::SourceFailures, usage.failures.wait(limits.failures_per_source, now))
            }),
            Some((Budget::KeyUnwraps, of_key.work.wait(limits.unwraps_per_key, now))),
        ];
        if let Some((budget, wait)) = refused.into_iter().flatten().find(|(_, wait)| *wait > 0) {
            return Err(self.refuse(&mut spent, budget, wait, source, now));
        }
        of_key.work.spend(limits.unwraps_per_key, now);
        Ok(Payer { budgets: self.clone(), source: prefix, key })
    }

    fn failed_at(&self, source: Option<Prefix>, key: usize, now: u64) {
        let limits = &self.inner.limits;
        self.inner.failures.inc();
        let mut spent = self.lock();
        // What was already on its way when the budget ran out goes into debt, so that the rate
        // over time is the budget's.
        spent.keys.entry(key).or_default().failures.spend(limits.failures_per_key, now);
        if let Some(prefix) = source {
            let usage = spent.of_source(prefix, limits.sources, now);
            usage.failures.spend(limits.failures_per_source, now);
        }
    }

    fn refuse(
        &self,
        spent: &mut Spendings,
        budget: Budget,
        wait: u64,
        source: Source,
        now: u64,
    ) -> OverBudget {
        self.inner.refused.get_or_create(&BudgetLabels { budget: budget.to_string() }).inc();
        let alarm = spent.alarms.entry(budget).or_default();
        alarm.last = Some(now);
        alarm.refused += 1;
        if now >= alarm.silent_since {
            alarm.silent_since = now + ALARM_AGAIN;
            let refused = std::mem::take(&mut alarm.refused);
            match budget {
                Budget::SourceFailures | Budget::KeyFailures => tracing::error!(
                    %budget, %source, refused,
                    "ALARM: too many envelopes did not open; somebody may be asking the CEP key \
                     for secrets in other people's messages"
                ),
                Budget::SourceMessages | Budget::KeyUnwraps => tracing::warn!(
                    %budget, %source, refused, "a budget is spent; devices are told to come again"
                ),
            }
        }
        let seconds = wait.div_ceil(1_000_000_000).clamp(1, 3600);
        OverBudget { budget, retry_after: u32::try_from(seconds).unwrap_or(3600) }
    }

    fn alarm_at(&self, now: u64) -> Option<String> {
        let spent = self.lock();
        let recent = |budget| {
            let last = spent.alarms.get(&budget)?.last?;
            (now.saturating_sub(last) < ALARM_SHOWN).then(|| now.saturating_sub(last))
        };
        let (budget, ago) = [Budget::KeyFailures, Budget::SourceFailures]
            .into_iter()
            .find_map(|budget| recent(budget).map(|ago| (budget, ago)))?;
        Some(format!(
            "budget {budget} was spent {} s ago: too many envelopes did not open; the log names a \
             source",
            ago / 1_000_000_000
        ))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.inner.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Spendings> {
        // Each change is one assignment: a panic leaves nothing half done.
        self.inner.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

impl Payer {
    /// Charges a failure.
    pub(crate) fn failed(&self) {
        self.budgets.failed_at(self.source, self.key, self.budgets.now());
    }
}

impl fmt::Debug for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payer").field("source", &self.source).field("key", &self.key).finish()
    }
}

impl Spendings {
    fn of_source(&mut self, prefix: Prefix, most: usize, now: u64) -> &mut Usage {
        if self.sources.len() >= most && !self.sources.contains_key(&prefix) {
            if now >= self.next_sweep {
                self.next_sweep = now + SWEEP;
                self.sources.retain(|_, usage| !usage.is_whole(now));
            }
            if self.sources.len() >= most {
                return &mut self.others;
            }
        }
        self.sources.entry(prefix).or_default()
    }
}

impl Usage {
    fn is_whole(&self, now: u64) -> bool {
        self.work.is_whole(now) && self.failures.is_whole(now)
    }
}

/// What is spent of a budget, as the moment when all of it will be there again (the generic cell
/// rate algorithm: a token bucket in one number).
#[derive(Clone, Copy, Default)]
struct Spent {
    whole_at: u64,
}

impl Spent {
    fn is_whole(self, now: u64) -> bool {
        self.whole_at <= now
    }

    /// Nanoseconds until one more may be spent; 0 if one may now.
    fn wait(self, per_minute: NonZeroU32, now: u64) -> u64 {
        let after = self.whole_at.max(now) + interval(per_minute);
        after.saturating_sub(now + MINUTE)
    }

    fn spend(&mut self, per_minute: NonZeroU32, now: u64) {
        self.whole_at = self.whole_at.max(now) + interval(per_minute);
    }
}

fn interval(per_minute: NonZeroU32) -> u64 {
    MINUTE / u64::from(per_minute.get())
}

impl OverBudget {
    /// For the log.
    pub(crate) fn reason(self) -> String {
        format!("the budget {} is spent", self.budget)
    }
}

/// Budgets that nobody spends.
#[cfg(test)]
pub(crate) fn ample() -> Budgets {
    let much = NonZeroU32::MAX;
    let limits = BudgetLimits {
        messages_per_source: much,
        failures_per_source: much,
        unwraps_per_key: much,
        failures_per_key: much,
        sources: 16,
    };
    Budgets::new(limits, &mut Registry::default())
}

#[cfg(test)]
#[path = "budget/tests.rs"]
mod tests;
