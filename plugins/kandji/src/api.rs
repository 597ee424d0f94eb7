//! Kandji's API, read only: `GET /api/v1/devices?serial_number=…`, `/devices/<id>`,
//! `/devices/<id>/details` for the UDID, and `/devices/<id>/commands` for a wipe that waits.

use countersign_device_record::{Field, Identity, NoAnswer, Question, Record, is_identifier};
use countersign_sdk::{Denial, DenialCode, Host, NotApproved};
use serde_json::Value;

use crate::settings::Settings;

/// The API token, by the name that the configuration gives it.
pub const CREDENTIAL: &str = "kandji-api";

/// The member of a record that holds its details.
const DETAILS: &str = "details";
/// Commands that one answer is asked to hold; the API gives no more.
const COMMANDS: usize = 300;
/// The number by which the API says that a command failed.
const FAILED: u64 = 4;

/// Where a record has a field.
fn place(field: Field) -> Option<&'static str> {
    match field {
        Field::SerialNumber => Some("/serial_number"),
        Field::Udid => Some("/details/hardware_overview/udid"),
        Field::Uuid => Some("/device_id"),
        Field::RecordId => None,
        Field::DeviceName => Some("/device_name"),
        Field::AssetTag => Some("/asset_tag"),
        Field::Username => Some("/user/name"),
        Field::Email => Some("/user/email"),
    }
}

/// The only record of a device.
pub(crate) fn find(
    settings: &Settings,
    sought: &Identity,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    let value = &sought.value;
    let path = match sought.field {
        Field::Uuid => format!("devices/{value}"),
        // Identifiers are letters, digits and hyphens.
        _ => format!("devices?serial_number={value}&limit=10"),
    };
    let found = match ask(settings, &path, host)? {
        None => return Ok(None),
        Some(Value::Array(found)) if sought.field != Field::Uuid => found,
        Some(one @ Value::Object(_)) if sought.field == Field::Uuid => vec![one],
        Some(_) => return Err(NoAnswer::new("Kandji's answer holds no devices")),
    };
    // Filters of the API may find more than what is equal.
    let mut found =
        found.into_iter().map(|value| Record::new(value, place)).filter(|record| record.is(sought));
    match (found.next(), found.next()) {
        (record, None) => Ok(record),
        _ => Err(NoAnswer::new("Kandji holds several records that fit: delete the old ones")),
    }
}

/// Whether a record is one of a device that may have a certificate; its id.
pub(crate) fn permitted(
    settings: &Settings,
    record: &Record,
    host: &Host,
) -> Result<String, NotApproved> {
    let device = record
        .field(Field::Uuid)
        .filter(|id| is_identifier(id))
        .ok_or_else(|| NoAnswer::new("a record of Kandji's has no device_id"))?;
    let no = |why: &str| Denial::new(DenialCode::DeviceNotPermitted, format!("{device} {why}"));
    if flag(record, "/is_removed")? {
        return Err(no("was removed from Kandji").into());
    }
    if !flag(record, "/mdm_enabled")? {
        return Err(no("is in Kandji's inventory, and not managed by it").into());
    }
    if record.text("/lost_mode_status").is_some_and(|status| !status.trim().is_empty()) {
        return Err(no("is in Lost Mode, or was: end it in Kandji").into());
    }
    if settings.commands && is_to_be_erased(settings, record, &device, host)? {
        return Err(no("has been told to erase itself since it was enrolled").into());
    }
    Ok(device)
}

/// The record with its details, where the names need them.
pub(crate) fn with_details(
    settings: &Settings,
    mut record: Record,
    device: &str,
    host: &Host,
) -> Result<Record, NoAnswer> {
    if settings.needs(Field::Udid) {
        let details = ask(settings, &format!("devices/{device}/details"), host)?
            .ok_or_else(|| NoAnswer::new("Kandji has a device, and no details of it"))?;
        record.join(DETAILS, details);
    }
    Ok(record)
}

/// An erase command younger than the enrolment: one that waits, or one that was carried out without a
/// new enrolment. One that failed is none.
fn is_to_be_erased(
    settings: &Settings,
    record: &Record,
    device: &str,
    host: &Host,
) -> Result<bool, NoAnswer> {
    let answer = ask(settings, &format!("devices/{device}/commands?limit={COMMANDS}"), host)?;
    let answer = answer.ok_or_else(|| NoAnswer::new("Kandji has no commands of a device"))?;
    let Some(commands) = answer.pointer("/commands/results").and_then(Value::as_array) else {
        return Err(NoAnswer::new("Kandji's answer has no list `commands.results`"));
    };
    let text = |command: &Value, member: &str| {
        command.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let enrolled = moment(&record.text("/last_enrollment").unwrap_or_default());
    Ok(commands.iter().any(|command| {
        let asked = moment(&text(command, "date_requested"));
        text(command, "command_type") == "EraseDevice"
            && command.get("status").and_then(Value::as_u64) != Some(FAILED)
            // One whose time is not said is taken for new.
            && (asked.is_empty() || asked >= enrolled)
    }))
}

/// A time as it can be compared: the API writes `2024-05-13 20:09:27…` and `2024-05-13T20:09:27…`.
fn moment(text: &str) -> String {
    text.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A truth value, which the API writes as such or as `"True"`.
fn flag(record: &Record, pointer: &str) -> Result<bool, NoAnswer> {
    match record.at(pointer) {
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(NoAnswer::new(format!("a record of Kandji's does not say `{pointer}`"))),
    }
}

fn ask(settings: &Settings, path: &str, host: &Host) -> Result<Option<Value>, NoAnswer> {
    let question = Question {
        vendor: "Kandji",
        url: format!("{}/api/v1/{path}", settings.url),
        credential: CREDENTIAL,
        headers: vec![("accept", "application/json".to_owned())],
        timeout: settings.timeout(),
        privilege: "the permissions Device list, Device details, and Device commands",
    };
    question.ask(host)
}
