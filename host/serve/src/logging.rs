//! Structured logs on standard error, one JSON object a line.

use tracing_subscriber::EnvFilter;

/// Begins logging. `COUNTERSIGN_LOG` sets the level (`info` without it).
pub(crate) fn begin() {
    let filter = EnvFilter::try_from_env("COUNTERSIGN_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,rustls=warn,cryptoki=off"));
    // Fails only where a test began it already.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
