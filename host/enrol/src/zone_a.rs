//! Zone A: from the unwrap of the content key to "the signer's key is the key of the PKCS#10"
//! every failure is answered alike, and at the same time after it began.
//!
//! A device that asks for itself never fails here. Whoever does may be asking what lies in
//! somebody else's message: whether a padding was good (RSA or CBC), whether a plaintext was DER,
//! whether a signature held. `host/keys` and `host/scep` make the work of all failures the same as
//! far as code can; this makes the moment of the answer the same.
//!
//! - **A fixed moment, no jitter.** Noise averages away over many questions; a deadline that was
//!   fixed before the unwrap began holds nothing to average. What does not fit into one period is
//!   answered at the end of the next, and counted: then the period is too short.
//! - **No place of others.** Who waits here gives back the place among requests in flight, and
//!   keeps one in a room of its own, taken before the unwrap: when the room is full nobody enters,
//!   so no failure is ever answered early.
//! - **Paid for.** Each failure is charged to its source and to the key ([`Budgets`]).

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use countersign_scep::FailInfo;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::arrival::{Conclusion, Source};
use crate::budget::{BudgetLimits, Budgets, OverBudget, Payer};

/// What bounds zone A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneALimits {
    /// From the beginning of the unwrap to the answer of every failure.
    pub period: Duration,
    /// Most messages in the zone, those included that wait for the end of the period.
    pub room: usize,
    /// What strangers may spend.
    pub budgets: BudgetLimits,
}

/// The zone. Clones are the same.
#[derive(Clone, Debug)]
pub struct ZoneA {
    period: Duration,
    room: Arc<Semaphore>,
    budgets: Budgets,
    unwraps: Counter,
    overruns: Counter,
}

impl ZoneA {
    /// A zone with whole budgets, whose metrics are in `registry`.
    pub fn new(limits: ZoneALimits, registry: &mut Registry) -> Self {
        let (unwraps, overruns) = (Counter::default(), Counter::default());
        let countersign = registry.sub_registry_with_prefix("countersign");
        countersign.register(
            "cep_unwraps",
            "Envelopes that a CEP key was asked to unwrap",
            unwraps.clone(),
        );
        countersign.register(
            "zone_a_overruns",
            "Failures that took longer than zone-a-milliseconds: raise it if this grows",
            overruns.clone(),
        );
        Self {
            period: limits.period,
            room: Arc::new(Semaphore::new(limits.room)),
            budgets: Budgets::new(limits.budgets, registry),
            unwraps,
            overruns,
        }
    }

    /// What strangers have spent.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Charges a message to its source, before anything of it is verified: even a refusal costs a
    /// signature by REP.
    pub(crate) fn message(&self, source: Source) -> Result<(), Conclusion> {
        self.budgets.message(source).map_err(over_budget)
    }

    /// Enters, immediately before the unwrap by this CEP key. What refuses here is known before
    /// any private-key work.
    pub(crate) fn enter(&self, source: Source, key: usize) -> Result<Stay, Conclusion> {
        let payer = self.budgets.unwrap(source, key).map_err(over_budget)?;
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(Conclusion::busy(1, "too many messages that did not open are waiting"));
        };
        self.unwraps.inc();
        Ok(Stay {
            begun: Instant::now(),
            period: self.period,
            payer,
            overruns: self.overruns.clone(),
            _place: place,
        })
    }
}

/// One message inside the zone. It ends by [`Stay::succeed`] or [`Stay::fail`]; dropped, as where
/// the token is lost, it costs nobody anything.
#[derive(Debug)]
pub(crate) struct Stay {
    begun: Instant,
    period: Duration,
    payer: Payer,
    overruns: Counter,
    _place: OwnedSemaphorePermit,
}

impl Stay {
    /// Leaves the zone with what it was entered for.
    pub(crate) fn succeed(self) {}

    /// Gives back the place among requests in flight, waits until failures are answered, and says
    /// what they all are told.
    pub(crate) async fn fail(self, place: &mut Place) -> Conclusion {
        place.give_back();
        self.payer.failed();
        let spent = self.begun.elapsed();
        if spent > self.period {
            self.overruns.inc();
        }
        sleep_until(self.begun + bucket(spent, self.period)).await;
        Conclusion::Failure {
            fail_info: FailInfo::BadMessageCheck,
            text: None,
            code: "not-opened".to_owned(),
        }
    }
}

/// The end of the period that `spent` lies in.
fn bucket(spent: Duration, period: Duration) -> Duration {
    let periods = spent.as_nanos().div_ceil(period.as_nanos().max(1)).max(1);
    period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX))
}

/// A place among the requests in flight, held until the work is done or waits in zone A.
pub(crate) struct Place(Option<Box<dyn Any + Send>>);

impl Place {
    pub(crate) fn new(place: impl Send + 'static) -> Self {
        Self(Some(Box::new(place)))
    }

    fn give_back(&mut self) {
        self.0 = None;
    }
}

fn over_budget(over: OverBudget) -> Conclusion {
    Conclusion::busy(over.retry_after, over.reason())
}

#[cfg(test)]
#[path = "zone_a/tests.rs"]
mod tests;
