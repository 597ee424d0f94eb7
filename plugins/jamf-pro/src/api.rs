//! Questions to the Jamf Pro API: which record a device has. Two end points, read only.
//!
//! `GET /api/<version>/computers-inventory` and `GET /api/v2/mobile-devices/detail`, both with an RSQL
//! filter; privileges "Read Computers" and "Read Mobile Devices". The host puts the access token in
//! (OAuth 2.0 client credentials at `/api/oauth/token`) and fetches a fresh one after a 401.

use std::time::Duration;

use countersign_sdk::{
    Denial, DenialCode, Host, HttpError, HttpRequest, HttpResponse, NotApproved, Retry,
};
use serde_json::Value;

use crate::message::Sought;
use crate::record::{Kind, Record};
use crate::settings::{DeviceKind, Settings};
use crate::template::Field;

/// The API client, by the name that the configuration gives it.
pub const CREDENTIAL: &str = "jamf-pro-api";

/// How soon to ask again.
const RETRY: Duration = Duration::from_secs(30);

/// What Jamf Pro says instead of an answer, and when to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer(Retry);

impl From<HttpError> for NoAnswer {
    fn from(error: HttpError) -> Self {
        Self(Retry::new(RETRY, format!("Jamf Pro: {error}")))
    }
}

impl From<NoAnswer> for NotApproved {
    fn from(NoAnswer(retry): NoAnswer) -> Self {
        Self::Unavailable(retry)
    }
}

/// Where only a denial can be answered, the word by which the host knows "not now".
impl From<NoAnswer> for Denial {
    fn from(NoAnswer(retry): NoAnswer) -> Self {
        Self::new(DenialCode::Other("host-unavailable".to_owned()), retry.detail)
    }
}

/// A device's only record.
pub(crate) fn find(
    settings: &Settings,
    sought: &Sought,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    for kind in &settings.devices {
        let kind = match kind {
            DeviceKind::Computers => Kind::Computer,
            DeviceKind::MobileDevices => Kind::MobileDevice,
        };
        let (field, value) = match (&sought.serial_number, &sought.udid) {
            (Some(serial), _) => (Field::SerialNumber, serial),
            (None, Some(udid)) => (Field::Udid, udid),
            (None, None) => return Ok(None),
        };
        let found = ask(settings, kind, field, value, host)?;
        // A webhook that says both must mean one device by them.
        let is_meant = |record: &Record| {
            same(record.field(Field::SerialNumber), sought.serial_number.as_deref())
                && same(record.field(Field::Udid), sought.udid.as_deref())
        };
        if let Some(record) = found.filter(is_meant) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The record of an id.
pub(crate) fn by_id(
    settings: &Settings,
    kind: Kind,
    id: &str,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    let found = ask(settings, kind, Field::RecordId, id, host)?;
    Ok(found.filter(|record| record.field(Field::RecordId) == Some(id)))
}

/// Whether what was found is what was sought, where something was.
fn same(found: Option<&str>, sought: Option<&str>) -> bool {
    sought.is_none_or(|sought| found.is_some_and(|found| found.eq_ignore_ascii_case(sought)))
}

fn ask(
    settings: &Settings,
    kind: Kind,
    field: Field,
    value: &str,
    host: &Host,
) -> Result<Option<Record>, NoAnswer> {
    let url = url(settings, kind, field, value);
    let request = || {
        HttpRequest::get(&url)
            .header("accept", "application/json")
            .auth(CREDENTIAL)
            .timeout(settings.timeout())
    };
    let mut response = host.http().send(request())?;
    if response.status == 401 {
        // The token may just have ended: the host has a fresh one now.
        response = host.http().send(request())?;
    }
    read(kind, &response)
}

fn url(settings: &Settings, kind: Kind, field: Field, value: &str) -> String {
    let base = settings.url.trim_end_matches('/');
    let user = if settings.wants_user() { "&section=USER_AND_LOCATION" } else { "" };
    let (path, filter) = match (kind, field) {
        (Kind::Computer, Field::RecordId) => (None, "id"),
        (Kind::Computer, Field::Udid) => (None, "udid"),
        (Kind::Computer, _) => (None, "hardware.serialNumber"),
        (Kind::MobileDevice, Field::RecordId) => (Some(()), "mobileDeviceId"),
        (Kind::MobileDevice, Field::Udid) => (Some(()), "udid"),
        (Kind::MobileDevice, _) => (Some(()), "serialNumber"),
    };
    let path = match path {
        None => format!("{}/computers-inventory", settings.computers_inventory.segment()),
        Some(()) => "v2/mobile-devices/detail".to_owned(),
    };
    // The value is letters, digits and hyphens: see `message::is_identifier`.
    format!(
        "{base}/api/{path}?section=GENERAL&section=HARDWARE{user}&page=0&page-size=2&\
         filter={filter}%3D%3D%22{value}%22"
    )
}

fn read(kind: Kind, response: &HttpResponse) -> Result<Option<Record>, NoAnswer> {
    let no_answer = |detail: String| NoAnswer(Retry::new(RETRY, detail));
    match response.status {
        200 => {}
        401 => {
            return Err(no_answer(
                "Jamf Pro refuses the access token twice: is the API client enabled, and is the \
                 credential `jamf-pro-api` its own?"
                    .to_owned(),
            ));
        }
        403 => {
            return Err(no_answer(
                "Jamf Pro answers 403: give the API role \"Read Computers\" and \"Read Mobile \
                 Devices\", or leave a kind out of `devices`"
                    .to_owned(),
            ));
        }
        404 => {
            return Err(no_answer(
                "Jamf Pro answers 404: it does not have this end point; set another version as \
                 `computers-inventory`"
                    .to_owned(),
            ));
        }
        status => {
            let after = response.header("retry-after").and_then(|text| text.trim().parse().ok());
            let after = after.map_or(RETRY, Duration::from_secs);
            return Err(NoAnswer(Retry::new(after, format!("Jamf Pro answers {status}"))));
        }
    }
    let page: Value = response.json()?;
    let Some(results) = page.get("results").and_then(Value::as_array) else {
        return Err(no_answer("Jamf Pro's answer has no list `results`".to_owned()));
    };
    match results.as_slice() {
        [] => Ok(None),
        [one] => Record::read(kind, one.clone())
            .map(Some)
            .ok_or_else(|| no_answer("a record of Jamf Pro's has no id".to_owned())),
        // Two records of one serial number are nobody's device, until an admin has deleted one.
        _ => {
            Err(no_answer("Jamf Pro holds several records that fit: delete the old one".to_owned()))
        }
    }
}
