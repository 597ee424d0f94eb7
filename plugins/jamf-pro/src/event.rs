//! Webhooks about devices that leave: each becomes orders to revoke.
//!
//! Jamf Pro has no webhook for a computer that is removed. What it has: `MobileDeviceUnEnrolled`;
//! `ComputerPushCapabilityChanged`, sent when a computer's management profile comes or goes; and
//! membership of smart groups, with which an admin can tell any state ("not managed", "lost").

use countersign_sdk::{Action, Denial, DenialCode, Event, Host, Reason};

use crate::api;
use crate::message::{Message, shown};
use crate::record::{Kind, is_id};
use crate::settings::Settings;

/// The kinds that lead to something.
pub(crate) const KINDS: [&str; 4] = [
    "MobileDeviceUnEnrolled",
    "ComputerPushCapabilityChanged",
    "SmartGroupComputerMembershipChange",
    "SmartGroupMobileDeviceMembershipChange",
];

/// Orders that one answer may hold.
const MOST: usize = 256;

/// What an event leads to.
pub(crate) fn actions(
    settings: &Settings,
    event: &Event,
    host: &Host,
) -> Result<Vec<Action>, Denial> {
    let message = Message::read(&event.body).map_err(|why| {
        let detail = format!("this is no webhook of Jamf Pro: {why}");
        Denial::new(DenialCode::NotSupported, detail)
    })?;
    match message.kind() {
        // Jamf Pro's forms and its documents differ in one capital.
        kind if kind.eq_ignore_ascii_case("MobileDeviceUnEnrolled") => {
            // On its word alone: were the API asked and out of order, nobody would send it again.
            let id = record_id(&message)?;
            Ok(vec![revoke(&message, Kind::MobileDevice, &id, "it was unenrolled")])
        }
        "ComputerPushCapabilityChanged" => capability(settings, &message, host),
        "SmartGroupComputerMembershipChange" => {
            let groups = &settings.revoke_groups.computers;
            entered(&message, Kind::Computer, |group| groups.contains(&group))
        }
        "SmartGroupMobileDeviceMembershipChange" => {
            let groups = &settings.revoke_groups.mobile_devices;
            entered(&message, Kind::MobileDevice, |group| groups.contains(&group))
        }
        kind => {
            host.log().debug(format!("a webhook `{}` leads to nothing", shown(kind)));
            Ok(Vec::new())
        }
    }
}

/// The capability came or went: the record says which.
fn capability(settings: &Settings, message: &Message, host: &Host) -> Result<Vec<Action>, Denial> {
    let id = record_id(message)?;
    let record = api::by_id(settings, Kind::Computer, &id, host)?;
    // Gone, or there and not managed; one that does not say is left alone.
    if record.is_none_or(|record| record.managed() == Some(false)) {
        Ok(vec![revoke(message, Kind::Computer, &id, "it is no longer managed")])
    } else {
        Ok(Vec::new())
    }
}

fn entered(
    message: &Message,
    kind: Kind,
    revokes: impl Fn(u64) -> bool,
) -> Result<Vec<Action>, Denial> {
    let group = message.number("jssid").or_else(|| message.number("jssID")).ok_or_else(|| {
        Denial::new(DenialCode::NotSupported, "the webhook does not say which group (`jssid`)")
    })?;
    if !revokes(group) {
        return Ok(Vec::new());
    }
    let devices = message.numbers("groupAddedDevicesIds");
    if devices.len() > MOST {
        // Half of them would be forgotten: an admin must look.
        let detail = format!(
            "{} devices entered group {group} at once, at most {MOST} are revoked by one webhook: \
             revoke them by hand",
            devices.len()
        );
        return Err(Denial::new(DenialCode::Other("too-many-devices".to_owned()), detail));
    }
    let why = format!("it entered smart group {group}");
    Ok(devices.iter().map(|id| revoke(message, kind, &id.to_string(), &why)).collect())
}

fn record_id(message: &Message) -> Result<String, Denial> {
    let id = message.number("jssID").or_else(|| message.number("jssid"));
    id.map(|id| id.to_string()).filter(|id| is_id(id)).ok_or_else(|| {
        Denial::new(DenialCode::NotSupported, "the webhook does not say which device (`jssID`)")
    })
}

/// The same webhook again makes the same id, and repeats nothing.
fn revoke(message: &Message, kind: Kind, id: &str, why: &str) -> Action {
    let device = kind.device_id(id);
    let sent = message.timestamp().map_or(0, |sent| sent.as_millis());
    let detail = format!("Jamf Pro, {}: {why}", shown(message.kind()));
    let name = format!("{device}/{}/{sent}", shown(message.kind()));
    Action::revoke_device(name, device, Reason::CessationOfOperation, detail)
}
