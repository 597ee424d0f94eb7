//! Questions of the command line, on a socket of their own.

use countersign_ipc::{AdminReply, AdminRequest, Peer};
use countersign_profile::Name;
use countersign_store::StoreError;
use serde_json::json;

use crate::decision::Verifiers;
use crate::issuing::{Asked, Issued, NotIssued};
use crate::orders::Target;
use crate::{events, outbox, tombstone};

/// Answers one question.
pub(crate) async fn answer(
    verifiers: &Verifiers,
    peer: Peer,
    question: AdminRequest,
    now: u64,
) -> AdminReply {
    match question {
        AdminRequest::Status => status(verifiers).await,
        AdminRequest::Metrics => AdminReply::Text(metrics(verifiers)),
        AdminRequest::Plugins => AdminReply::Facts(plugins(verifiers)),
        AdminRequest::Tombstones => facts(tombstone::list(&verifiers.store).await),
        AdminRequest::LiftTombstone { plugin, device_id } => {
            lift(verifiers, peer, plugin, device_id).await
        }
        AdminRequest::DeadLetters => facts(dead_letters(verifiers).await),
        AdminRequest::Resend { id } => resend(verifiers, &id).await,
        AdminRequest::Orders => facts(verifiers.orders.open().await),
        AdminRequest::Orphans => facts(verifiers.orders.orphans().await),
        AdminRequest::Revoke { serial, device_id, reason, person } => {
            match Target::read(serial, device_id) {
                Ok(target) => facts(
                    verifiers.orders.revoke(peer, &target, &reason, person.as_deref(), now).await,
                ),
                Err(message) => AdminReply::Refused { message },
            }
        }
        AdminRequest::WithdrawOrders { plugin, person } => {
            facts(verifiers.orders.withdraw(peer, plugin, person.as_deref()).await)
        }
        AdminRequest::IssueChallenge { profile, names, device_id, ttl } => {
            let asked = read_names(&names).map(|names| Asked {
                profile,
                names,
                device_id,
                ttl: ttl.into(),
                requester: format!("uid {}", peer.uid),
                media_type: None,
                body: Vec::new(),
                attributes: Vec::new(),
            });
            let issued = match asked {
                Ok(asked) => issue(verifiers, asked, now).await,
                Err(invalid) => Err(invalid),
            };
            issued.unwrap_or_else(|error| AdminReply::Refused { message: error.to_string() })
        }
        AdminRequest::Requests { .. }
        | AdminRequest::Request { .. }
        | AdminRequest::Ledger { .. }
        | AdminRequest::Checkpoint
        | AdminRequest::FuseStatus
        | AdminRequest::FuseReset { .. }
        | AdminRequest::OrderKey => {
            AdminReply::Refused { message: "verify does not answer this; ask serve or sign".into() }
        }
    }
}

fn facts(answer: Result<serde_json::Value, impl ToString>) -> AdminReply {
    match answer {
        Ok(facts) => AdminReply::Facts(facts),
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

/// A device that was wiped may come again.
async fn lift(verifiers: &Verifiers, peer: Peer, plugin: String, device_id: String) -> AdminReply {
    match tombstone::lift(&verifiers.store, plugin.clone(), device_id.clone()).await {
        Ok(Some(lifted)) => {
            tracing::warn!(uid = peer.uid, plugin, device_id, "a tombstone was lifted");
            AdminReply::Facts(lifted)
        }
        Ok(None) => AdminReply::Refused {
            message: format!(
                "plug-in `{plugin}` has no tombstone for device `{device_id}`; `countersign device \
                 tombstones` lists those there are"
            ),
        },
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

/// What was given up: outcomes, and results of actions.
async fn dead_letters(verifiers: &Verifiers) -> Result<serde_json::Value, StoreError> {
    let of = |facts: &serde_json::Value| {
        facts["newest-given-up"].as_array().cloned().unwrap_or_default()
    };
    let mut dead = of(&outbox::facts(verifiers).await);
    dead.extend(of(&events::facts(&verifiers.store).await?));
    Ok(dead.into())
}

async fn resend(verifiers: &Verifiers, id: &str) -> AdminReply {
    let store = &verifiers.store;
    let number = |text: &str| text.parse::<i64>().ok();
    let again = match id.split_once('-').map(|(kind, text)| (kind, number(text))) {
        Some(("notice", Some(number))) => outbox::resend(store, number).await,
        Some(("result", Some(number))) => events::resend(store, number).await,
        _ => Ok(false),
    };
    match again {
        Ok(true) => {
            verifiers.outcomes_came.notify_one();
            AdminReply::Facts(json!({ "id": id, "state": "due" }))
        }
        Ok(false) => AdminReply::Refused {
            message: format!(
                "there is no dead letter `{}`; `countersign request list --dead` lists those there are",
                id.escape_debug()
            ),
        },
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

async fn issue(verifiers: &Verifiers, asked: Asked, now: u64) -> Result<AdminReply, NotIssued> {
    if asked.names.is_empty() {
        return Err(NotIssued::Invalid(
            "name what the challenge is for, such as --name CN=device-17; a challenge without names \
             vouches for no names"
                .to_owned(),
        ));
    }
    let Issued { text, expires } = verifiers.issue(asked, now).await?;
    Ok(AdminReply::Challenge { text, expires_at: expires })
}

fn read_names(names: &[String]) -> Result<Vec<Name>, NotIssued> {
    let read = |text: &String| {
        text.parse().map_err(|error| NotIssued::Invalid(format!("`{text}` is no name: {error}")))
    };
    names.iter().map(read).collect()
}

async fn status(verifiers: &Verifiers) -> AdminReply {
    let detail = verifiers.why_not_ready().await;
    AdminReply::Facts(json!({
        "process": "verify",
        "ready": detail.is_empty(),
        "detail": detail,
        "profiles": verifiers.profiles.keys().collect::<Vec<_>>(),
        "plugins": plugins(verifiers),
        "outcomes": outbox::facts(verifiers).await,
        "events": events::facts(&verifiers.store).await.unwrap_or_default(),
        "orders": verifiers.orders.counts().await.unwrap_or_default(),
        "config-digest": hex::encode(verifiers.config_digest),
    }))
}

fn plugins(verifiers: &Verifiers) -> serde_json::Value {
    verifiers
        .plugins
        .values()
        .map(|installed| {
            let plugin = &installed.plugin;
            let description = plugin.description();
            let grants = plugin.grants();
            json!({
                "name": plugin.name(),
                "component": description.name,
                "version": description.version,
                "vendor": description.vendor,
                "summary": description.summary,
                "digest": plugin.digest().to_string(),
                "grants": {
                    "log": grants.log,
                    "kv": grants.kv,
                    "challenges": grants.challenges,
                    "hosts": plugin.hosts().map(ToString::to_string).collect::<Vec<_>>(),
                    "secrets": plugin.secrets().collect::<Vec<_>>(),
                    "exactly-as-requested": grants.exactly_as_requested,
                    "revocation": installed.may_revoke,
                },
                "vouches-from-user-attributes": description.vouches_from_user_attributes,
                "suspended": plugin.is_suspended(),
                "profiles": verifiers
                    .profiles
                    .iter()
                    .filter(|(_, profile)| {
                        profile.verifiers.initial.iter().any(|name| name == plugin.name())
                    })
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            })
        })
        .collect()
}

/// Prometheus text. Few enough to write by hand.
pub(crate) fn metrics(verifiers: &Verifiers) -> String {
    let store = verifiers.store.metrics();
    let mut text = String::from(
        "# HELP countersign_verify_plugin_suspended Whether a plug-in is not asked because it kept failing.\n\
         # TYPE countersign_verify_plugin_suspended gauge\n",
    );
    for installed in verifiers.plugins.values() {
        text.push_str(&format!(
            "countersign_verify_plugin_suspended{{plugin=\"{}\"}} {}\n",
            installed.plugin.name(),
            u8::from(installed.plugin.is_suspended())
        ));
    }
    verifiers.counters.write(&mut text);
    text.push_str(&format!(
        "# HELP countersign_verify_store_commits Group commits.\n\
         # TYPE countersign_verify_store_commits counter\n\
         countersign_verify_store_commits_total {}\n\
         # HELP countersign_verify_store_jobs Jobs in those commits.\n\
         # TYPE countersign_verify_store_jobs counter\n\
         countersign_verify_store_jobs_total {}\n# EOF\n",
        store.commits, store.jobs
    ));
    text
}
