//! The question for a challenge as Fleet asks it of Smallstep: JSON in the form of Jamf Pro's webhook
//! `SCEPChallenge`, its time in seconds. An empty body is a question from the NDES page.

use std::time::Duration;

use countersign_device_record::{Field, Identity, is_identifier};
use serde_json::Value;

/// From here on a time stamp is milliseconds, as Jamf Pro has it: as seconds it would be the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// What Fleet says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// When it was sent, since 1970.
    pub(crate) sent: Option<Duration>,
    /// The device, where Fleet says one; its UUID before its serial number.
    pub(crate) device: Vec<Identity>,
}

impl Asked {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            format!("its JSON ends at line {}, column {}", error.line(), error.column())
        })?;
        if value.pointer("/webhook/webhookEvent").and_then(Value::as_str) != Some("SCEPChallenge") {
            return Err("expected `webhook.webhookEvent` to be `SCEPChallenge`".to_owned());
        }
        if let Some(types) = value.pointer("/event/payloadTypes").and_then(Value::as_array) {
            let is_scep = |kind: &Value| kind.as_str() == Some("com.apple.security.scep");
            if !types.iter().any(is_scep) {
                return Err("the profile has no payload `com.apple.security.scep`".to_owned());
            }
        }
        let sent = value.pointer("/webhook/eventTimestamp").and_then(Value::as_u64);
        let sent = sent.map(|number| {
            if number >= MILLISECONDS {
                Duration::from_millis(number)
            } else {
                Duration::from_secs(number)
            }
        });
        let device =
            value.pointer("/event/device").or_else(|| value.pointer("/event/targetDevice"));
        let device = match device {
            None | Some(Value::Null) => Vec::new(),
            Some(device) => said(device)?,
        };
        Ok(Self { sent, device })
    }
}

/// A device that cannot be told is not "no device": the challenge would be worth more.
fn said(device: &Value) -> Result<Vec<Identity>, String> {
    let mut found = Vec::new();
    for (field, members) in
        [(Field::Uuid, ["uuid", "udid"]), (Field::SerialNumber, ["serialNumber", "serial_number"])]
    {
        let value = members.iter().find_map(|member| device.get(member)?.as_str());
        match value.map(str::trim) {
            None | Some("") => {}
            Some(value) if is_identifier(value) => {
                found.push(Identity { field, value: value.to_owned() });
            }
            Some(_) => return Err(format!("the device's {} is none", field.word())),
        }
    }
    if found.is_empty() {
        return Err("the device has neither `uuid` nor `serialNumber`".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"webhook":{"webhookEvent":"SCEPChallenge","id":1,"name":"fleet",
        "eventTimestamp":1767225600},"event":{"scepServerUrl":"https://s.example/scep/macs",
        "payloadIdentifier":"P","payloadTypes":["com.apple.security.scep"]}}"#;

    #[test]
    fn a_body_is_read_with_and_without_device_in_seconds_and_in_milliseconds() {
        assert_eq!(Asked::read(b" "), Ok(Asked::default()));
        let asked = Asked::read(BODY.as_bytes()).unwrap();
        assert_eq!(asked.sent, Some(Duration::from_secs(1_767_225_600)));
        assert!(asked.device.is_empty());
        let in_ms = BODY.replace("1767225600", "1767225600123");
        let sent = Asked::read(in_ms.as_bytes()).unwrap().sent;
        assert_eq!(sent, Some(Duration::from_millis(1_767_225_600_123)));
        let with = BODY.replace(
            "\"payloadIdentifier\"",
            "\"device\":{\"uuid\":\"H-1\",\"serialNumber\":\"C02\"},\"payloadIdentifier\"",
        );
        let device = Asked::read(with.as_bytes()).unwrap().device;
        assert_eq!(device.len(), 2);
        assert_eq!((device[0].field, device[0].value.as_str()), (Field::Uuid, "H-1"));
    }

    #[test]
    fn what_is_no_such_question_is_refused() {
        let device = |device: &str| {
            BODY.replace("\"payloadIdentifier\"", &format!("\"device\":{device},\"p\""))
        };
        for bad in [
            "{}".to_owned(),
            "names=CN%3Da".to_owned(),
            r#"{"names":["CN=a"]}"#.to_owned(),
            BODY.replace("SCEPChallenge", "ComputerAdded"),
            BODY.replace("com.apple.security.scep", "com.apple.mdm"),
            device("{}"),
            device("\"H-1\""),
            device(r#"{"uuid":"../x"}"#),
            device(r#"{"hostname":"mac"}"#),
        ] {
            assert!(Asked::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
