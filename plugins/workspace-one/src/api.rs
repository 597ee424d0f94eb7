//! UEM's REST API, read only: `GET /API/mdm/devices?searchby=…&id=…`, version 1.

use countersign_device_record::{Field, Identity, NoAnswer, Question, Record};
use countersign_sdk::{Denial, DenialCode, Host, NotApproved};
use serde_json::Value;

use crate::settings::Settings;

/// The account or OAuth client, by the name that the configuration gives it.
pub const CREDENTIAL: &str = "workspace-one-api";

/// Where a record has a field.
fn place(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::SerialNumber => "/SerialNumber",
        Field::Udid => "/Udid",
        Field::Uuid => "/Uuid",
        Field::RecordId => "/Id/Value",
        Field::DeviceName => "/DeviceFriendlyName",
        Field::AssetTag => "/AssetNumber",
        Field::Username => "/UserName",
        Field::Email => "/UserEmailAddress",
    })
}

/// The record of a device.
pub(crate) fn find(
    settings: &Settings,
    sought: &Identity,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    let by = if sought.field == Field::Udid { "Udid" } else { "Serialnumber" };
    let question = Question {
        vendor: "Workspace ONE UEM",
        // Identifiers are letters, digits and hyphens.
        url: format!("{}/API/mdm/devices?searchby={by}&id={}", settings.url, sought.value),
        credential: CREDENTIAL,
        headers: vec![
            ("accept", "application/json;version=1".to_owned()),
            ("aw-tenant-code", settings.tenant_code.clone()),
        ],
        timeout: settings.timeout(),
        privilege: "a role that may read devices over the REST API, in the organization group of \
                    the API key",
    };
    match question.ask(host)? {
        None => Ok(None),
        Some(value @ Value::Object(_)) => {
            let record = Record::new(value, place);
            if record.is(sought) {
                Ok(Some(record))
            } else {
                Err(NoAnswer::new("Workspace ONE UEM answered with another device's record"))
            }
        }
        Some(_) => Err(NoAnswer::new("Workspace ONE UEM's answer is no record of a device")),
    }
}

/// Whether a record is one of a device that may have a certificate; its id.
pub(crate) fn permitted(settings: &Settings, record: &Record) -> Result<String, NotApproved> {
    let device = record
        .field(Field::RecordId)
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && id != "0")
        .ok_or_else(|| NoAnswer::new("a record of Workspace ONE UEM's has no `Id.Value`"))?;
    let no = |code, why: String| Denial::new(code, format!("device {device} {why}"));
    let status = said(record, "/EnrollmentStatus")?;
    if status != "Enrolled" {
        let why = format!("has the enrolment status `{}`, not `Enrolled`", short(&status));
        return Err(no(DenialCode::DeviceNotPermitted, why).into());
    }
    if !settings.ownership.is_empty() {
        let found = said(record, "/Ownership")?;
        if !settings.ownership.iter().any(|ownership| ownership.letter() == found) {
            let why = format!("has the ownership `{}`, not one of the settings", short(&found));
            return Err(no(DenialCode::DeviceNotPermitted, why).into());
        }
    }
    if !settings.organization_groups.is_empty() {
        let group = said(record, "/LocationGroupId/Id/Value")?;
        if !settings.organization_groups.iter().any(|id| id.to_string() == group) {
            let why =
                format!("is in organization group {}, not one of the settings", short(&group));
            return Err(no(DenialCode::DeviceNotPermitted, why).into());
        }
    }
    if settings.require_compliant {
        let found = said(record, "/ComplianceStatus")?;
        if found != "Compliant" {
            let why = format!("has the compliance status `{}`, not `Compliant`", short(&found));
            return Err(no(DenialCode::DeviceNotCompliant, why).into());
        }
    }
    if record.at("/CompromisedStatus") == Some(&Value::Bool(true)) {
        return Err(no(DenialCode::DeviceNotCompliant, "is compromised".to_owned()).into());
    }
    Ok(device)
}

/// A record that does not say what is checked is not the record that was meant.
fn said(record: &Record, pointer: &str) -> Result<String, NoAnswer> {
    record.text(pointer).ok_or_else(|| {
        NoAnswer::new(format!("a record of Workspace ONE UEM's does not say `{pointer}`"))
    })
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
