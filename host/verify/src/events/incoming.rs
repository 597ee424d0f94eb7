//! A plug-in understands an event, or pulls the next page of its feed; what it wants done is stored
//! before anybody is told that it was understood.

use std::sync::Arc;

use countersign_sandbox::model::{Action, Event};
use countersign_sandbox::{CallContext, CallError, KvWrite};
use countersign_store::StoreError;
use countersign_store::rusqlite::Transaction;
use thiserror::Error;

use super::CALL;
use super::action::{self, Actor, Kept};
use crate::backend::RequestBackend;
use crate::decision::{Installed, Verifiers};
use crate::kv::{self, Written};

/// Why an event was not taken.
#[derive(Debug, Error)]
pub(crate) enum NotTaken {
    /// The plug-in does not understand it, or will have nothing to do with it.
    #[error("the plug-in refuses it ({code}): {detail}")]
    Refused { code: String, detail: String },
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

/// Why what came of a call was not stored.
#[derive(Debug, Error)]
pub(super) enum NotStored {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what the plug-in wanted to keep could not be kept ({0:?})")]
    Kv(Written),
}

impl Verifiers {
    /// Hands an event to its plug-in. What was stored is stored for good.
    pub(crate) async fn event(
        &self,
        plugin: &str,
        event: Event,
        now: u64,
    ) -> Result<Kept, NotTaken> {
        let installed = self
            .plugins
            .get(plugin)
            .ok_or_else(|| NotTaken::Unavailable(format!("plug-in `{plugin}` is not installed")))?;
        let context = self.event_context(now)?;
        let outcome =
            installed.plugin.on_event(context, event, self.event_backend(now)).await.map_err(
                |failure| NotTaken::Unavailable(format!("plug-in `{plugin}`: {failure}")),
            )?;
        let actions = outcome.answer.map_err(|denial| NotTaken::Refused {
            code: denial.code.as_str().to_owned(),
            detail: denial.detail,
        })?;
        self.keep(installed, actions, outcome.staged.kv_writes, now, |_| Ok(()))
            .await
            .map_err(|error| NotTaken::Unavailable(error.to_string()))
    }

    /// Stores actions, what the plug-in wrote, and what `with` does, in one transaction.
    pub(super) async fn keep(
        &self,
        installed: &Installed,
        actions: Vec<Action>,
        writes: Vec<KvWrite>,
        now: u64,
        with: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Kept, NotStored> {
        let plugin = installed.plugin.name().to_owned();
        let actor = Actor { plugin: plugin.clone(), may_revoke: installed.may_revoke };
        let entries = installed.kv_entries;
        let (reach, key) = (Arc::clone(&self.reach), Arc::clone(&self.column_key));
        let kept = self
            .store
            .try_write(move |tx| {
                let kept = action::keep(tx, &reach, &actor, &actions, now)?;
                match kv::write(tx, &key, &actor.plugin, &writes, entries, now)? {
                    Written::Done => {}
                    other => return Err(NotStored::Kv(other)),
                }
                with(tx)?;
                Ok(kept)
            })
            .await?;
        if kept.actions > 0 {
            self.counters.count_many("actions", &[("plugin", &plugin)], kept.actions.into());
        }
        Ok(kept)
    }

    pub(super) fn event_backend(&self, now: u64) -> Arc<RequestBackend> {
        Arc::new(RequestBackend {
            challenges: Arc::clone(&self.challenges),
            kv: self.kv.clone(),
            info_sha256: None,
            issuing: None,
            now,
        })
    }

    pub(super) fn event_context(&self, now: u64) -> Result<CallContext, NotTaken> {
        let mut octets = [0_u8; 8];
        aws_lc_rs::rand::fill(&mut octets)
            .map_err(|_| NotTaken::Unavailable("the system gives no random bytes".to_owned()))?;
        Ok(CallContext {
            trace_id: hex::encode(octets),
            trial: false,
            now,
            time_left: Some(CALL),
            attributes: Vec::new(),
        })
    }
}

/// Whether nobody was asked at all.
pub(super) fn had_no_place(error: &CallError) -> bool {
    matches!(error, CallError::Busy | CallError::Suspended(_))
}
