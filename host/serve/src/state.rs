//! What the handlers share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_enrol::{Enrolments, Profile};
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::gate::Gate;

/// Everything a request may need.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) enrolments: Enrolments,
    pub(crate) profiles: BTreeMap<String, Arc<Profile>>,
    /// Other paths that stand for a profile, lower-case, without a slash at the end.
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) in_flight: Arc<Semaphore>,
    /// The header in which the reverse proxy says who asked.
    pub(crate) source_header: Option<String>,
    pub(crate) max_body: usize,
    pub(crate) body_deadline: Duration,
    pub(crate) request_deadline: Duration,
    pub(crate) bounds: countersign_scep::Bounds,
    pub(crate) registry: Registry,
}

/// Seconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
