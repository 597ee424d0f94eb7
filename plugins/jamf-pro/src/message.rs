//! A webhook of Jamf Pro, JSON or XML: who sends it when, and what it is about.
//!
//! `{"webhook":{"webhookEvent","id","name","eventTimestamp"},"event":{…}}`, or the same as elements
//! of `<JSSEvent>`. Unsure: the members of `targetDevice` in `SCEPChallenge`, of which no recording is
//! public; read are those that Jamf Pro's other webhooks say about devices. Others that imitate this
//! webhook (Fleet, towards Smallstep) say `device` with `uuid` and `serialNumber`, and seconds in place
//! of milliseconds.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::xml;

/// From here on a time stamp is milliseconds: as seconds it would be the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message(Value);

/// `SCEPChallenge`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) scep_server_url: Option<String>,
    pub(crate) payload_identifier: Option<String>,
    pub(crate) target: Option<Sought>,
}

/// A device, as a webhook names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sought {
    pub(crate) serial_number: Option<String>,
    pub(crate) udid: Option<String>,
}

impl fmt::Display for Sought {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.serial_number, &self.udid) {
            (Some(serial), _) => write!(formatter, "device of the serial number `{serial}`"),
            (None, Some(udid)) => write!(formatter, "device of the UDID `{udid}`"),
            (None, None) => formatter.write_str("device without serial number and UDID"),
        }
    }
}

impl Message {
    /// Reads a body. What it is shows in its first character; the media type is often wrong.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let text = body.trim_ascii_start();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let value = match text.first() {
            Some(b'{') => serde_json::from_slice(text).map_err(|error| {
                format!("its JSON ends at line {}, column {}", error.line(), error.column())
            })?,
            Some(b'<') => xml::read(text)?,
            _ => return Err("expected JSON or XML".to_owned()),
        };
        let message = Self(value);
        if message.kind().is_empty() {
            return Err("expected `webhook.webhookEvent`".to_owned());
        }
        Ok(message)
    }

    /// `webhookEvent`.
    pub(crate) fn kind(&self) -> &str {
        self.0.pointer("/webhook/webhookEvent").and_then(Value::as_str).unwrap_or_default()
    }

    /// When it was sent, since 1970; milliseconds or seconds. Left out before Jamf Pro 10.12.
    pub(crate) fn timestamp(&self) -> Option<Duration> {
        let number = number(self.0.pointer("/webhook/eventTimestamp")?)?;
        Some(if number >= MILLISECONDS {
            Duration::from_millis(number)
        } else {
            Duration::from_secs(number)
        })
    }

    /// A member of the event as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.event(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// A member of the event as a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(self.event(name)?)
    }

    /// All numbers in a member of the event, however they are wrapped.
    pub(crate) fn numbers(&self, name: &str) -> Vec<u64> {
        let mut found = Vec::new();
        if let Some(value) = self.event(name) {
            collect(value, &mut found);
        }
        found
    }

    fn event(&self, name: &str) -> Option<&Value> {
        self.0.get("event")?.get(name)
    }

    /// Reads it as `SCEPChallenge`.
    pub(crate) fn challenge(&self) -> Result<Asked, String> {
        if self.kind() != "SCEPChallenge" {
            return Err(format!(
                "expected the webhook `SCEPChallenge`, found `{}`: send the others to /event/",
                shown(self.kind())
            ));
        }
        let is_scep = |value: &Value| value.as_str() == Some("com.apple.security.scep");
        let types = self.event("payloadTypes");
        let has_scep = types.is_none_or(|types| match types {
            Value::Array(types) => types.iter().any(is_scep),
            // One element in XML, by itself or wrapped.
            Value::Object(wrapped) => wrapped.values().any(|inner| {
                is_scep(inner) || inner.as_array().is_some_and(|inner| inner.iter().any(is_scep))
            }),
            one => is_scep(one) || one.as_str() == Some(""),
        });
        if !has_scep {
            return Err("the profile has no payload `com.apple.security.scep`".to_owned());
        }
        Ok(Asked {
            scep_server_url: self.text("scepServerUrl").map(str::to_owned),
            payload_identifier: self.text("payloadIdentifier").map(str::to_owned),
            target: self.target()?,
        })
    }

    fn target(&self) -> Result<Option<Sought>, String> {
        let Some(device) = self.event("targetDevice").or_else(|| self.event("device")) else {
            return Ok(None);
        };
        let member = |names: &[&str]| -> Result<Option<String>, String> {
            let found = names.iter().find_map(|name| device.get(*name)?.as_str());
            match found.map(str::trim) {
                None | Some("") => Ok(None),
                Some(value) if is_identifier(value) => Ok(Some(value.to_owned())),
                Some(_) => Err(format!("`targetDevice.{}` is none", names.join("` or `"))),
            }
        };
        let sought =
            Sought { serial_number: member(&["serialNumber"])?, udid: member(&["udid", "uuid"])? };
        match (&sought.serial_number, &sought.udid, device) {
            // An empty element is as good as none.
            (None, None, Value::Null) => Ok(None),
            (None, None, Value::String(text)) if text.trim().is_empty() => Ok(None),
            (None, None, Value::Object(members)) if members.is_empty() => Ok(None),
            // A device that cannot be told is not "no device": the challenge would be worth more.
            (None, None, _) => {
                Err("`targetDevice` has neither `serialNumber` nor `udid`".to_owned())
            }
            _ => Ok(Some(sought)),
        }
    }
}

/// Serial numbers and UDIDs: nothing that a URL or a filter would read as its own.
pub(crate) fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Part of a stranger's text, for a detail.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn collect(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        leaf => found.extend(number(leaf)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: &str = r#"{"webhook":{"webhookEvent":"SCEPChallenge","id":1,"name":"n",
        "eventTimestamp":1767225600123},"event":{"scepServerUrl":"https://s.example/scep/wifi",
        "payloadIdentifier":"P","payloadTypes":["com.apple.security.scep"],
        "targetDevice":{"serialNumber":"C02XK1","udid":"17A-2"}}}"#;

    const WITH_XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><JSSEvent><webhook><id>1</id>\
        <name>n</name><webhookEvent>SCEPChallenge</webhookEvent>\
        <eventTimestamp>1767225600123</eventTimestamp></webhook><event>\
        <scepServerUrl>https://s.example/scep/wifi</scepServerUrl>\
        <payloadIdentifier>P</payloadIdentifier>\
        <payloadTypes>com.apple.security.scep</payloadTypes>\
        <targetDevice><serialNumber>C02XK1</serialNumber><udid>17A-2</udid></targetDevice>\
        </event></JSSEvent>";

    #[test]
    fn json_and_xml_say_the_same() {
        let json = Message::read(WITH.as_bytes()).unwrap();
        let xml = Message::read(WITH_XML.as_bytes()).unwrap();
        let asked = json.challenge().unwrap();
        assert_eq!(asked, xml.challenge().unwrap());
        assert_eq!(json.timestamp(), xml.timestamp());
        assert_eq!(json.timestamp(), Some(Duration::from_millis(1_767_225_600_123)));
        let target = asked.target.unwrap();
        assert_eq!(target.serial_number.as_deref(), Some("C02XK1"));
        assert_eq!(target.udid.as_deref(), Some("17A-2"));
    }

    #[test]
    fn seconds_are_told_from_milliseconds() {
        let text = WITH.replace("1767225600123", "1767225600");
        let sent = Message::read(text.as_bytes()).unwrap().timestamp();
        assert_eq!(sent, Some(Duration::from_secs(1_767_225_600)));
    }

    #[test]
    fn no_target_device_is_none_and_one_that_cannot_be_told_is_an_error() {
        let target = |device: &str| {
            let text = WITH.replace(r#"{"serialNumber":"C02XK1","udid":"17A-2"}"#, device);
            Message::read(text.as_bytes()).unwrap().challenge().map(|asked| asked.target)
        };
        for none in ["null", "{}", "\"\""] {
            assert_eq!(target(none), Ok(None), "{none}");
        }
        for odd in [
            "\"C02XK1\"",
            "17",
            r#"{"deviceName":"mac"}"#,
            r#"{"serialNumber":"C02\" or id==\"1"}"#,
            r#"{"serialNumber":"a b"}"#,
            r#"{"udid":"../x"}"#,
        ] {
            assert!(target(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn others_that_imitate_it_name_the_device_in_their_own_way() {
        let text = WITH.replace("targetDevice", "device").replace("udid", "uuid");
        let asked = Message::read(text.as_bytes()).unwrap().challenge().unwrap();
        assert_eq!(asked.target.unwrap().udid.as_deref(), Some("17A-2"));
    }

    #[test]
    fn what_is_no_webhook_for_a_challenge_is_refused() {
        for bad in ["", "names=CN=a", "[]", "{}", "{\"webhook\":{}}", "<a/>", "<JSSEvent>", "{"] {
            assert!(Message::read(bad.as_bytes()).is_err(), "{bad}");
        }
        for (from, to) in
            [("SCEPChallenge", "ComputerAdded"), ("com.apple.security.scep", "com.apple.mdm")]
        {
            let text = WITH.replace(from, to);
            assert!(Message::read(text.as_bytes()).unwrap().challenge().is_err(), "{to}");
        }
    }

    #[test]
    fn numbers_are_found_however_they_are_wrapped() {
        let message = |event: &str| {
            let head = r#"{"webhook":{"webhookEvent":"x"},"event":"#;
            Message::read(format!("{head}{event}}}").as_bytes()).unwrap()
        };
        assert_eq!(message(r#"{"ids":[1,"2"]}"#).numbers("ids"), [1, 2]);
        assert_eq!(message(r#"{"ids":{"int":["3","4"]}}"#).numbers("ids"), [3, 4]);
        assert_eq!(message(r#"{"ids":"5"}"#).numbers("ids"), [5]);
        assert!(message(r#"{"ids":"x"}"#).numbers("ids").is_empty());
    }
}
