//! The configuration's words for plug-ins, in the sandbox's.

use std::time::Duration;

use countersign_config as config;
use countersign_sandbox::{
    BreakerSettings, Budgets, BulkheadSettings, Digest, Grants, PluginSettings, PoolSize,
};

use crate::powers::{self, PowerError};

/// What `[plugin.NAME]` asks of the sandbox. Reads the secrets and certificates that it names.
pub fn plugin_settings(
    name: &str,
    from: &config::PluginSettings,
) -> Result<PluginSettings, PowerError> {
    let limits = &from.limits;
    Ok(PluginSettings {
        name: name.to_owned(),
        grants: Grants {
            log: from.grants.log,
            kv: from.grants.kv,
            challenges: from.grants.challenges,
            exactly_as_requested: from.grants.exactly_as_requested,
            ..Grants::default()
        },
        http: powers::http(name, from)?,
        secrets: powers::secrets(name, from)?,
        settings: from.settings.clone(),
        budgets: Budgets {
            time: Duration::from_millis(limits.time_ms.into()),
            memory_bytes: memory_bytes(limits),
            host_calls: limits.host_calls,
            log_bytes: limits.log_bytes,
            ..Budgets::default()
        },
        bulkhead: BulkheadSettings {
            concurrency: limits.concurrency,
            queue: limits.queue,
            ..BulkheadSettings::default()
        },
        breaker: BreakerSettings::default(),
    })
}

/// A pool with room for all plug-ins at their limits at the same time, and for one trial.
pub fn pool_size<'a>(plugins: impl IntoIterator<Item = &'a config::PluginSettings>) -> PoolSize {
    let mut calls: u32 = 1;
    let mut memory = PoolSize::default().memory_bytes;
    for plugin in plugins {
        calls = calls.saturating_add(plugin.limits.concurrency);
        memory = memory.max(memory_bytes(&plugin.limits));
    }
    // Each call reserves some 24 GiB of address space; a process has 128 TiB.
    PoolSize { concurrent_calls: calls.min(1024), memory_bytes: memory, ..PoolSize::default() }
}

/// The digest that `[plugin.NAME]` names.
pub(crate) fn digest(from: &config::PluginSettings) -> Digest {
    Digest(*from.digest.as_bytes())
}

fn memory_bytes(limits: &config::PluginLimits) -> usize {
    usize::try_from(limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20)
}
