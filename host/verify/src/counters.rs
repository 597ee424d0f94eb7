//! Counters with labels, few enough to keep in one map. Labels come from the config or from a fixed
//! list, never from a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Metric, then labels in their Prometheus form.
type Key = (&'static str, String);

/// All counters of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<Key, u64>>);

impl Counters {
    /// Adds one. `metric` without the process's prefix and without `_total`.
    pub(crate) fn count(&self, metric: &'static str, labels: &[(&str, &str)]) {
        self.count_many(metric, labels, 1);
    }

    /// Adds several.
    pub(crate) fn count_many(&self, metric: &'static str, labels: &[(&str, &str)], by: u64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((metric, labels.join(","))).or_default() += by;
    }

    /// Prometheus text of the metrics that were counted.
    pub(crate) fn write(&self, text: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut described = "";
        for ((metric, labels), count) in all.iter() {
            // Writing to a String does not fail.
            if described != *metric {
                let _ = write!(
                    text,
                    "# HELP countersign_verify_{metric} {}\n\
                     # TYPE countersign_verify_{metric} counter\n",
                    help(metric)
                );
                described = metric;
            }
            let _ = writeln!(text, "countersign_verify_{metric}_total{{{labels}}} {count}");
        }
    }
}

fn help(metric: &str) -> &'static str {
    match metric {
        "mdm_requests" => "Requests of device managements by result and credential.",
        "challenges_refused" => "Requests denied for their challenge, by profile and reason.",
        "outcomes" => "Deliveries of outcomes to verifiers, by plug-in and result.",
        "challenge_abuse" => {
            "Requests refused for their challenge, by kind; a device's own not counted."
        }
        "challenge_alarms" => "Alarms over such requests, by kind and whom they count for.",
        "challenge_locks" => "Sources and devices that had to wait after such requests.",
        "actions" => "What device managements wanted done, by plug-in; repetitions not counted.",
        "feeds" => "Pages of feeds that were read or not, by plug-in and result.",
        _ => "Counted events.",
    }
}
