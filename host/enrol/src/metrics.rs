//! What the way counts, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters of the way. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    conclusions: Family<ConclusionLabels, Counter>,
    stations: Family<StationLabels, Histogram>,
    withheld: Counter,
    outbox_delivered: Counter,
    outbox_failed: Counter,
}

/// One row per profile and conclusion. No stage of a failure: that would be an oracle in slow
/// motion (threat T39).
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConclusionLabels {
    profile: String,
    conclusion: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StationLabels {
    station: &'static str,
}

impl Metrics {
    /// Metrics registered in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            conclusions: Family::default(),
            stations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
            }),
            withheld: Counter::default(),
            outbox_delivered: Counter::default(),
            outbox_failed: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("countersign");
        registry.register(
            "answers",
            "Answers given to PKIOperation, by profile and conclusion",
            metrics.conclusions.clone(),
        );
        registry.register(
            "station_seconds",
            "Time spent in each station",
            metrics.stations.clone(),
        );
        registry.register(
            "withheld",
            "Certificates that said more than was approved",
            metrics.withheld.clone(),
        );
        registry.register(
            "outbox_delivered",
            "Messages delivered to verify and sign",
            metrics.outbox_delivered.clone(),
        );
        registry.register(
            "outbox_failed",
            "Deliveries that failed and will be tried again",
            metrics.outbox_failed.clone(),
        );
        metrics
    }

    pub(crate) fn concluded(&self, profile: &str, conclusion: &'static str) {
        let labels = ConclusionLabels { profile: profile.to_owned(), conclusion };
        self.conclusions.get_or_create(&labels).inc();
    }

    pub(crate) fn spent(&self, station: &'static str, time: Duration) {
        self.stations.get_or_create(&StationLabels { station }).observe(time.as_secs_f64());
    }

    pub(crate) fn withheld(&self) {
        self.withheld.inc();
    }

    pub(crate) fn delivered(&self, messages: usize) {
        self.outbox_delivered.inc_by(messages as u64);
    }

    pub(crate) fn not_delivered(&self) {
        self.outbox_failed.inc();
    }
}
