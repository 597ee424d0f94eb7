//! Fleet's API, read only: `GET /api/v1/fleet/hosts/identifier/<identifier>`.

use countersign_device_record::{Field, Identity, NoAnswer, Question, Record, is_identifier};
use countersign_sdk::{Denial, DenialCode, Host};
use serde_json::Value;

use crate::settings::Settings;

/// The API-only user's token, by the name that the configuration gives it.
pub const CREDENTIAL: &str = "fleet-api";

/// Where a record has a field.
fn place(field: Field) -> Option<&'static str> {
    match field {
        Field::SerialNumber => Some("/hardware_serial"),
        Field::Uuid => Some("/uuid"),
        Field::RecordId => Some("/id"),
        Field::DeviceName => Some("/computer_name"),
        Field::Udid | Field::AssetTag | Field::Username | Field::Email => None,
    }
}

/// The record of a host.
pub(crate) fn find(
    settings: &Settings,
    sought: &Identity,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    let question = Question {
        vendor: "Fleet",
        // Identifiers are letters, digits and hyphens.
        url: format!("{}/api/v1/fleet/hosts/identifier/{}", settings.url, sought.value),
        credential: CREDENTIAL,
        headers: vec![("accept", "application/json".to_owned())],
        timeout: settings.timeout(),
        privilege: "the role Observer, in the hosts' team or globally",
    };
    let Some(answer) = question.ask(host)? else { return Ok(None) };
    let Some(found @ Value::Object(_)) = answer.get("host") else {
        return Err(NoAnswer::new("Fleet's answer has no `host`"));
    };
    let record = Record::new(found.clone(), place);
    // Fleet also finds hosts by what they call themselves: a host named like another one's UUID is not
    // the other one.
    Ok(Some(record).filter(|record| record.is(sought)))
}

/// Whether a record is one of a host that may have a certificate; its UUID.
pub(crate) fn permitted(settings: &Settings, record: &Record) -> Result<String, Refused> {
    let uuid = record
        .field(Field::Uuid)
        .filter(|uuid| is_identifier(uuid))
        .ok_or_else(|| NoAnswer::new("a record of Fleet's has no `uuid`"))?;
    let no = |why: String| {
        Refused::Denied(Denial::new(DenialCode::DeviceNotPermitted, format!("host {uuid} {why}")))
    };
    let text = |pointer: &str| record.text(pointer).unwrap_or_default();
    let status = text("/mdm/enrollment_status");
    if !status.starts_with("On ") && status != "On" {
        let shown: String = status.chars().take(64).collect();
        return Err(no(format!("has the MDM status `{shown}`, not `On`")));
    }
    if record.at("/mdm/connected_to_fleet") == Some(&Value::Bool(false)) {
        return Err(no("is managed by another MDM than Fleet".to_owned()));
    }
    let device = text("/mdm/device_status");
    if !matches!(device.as_str(), "" | "unlocked") {
        let shown: String = device.chars().take(64).collect();
        return Err(no(format!("is `{shown}`, not unlocked")));
    }
    let pending = text("/mdm/pending_action");
    if !matches!(pending.as_str(), "" | "unlock") {
        let shown: String = pending.chars().take(64).collect();
        return Err(no(format!("has the pending action `{shown}`")));
    }
    if !settings.teams.is_empty() {
        let team = text("/team_id");
        if !settings.teams.iter().any(|id| id.to_string() == team) {
            return Err(no("is in none of the teams of the settings".to_owned()));
        }
    }
    Ok(uuid)
}

/// What changes when the host is enrolled anew.
pub(crate) fn enrolled(record: &Record) -> String {
    record
        .text("/last_mdm_enrolled_at")
        .or_else(|| record.text("/last_enrolled_at"))
        .unwrap_or_default()
}

/// No permission, or none that can be told now.
#[derive(Debug)]
pub(crate) enum Refused {
    Denied(Denial),
    NoAnswer(NoAnswer),
}

impl From<NoAnswer> for Refused {
    fn from(none: NoAnswer) -> Self {
        Self::NoAnswer(none)
    }
}

impl From<Refused> for countersign_sdk::NotApproved {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(denial) => denial.into(),
            Refused::NoAnswer(none) => none.into(),
        }
    }
}

impl From<Refused> for Denial {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(denial) => denial,
            Refused::NoAnswer(none) => none.into(),
        }
    }
}
