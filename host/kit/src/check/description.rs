use countersign_config::HostPattern;
use countersign_sandbox::{check_schema, model::Power};
use serde_json::Value;

use super::{Bench, Checks};

/// What an admin decides by.
pub(super) fn check(bench: &Bench<'_>) -> Checks {
    let mut checks =
        Checks::new("description", "`describe` is pure, and says all that an admin decides by");
    let Some(description) = bench.workshop.description() else {
        // An obstacle, told with the imports.
        return checks.or_note("it cannot be asked before what is above is mended");
    };
    checks.pass("pure", "the same twice, without any grant");
    checks.judge("version", version(&description.version));
    checks.judge("vendor", said(&description.vendor, "who makes it"));
    checks.judge("summary", said(&description.summary, "which devices, verified against what"));
    for want in &description.wants {
        let name = format!("wants {}", want.power);
        if want.why.trim().is_empty() {
            checks.fail(name, "it does not say why; one sentence for whoever decides");
            continue;
        }
        match &want.power {
            Power::Host(pattern) => match pattern.parse::<HostPattern>() {
                Ok(_) => checks.pass(name, ""),
                Err(error) => checks.fail(name, error.to_string()),
            },
            Power::Other(_) => checks.warn(name, "this host does not know such a power"),
            _ => checks.pass(name, ""),
        }
    }
    let offers = bench.workshop.inspection.offers;
    let mut needs = |says: bool, offered: bool, what: &str, interface: &str| {
        if says && !offered {
            let detail = format!("{what}, and it does not export `{interface}`");
            checks.fail(interface.to_owned(), detail);
        }
    };
    needs(
        description.notified_before_answer,
        offers.outcomes,
        "it wants to be notified before the device is answered",
        "outcomes",
    );
    needs(!description.events.is_empty(), offers.events, "it names events", "events");
    let revokes = description.wants.iter().any(|want| want.power == Power::Revocation);
    needs(revokes, offers.events, "it wants to have certificates revoked", "events");
    if description.vouches_from_user_attributes {
        checks.warn(
            "vouches-from-user-attributes",
            "it vouches for names that a user can change: admins are warned at every installation",
        );
    }
    let schema = check_schema(&description.settings_schema, &Value::Object(Default::default()));
    checks
        .judge("settings-schema", schema.map(|_| String::new()).map_err(|error| error.to_string()));
    checks
}

/// Semantic versioning, as far as it must be told apart: three numbers, and what may follow them.
fn version(text: &str) -> Result<String, String> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    let fits = numbers.len() == 3
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("expected a semantic version such as `1.0.0`, found `{text}`"))
    }
}

fn said(text: &str, what: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err(format!("it is empty; say {what}"))
    } else {
        Ok(text.to_owned())
    }
}
