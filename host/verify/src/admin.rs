//! Questions of the command line, on a socket of their own.

use countersign_ipc::{AdminReply, AdminRequest, Peer};
use countersign_profile::Name;
use countersign_sandbox::model::ChallengeBinding;
use serde_json::json;

use crate::backend::LONGEST_TTL;
use crate::challenges::ToIssue;
use crate::decision::Verifiers;
use crate::{names, outcome};

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
        AdminRequest::Orders => match outcome::open_orders(&verifiers.store).await {
            Ok(orders) => AdminReply::Facts(orders),
            Err(error) => AdminReply::Refused { message: error.to_string() },
        },
        AdminRequest::IssueChallenge { profile, names, device_id, ttl } => {
            let asked = Asked { profile, names, device_id, ttl: ttl.into() };
            match issue(verifiers, peer, asked, now).await {
                Ok(reply) => reply,
                Err(message) => AdminReply::Refused { message },
            }
        }
        AdminRequest::Requests { .. }
        | AdminRequest::Request { .. }
        | AdminRequest::Ledger { .. }
        | AdminRequest::Checkpoint => {
            AdminReply::Refused { message: "verify does not answer this; ask serve or sign".into() }
        }
    }
}

struct Asked {
    profile: String,
    names: Vec<String>,
    device_id: Option<String>,
    ttl: u64,
}

async fn issue(
    verifiers: &Verifiers,
    peer: Peer,
    asked: Asked,
    now: u64,
) -> Result<AdminReply, String> {
    let profile = verifiers.profiles.get(&asked.profile).ok_or_else(|| {
        format!(
            "there is no profile `{}`; there are: {}",
            asked.profile,
            verifiers.profiles.keys().cloned().collect::<Vec<_>>().join(", ")
        )
    })?;
    let keepers: Vec<&String> = profile
        .verifiers
        .initial
        .iter()
        .filter(|name| {
            verifiers.plugins.get(*name).is_some_and(|found| found.plugin.grants().challenges)
        })
        .collect();
    let plugin = match keepers.as_slice() {
        [one] => (*one).clone(),
        [] => {
            return Err(format!(
                "no verifier of profile `{}` redeems challenges; grant one with `challenges = true` \
                 under `[plugin.NAME.grants]`",
                asked.profile
            ));
        }
        several => {
            return Err(format!(
                "several verifiers of profile `{}` redeem challenges ({several:?}); a request \
                 carries only one",
                asked.profile
            ));
        }
    };
    if asked.names.is_empty() {
        return Err("name what the challenge is for, such as --name CN=device-17; a challenge \
                    without names vouches for no names"
            .to_owned());
    }
    if !(1..=LONGEST_TTL).contains(&asked.ttl) {
        return Err(format!("a challenge lives 1 to {LONGEST_TTL} seconds, not {}", asked.ttl));
    }
    let bound_names = asked
        .names
        .iter()
        .map(|text| {
            let name: Name =
                text.parse().map_err(|error| format!("`{text}` is no name: {error}"))?;
            Ok(names::to_plugin(&name))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let binding =
        ChallengeBinding { names: bound_names, device_id: asked.device_id, attributes: Vec::new() };
    countersign_sandbox::model::check_binding(&binding).map_err(|error| error.to_string())?;
    let to_issue = ToIssue {
        plugin,
        profile: asked.profile.clone(),
        binding,
        issued_by: format!("uid {}", peer.uid),
        ttl: asked.ttl,
    };
    let (text, expires_at) =
        verifiers.challenges.issue(to_issue, now).await.map_err(|error| error.to_string())?;
    tracing::info!(uid = peer.uid, profile = asked.profile, names = ?asked.names, expires_at,
        "a challenge was issued");
    Ok(AdminReply::Challenge { text, expires_at })
}

async fn status(verifiers: &Verifiers) -> AdminReply {
    let detail = verifiers.why_not_ready().await;
    AdminReply::Facts(json!({
        "process": "verify",
        "ready": detail.is_empty(),
        "detail": detail,
        "profiles": verifiers.profiles.keys().collect::<Vec<_>>(),
        "plugins": plugins(verifiers),
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
                    "exactly-as-requested": grants.exactly_as_requested,
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
