//! What expressions know, and which expression knows what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cel::objects::Key;
use cel::{Env, Value};
use countersign_sdk::{
    Attributes, Binding, Context, CurrentCertificate, KeyAlgorithm, Name,
    RelativeDistinguishedName, Request, RequestKind,
};
use serde_json::Value as Json;

use crate::settings::{ChallengeUse, Settings};

/// The variables that a place in the settings knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    request: bool,
    challenge: bool,
    device: bool,
}

impl Known {
    /// A rule knows everything.
    pub(crate) const RULE: Self = Self { request: true, challenge: true, device: true };
    /// Names and device ids are vouched for: never from what a stranger says.
    pub(crate) const VOUCHED: Self = Self { request: false, challenge: true, device: true };
    /// Nor is the device that is looked up.
    pub(crate) const LOOK_UP: Self = Self { request: false, challenge: true, device: false };

    /// Less what these settings do not fill.
    pub(crate) fn of(self, settings: &Settings) -> Self {
        Self {
            challenge: self.challenge && settings.challenge != ChallengeUse::Ignored,
            device: self.device && settings.look_up.is_some(),
            ..self
        }
    }

    /// Why a variable is not known here; none where it is.
    pub(crate) fn refusal(self, name: &str) -> Option<String> {
        let known = match name {
            "current" => true,
            "now" | "request" => self.request,
            "challenge" => self.challenge,
            "device" => self.device,
            _ => false,
        };
        if known {
            return None;
        }
        Some(match name {
            "request" => "`request` is what a stranger says, and is not known here: take it from \
                          `challenge`, `current` or `device`"
                .to_owned(),
            "challenge" => "`challenge` is not known: set `challenge` to \"required\" or \
                            \"if-present\""
                .to_owned(),
            "device" => "`device` is not known here: it is what `look-up` finds".to_owned(),
            _ => format!("expected one of {}, found `{name}`", self.list()),
        })
    }

    fn list(self) -> String {
        let mut names = vec!["`current`"];
        if self.request {
            names.extend(["`request`", "`now`"]);
        }
        if self.challenge {
            names.push("`challenge`");
        }
        if self.device {
            names.push("`device`");
        }
        names.join(", ")
    }
}

/// The variables of one call.
pub(crate) struct Values {
    variables: Vec<(&'static str, Value)>,
    environment: Arc<Env>,
}

impl Values {
    /// What is known of every request. The challenge itself is not: it is a secret.
    pub(crate) fn new(context: &Context, request: &Request) -> Self {
        let kind = match request.kind {
            RequestKind::Initial => "initial",
            RequestKind::Renewal => "renewal",
            RequestKind::Other(_) => "other",
        };
        let key = map([
            ("algorithm", text(algorithm(&request.key.algorithm))),
            ("bits", Value::Int(request.key.bits.into())),
            ("spki_sha256", text(hex(&request.key.spki_sha256))),
        ]);
        let described = map([
            ("kind", text(kind)),
            ("profile", text(&request.profile)),
            ("path_suffix", text(&request.path_suffix)),
            ("transaction_id", text(&request.transaction_id)),
            ("attempt", Value::Int(request.attempt.into())),
            ("names", texts(request.names().map(|name| name.to_string()))),
            ("subject", subject(&request.subject)),
            ("sans", sans(&request.subject_alternative_names)),
            ("key", key),
            ("extended_key_usages", texts(request.extended_key_usages.iter().cloned())),
            ("source_address", optional(request.source_address.as_deref())),
            ("has_challenge", Value::Bool(request.challenge.is_some())),
            ("attributes", attributes(&request.attributes)),
        ]);
        let variables = vec![
            ("request", described),
            ("challenge", Value::Null),
            ("current", Value::Null),
            ("device", Value::Null),
            ("now", seconds(context.now)),
        ];
        Self { variables, environment: Arc::new(Env::stdlib()) }
    }

    /// CEL's standard functions: made once for all expressions of a call.
    pub(crate) fn environment(&self) -> Arc<Env> {
        Arc::clone(&self.environment)
    }

    /// What the challenge was issued for.
    pub(crate) fn challenge(&mut self, binding: &Binding) {
        let described = map([
            ("names", texts(binding.names.iter().map(Name::to_string))),
            ("device_id", optional(binding.device_id.as_deref())),
            ("attributes", attributes(&binding.attributes)),
        ]);
        self.set("challenge", described);
    }

    /// The certificate that the host validated.
    pub(crate) fn current(&mut self, current: &CurrentCertificate) {
        let certificate = &current.certificate;
        let of_subject = certificate.subject.iter().flatten().map(ToString::to_string);
        let of_sans = certificate.subject_alternative_names.iter().map(Name::to_string);
        let described = map([
            ("serial_number", text(&certificate.serial_number)),
            ("issuer", text(&certificate.issuer)),
            ("names", texts(of_subject.chain(of_sans))),
            ("subject", subject(&certificate.subject)),
            ("sans", sans(&certificate.subject_alternative_names)),
            ("not_before", seconds(certificate.not_before)),
            ("not_after", seconds(certificate.not_after)),
        ]);
        self.set("current", described);
    }

    /// What the look-up found.
    pub(crate) fn device(&mut self, record: &Json) {
        self.set("device", of_json(record));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.variables.iter().map(|(name, value)| (*name, value))
    }

    fn set(&mut self, name: &'static str, value: Value) {
        if let Some(entry) = self.variables.iter_mut().find(|entry| entry.0 == name) {
            entry.1 = value;
        }
    }
}

fn algorithm(algorithm: &KeyAlgorithm) -> &str {
    match algorithm {
        KeyAlgorithm::Rsa => "rsa",
        KeyAlgorithm::EcP256 => "ec-p256",
        KeyAlgorithm::EcP384 => "ec-p384",
        KeyAlgorithm::EcP521 => "ec-p521",
        KeyAlgorithm::Ed25519 => "ed25519",
        KeyAlgorithm::Other(name) => name,
    }
}

/// The first value of each type: `subject.CN`.
fn subject(steps: &[RelativeDistinguishedName]) -> Value {
    let mut members = HashMap::new();
    for attribute in steps.iter().flatten() {
        members.entry(Key::from(attribute.kind.as_str())).or_insert_with(|| text(&attribute.value));
    }
    members.into()
}

fn sans(names: &[Name]) -> Value {
    texts(names.iter().map(Name::to_string))
}

/// The first value of each name.
fn attributes(attributes: &Attributes) -> Value {
    let mut members = HashMap::new();
    for (name, value) in attributes.iter() {
        members.entry(Key::from(name)).or_insert_with(|| text(value));
    }
    members.into()
}

fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::Int(number),
            (None, Some(number), _) => Value::UInt(number),
            (None, None, number) => Value::Float(number.unwrap_or(f64::NAN)),
        },
        Json::String(found) => text(found),
        Json::Array(list) => Value::List(Arc::new(list.iter().map(of_json).collect())),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (Key::from(name.as_str()), of_json(value)))
            .collect::<HashMap<_, _>>()
            .into(),
    }
}

fn map<const COUNT: usize>(members: [(&str, Value); COUNT]) -> Value {
    members.into_iter().collect::<HashMap<_, _>>().into()
}

fn text(text: impl AsRef<str>) -> Value {
    text.as_ref().into()
}

fn optional(found: Option<&str>) -> Value {
    found.map_or(Value::Null, text)
}

fn texts(list: impl Iterator<Item = String>) -> Value {
    Value::List(Arc::new(list.map(text).collect()))
}

fn seconds(time: SystemTime) -> Value {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Value::Int(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
