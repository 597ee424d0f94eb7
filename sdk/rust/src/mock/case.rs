//! Golden cases: one JSON file each, so that a new case is a file and not code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::recording::{Recorded, Recording};
use super::{Host, certificate, challenge, request};
use crate::time::from_unix_seconds;
use crate::{
    Certificate, Name, NotApproved, Request, RequestKind, SubjectAttribute, Verdict, Verifier,
    Vouched, settings,
};

/// Runs every `*.json` of a folder, each on a host of its own, and compares what the verifier
/// answers. A relative folder is one of the crate under test.
///
/// ```no_run
/// # use countersign_sdk::{mock, Verifier};
/// # fn example<MyVerifier: Verifier>() {
/// // #[test]
/// fn golden_cases<MyVerifier: Verifier>() -> Result<(), mock::CaseFailures> {
///     mock::run_cases::<MyVerifier>("cases")
/// }
/// # }
/// ```
///
/// The form of a file is told in `sdk/README.md`.
///
/// # Errors
///
/// [`CaseFailures`], with everything that went otherwise; also where the folder holds no case.
pub fn run_cases<V: Verifier>(folder: impl AsRef<Path>) -> Result<(), CaseFailures> {
    run_cases_on::<V>(folder, |_| {})
}

/// As [`run_cases`], on hosts that the test prepares: with
/// [`answer_mac`](Host::answer_mac), for a verifier that uses keys.
///
/// # Errors
///
/// As [`run_cases`].
pub fn run_cases_on<V: Verifier>(
    folder: impl AsRef<Path>,
    prepare: impl Fn(&Host),
) -> Result<(), CaseFailures> {
    let folder = folder.as_ref();
    let files = match list(folder) {
        Ok(files) if files.is_empty() => Err("holds no case (*.json)".to_owned()),
        other => other,
    };
    let failures = match files {
        Err(text) => vec![(folder.to_owned(), text)],
        Ok(files) => files
            .into_iter()
            .filter_map(|file| run::<V>(&file, &prepare).err().map(|text| (file, text)))
            .collect(),
    };
    if failures.is_empty() { Ok(()) } else { Err(CaseFailures(failures)) }
}

/// The cases that went otherwise than they say. `Debug` is as readable as `Display`, as it is what
/// the test harness shows.
#[derive(thiserror::Error)]
pub struct CaseFailures(Vec<(PathBuf, String)>);

impl fmt::Display for CaseFailures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, text) in &self.0 {
            write!(formatter, "\n  {}: {text}", file.display())?;
        }
        Ok(())
    }
}

impl fmt::Debug for CaseFailures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot be read: {error}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot be read: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn run<V: Verifier>(file: &Path, prepare: &impl Fn(&Host)) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let case: Case = settings::read(&text)
        .map_err(|problem| format!("is no case: {} {}", problem.pointer, problem.text))?;
    case.check::<V>(prepare)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// For the reader: what the case shows.
    #[serde(rename = "summary")]
    _summary: String,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    host: HostState,
    /// What came before, on the same host. Their answers are not compared.
    #[serde(default)]
    earlier: Vec<Asked>,
    request: Option<Asked>,
    expect: Expected,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HostState {
    now: Option<u64>,
    #[serde(default)]
    challenges: Vec<Kept>,
    #[serde(default)]
    kv: BTreeMap<String, String>,
    /// What is sent and answered, in order. Nothing else may be sent.
    #[serde(default)]
    http: Vec<Recorded>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kept {
    text: String,
    #[serde(default)]
    names: Vec<NameText>,
    device_id: Option<String>,
    profile: Option<String>,
    expires: Option<u64>,
    #[serde(default)]
    state: KeptState,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptState {
    #[default]
    Open,
    HeldByAnother,
    Spent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Asked {
    #[serde(default)]
    kind: Kind,
    profile: String,
    #[serde(default)]
    subject: Vec<Step>,
    #[serde(default)]
    subject_alternative_names: Vec<NameText>,
    challenge: Option<String>,
    path_suffix: Option<String>,
    transaction_id: Option<String>,
    /// The certificate that a renewal leans on.
    current_certificate: Option<Current>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Another verifier of the profile denies.
    #[serde(default)]
    denied_elsewhere: bool,
    /// A certificate was issued for it afterwards.
    #[serde(default)]
    issued: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Current {
    serial_number: String,
    #[serde(default)]
    subject: Vec<NameText>,
    #[serde(default)]
    subject_alternative_names: Vec<NameText>,
    #[serde(default)]
    not_before: u64,
    /// Seconds since 1970; left out: never.
    not_after: Option<u64>,
    /// True unless it says else.
    host_validated: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Initial,
    Renewal,
}

/// One RDN: `"CN=a"`, or `["CN=a", "UID=b"]` for a multi-valued one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    One(NameText),
    Many(Vec<NameText>),
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct NameText(Name);

impl TryFrom<String> for NameText {
    type Error = crate::NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(tag = "verdict", deny_unknown_fields, rename_all = "kebab-case")]
enum Expected {
    #[serde(rename_all = "kebab-case")]
    Approve {
        /// The names, or null for "exactly as requested".
        vouched: Option<Vec<String>>,
        device_id: Option<String>,
    },
    Deny {
        code: String,
        /// A part of the detail.
        detail: Option<String>,
    },
    Pending,
    Unavailable,
    /// The settings are refused, with these pointers.
    Settings {
        problems: Vec<String>,
    },
}

impl Case {
    fn check<V: Verifier>(mut self, prepare: &impl Fn(&Host)) -> Result<(), String> {
        let text = Value::Object(self.settings).to_string();
        let problems = settings::check::<V>(&text);
        if let Expected::Settings { problems: expected } = &self.expect {
            let found: Vec<_> = problems.into_iter().map(|problem| problem.pointer).collect();
            return same("pointers to problems", expected, &found);
        }
        if let Some(problem) = problems.first() {
            return Err(problem.to_string());
        }
        let settings: V::Settings = settings::read(&text).map_err(|problem| problem.to_string())?;

        let recorded = Recording::new(std::mem::take(&mut self.host.http));
        let host = self.host.build();
        prepare(&host);
        recorded.play(&host);
        for asked in self.earlier {
            let _ = asked.ask::<V>(&host, &settings)?;
        }
        let asked =
            self.request.ok_or("no request: only `settings` can be expected without one")?;
        let verdict = asked.ask::<V>(&host, &settings)?;
        recorded.check()?;
        self.expect.compare(&verdict)
    }
}

impl HostState {
    fn build(self) -> Host {
        let host = Host::new();
        if let Some(now) = self.now {
            host.set_now(from_unix_seconds(now));
        }
        for (key, value) in self.kv {
            host.set_kv(key, value);
        }
        for kept in self.challenges {
            let mut state = challenge(kept.text).names(kept.names.into_iter().map(|name| name.0));
            if let Some(id) = kept.device_id {
                state = state.device_id(id);
            }
            if let Some(profile) = kept.profile {
                state = state.profile(profile);
            }
            if let Some(expires) = kept.expires {
                state = state.expires(from_unix_seconds(expires));
            }
            for (name, value) in kept.attributes {
                state = state.attribute(name, value);
            }
            host.keep(match kept.state {
                KeptState::Open => state,
                KeptState::HeldByAnother => state.held_by_another(),
                KeptState::Spent => state.spent(),
            });
        }
        host
    }
}

impl Asked {
    fn ask<V: Verifier>(self, host: &Host, settings: &V::Settings) -> Result<Verdict, String> {
        let (denied_elsewhere, issued) = (self.denied_elsewhere, self.issued);
        let request = self.build()?;
        let verdict = if denied_elsewhere {
            host.verify_beside_a_denial::<V>(settings, &request)
        } else {
            host.verify::<V>(settings, &request)
        };
        if issued {
            host.issued(&request);
        }
        Ok(verdict)
    }

    fn build(self) -> Result<Request, String> {
        let mut builder = request(self.profile);
        if let Some(current) = self.current_certificate {
            let validated = current.host_validated.unwrap_or(true);
            builder = builder.renewal_of(current.build()?, validated);
        }
        builder = builder.kind(match self.kind {
            Kind::Initial => RequestKind::Initial,
            Kind::Renewal => RequestKind::Renewal,
        });
        for step in self.subject {
            let step = match step {
                Step::One(name) => vec![name],
                Step::Many(names) => names,
            };
            builder = builder.rdn(
                step.into_iter().map(|name| subject_attribute(name.0)).collect::<Result<_, _>>()?,
            );
        }
        for NameText(name) in self.subject_alternative_names {
            if matches!(name, Name::SubjectAttribute(_)) {
                return Err(format!("`{name}` belongs into `subject`"));
            }
            builder = builder.name(name);
        }
        if let Some(challenge) = self.challenge {
            builder = builder.challenge(challenge);
        }
        if let Some(suffix) = self.path_suffix {
            builder = builder.path_suffix(suffix);
        }
        if let Some(id) = self.transaction_id {
            builder = builder.transaction_id(id);
        }
        for (name, value) in self.attributes {
            builder = builder.attribute(name, value);
        }
        Ok(builder.build())
    }
}

impl Current {
    fn build(self) -> Result<Certificate, String> {
        // The largest end that a certificate can have (RFC 5280 §4.1.2.5): 9999-12-31.
        let not_after = self.not_after.unwrap_or(253_402_300_799);
        let mut builder = certificate(self.serial_number)
            .valid(from_unix_seconds(self.not_before), from_unix_seconds(not_after));
        for NameText(name) in self.subject {
            builder = builder.name(Name::SubjectAttribute(subject_attribute(name)?));
        }
        for NameText(name) in self.subject_alternative_names {
            if matches!(name, Name::SubjectAttribute(_)) {
                return Err(format!("`{name}` belongs into `subject`"));
            }
            builder = builder.name(name);
        }
        Ok(builder.build())
    }
}

fn subject_attribute(name: Name) -> Result<SubjectAttribute, String> {
    match name {
        Name::SubjectAttribute(attribute) => Ok(attribute),
        other => Err(format!("`{other}` belongs into `subject-alternative-names`")),
    }
}

impl Expected {
    fn compare(&self, verdict: &Verdict) -> Result<(), String> {
        match (self, verdict) {
            (Self::Approve { vouched, device_id }, Ok(approval)) => {
                let found = match approval.vouched() {
                    Vouched::ExactlyAsRequested => None,
                    Vouched::Names(names) => Some(names.iter().map(Name::to_string).collect()),
                };
                same("vouched", vouched, &found)?;
                same("device-id", &device_id.as_deref(), &approval.device())
            }
            (Self::Deny { code, detail }, Err(NotApproved::Deny(denial))) => {
                same("code", &code.as_str(), &denial.code.as_str())?;
                let part = detail.as_deref().unwrap_or_default();
                if denial.detail.is_empty() || !denial.detail.contains(part) {
                    let found = &denial.detail;
                    return Err(format!("expected `{part}` in the detail, found `{found}`"));
                }
                Ok(())
            }
            (Self::Pending, Err(NotApproved::Pending(_)))
            | (Self::Unavailable, Err(NotApproved::Unavailable(_))) => Ok(()),
            (Self::Approve { .. }, found) => Err(format!("expected approve, found {found:?}")),
            (Self::Deny { code, .. }, found) => {
                Err(format!("expected deny {code}, found {found:?}"))
            }
            (Self::Pending, found) => Err(format!("expected pending, found {found:?}")),
            (Self::Unavailable, found) => Err(format!("expected unavailable, found {found:?}")),
            (Self::Settings { .. }, _) => Ok(()),
        }
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}
