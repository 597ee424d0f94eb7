//! Golden cases: one JSON file each, so that a new case is a file and not code.

use std::path::{Path, PathBuf};
use std::{fmt, iter};

use countersign_cases::{
    Asked, Case, Current, Expected, HostState, KeptState, RequestKind as Kind, Script, read_all,
};
use serde_json::Value;

use super::recording::Recording;
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
    let cases = match read_all(folder) {
        Ok(cases) if cases.is_empty() => Err("holds no case (*.json)".to_owned()),
        Ok(cases) => Ok(cases),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    let failures: Vec<_> = match cases {
        Err(text) => iter::once((folder.to_owned(), text)).collect(),
        Ok(cases) => cases
            .into_iter()
            .filter_map(|(file, case)| {
                let checked = match case {
                    Ok(found) => check::<V>(found.case, &prepare),
                    Err(error) => Err(error.to_string()),
                };
                checked.err().map(|text| (file, text))
            })
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

fn check<V: Verifier>(mut case: Case, prepare: &impl Fn(&Host)) -> Result<(), String> {
    let text = Value::Object(case.settings).to_string();
    let problems = settings::check::<V>(&text);
    if let Expected::Settings { problems: expected } = &case.expect {
        let found: Vec<_> = problems.into_iter().map(|problem| problem.pointer).collect();
        return same("pointers to problems", expected, &found);
    }
    if let Some(problem) = problems.first() {
        return Err(problem.to_string());
    }
    let settings: V::Settings = settings::read(&text).map_err(|problem| problem.to_string())?;

    let recording = Recording::new(Script::new(std::mem::take(&mut case.host.http)));
    let host = build_host(case.host)?;
    prepare(&host);
    recording.play(&host);
    for asked in case.earlier {
        let _ = ask::<V>(asked, &host, &settings)?;
    }
    let asked = case.request.ok_or("no request: only `settings` can be expected without one")?;
    let verdict = ask::<V>(asked, &host, &settings)?;
    recording.check()?;
    compare(&case.expect, &verdict)
}

fn build_host(state: HostState) -> Result<Host, String> {
    let host = Host::new();
    host.set_now(from_unix_seconds(state.now()));
    for (key, value) in state.kv {
        host.set_kv(key, value);
    }
    for (name, value) in state.secrets {
        host.set_secret(name, value);
    }
    for kept in state.challenges {
        let mut built = challenge(kept.text).names(names(&kept.names)?);
        if let Some(id) = kept.device_id {
            built = built.device_id(id);
        }
        if let Some(profile) = kept.profile {
            built = built.profile(profile);
        }
        if let Some(expires) = kept.expires {
            built = built.expires(from_unix_seconds(expires));
        }
        for (name, value) in kept.attributes {
            built = built.attribute(name, value);
        }
        host.keep(match kept.state {
            KeptState::Open => built,
            KeptState::HeldByAnother => built.held_by_another(),
            KeptState::Spent => built.spent(),
        });
    }
    Ok(host)
}

fn ask<V: Verifier>(asked: Asked, host: &Host, settings: &V::Settings) -> Result<Verdict, String> {
    let (denied_elsewhere, issued) = (asked.denied_elsewhere, asked.issued);
    let request = build_request(asked)?;
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

fn build_request(asked: Asked) -> Result<Request, String> {
    let mut builder = request(asked.profile);
    if let Some(current) = asked.current_certificate {
        let validated = current.host_validated.unwrap_or(true);
        builder = builder.renewal_of(build_certificate(current)?, validated);
    }
    builder = builder.kind(match asked.kind {
        Kind::Initial => RequestKind::Initial,
        Kind::Renewal => RequestKind::Renewal,
    });
    for step in &asked.subject {
        let step: Result<_, _> = names(step.names())?.into_iter().map(subject_attribute).collect();
        builder = builder.rdn(step?);
    }
    for name in alternative_names(&asked.subject_alternative_names)? {
        builder = builder.name(name);
    }
    if let Some(challenge) = asked.challenge {
        builder = builder.challenge(challenge);
    }
    if let Some(suffix) = asked.path_suffix {
        builder = builder.path_suffix(suffix);
    }
    if let Some(id) = asked.transaction_id {
        builder = builder.transaction_id(id);
    }
    for (name, value) in asked.attributes {
        builder = builder.attribute(name, value);
    }
    Ok(builder.build())
}

fn build_certificate(current: Current) -> Result<Certificate, String> {
    let not_after = current.not_after.unwrap_or(Current::LATEST);
    let mut builder = certificate(current.serial_number)
        .valid(from_unix_seconds(current.not_before), from_unix_seconds(not_after));
    for name in names(&current.subject)? {
        builder = builder.name(Name::SubjectAttribute(subject_attribute(name)?));
    }
    for name in alternative_names(&current.subject_alternative_names)? {
        builder = builder.name(name);
    }
    Ok(builder.build())
}

fn names(texts: &[String]) -> Result<Vec<Name>, String> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: crate::NameError| error.to_string()))
        .collect()
}

fn alternative_names(texts: &[String]) -> Result<Vec<Name>, String> {
    let names = names(texts)?;
    match names.iter().find(|name| matches!(name, Name::SubjectAttribute(_))) {
        Some(name) => Err(format!("`{name}` belongs into `subject`")),
        None => Ok(names),
    }
}

fn subject_attribute(name: Name) -> Result<SubjectAttribute, String> {
    match name {
        Name::SubjectAttribute(attribute) => Ok(attribute),
        other => Err(format!("`{other}` belongs into `subject-alternative-names`")),
    }
}

fn compare(expected: &Expected, verdict: &Verdict) -> Result<(), String> {
    match (expected, verdict) {
        (Expected::Approve { vouched, device_id }, Ok(approval)) => {
            let found = match approval.vouched() {
                Vouched::ExactlyAsRequested => None,
                Vouched::Names(names) => Some(names.iter().map(Name::to_string).collect()),
            };
            same("vouched", vouched, &found)?;
            same("device-id", &device_id.as_deref(), &approval.device())
        }
        (Expected::Deny { code, detail }, Err(NotApproved::Deny(denial))) => {
            same("code", &code.as_str(), &denial.code.as_str())?;
            let part = detail.as_deref().unwrap_or_default();
            if denial.detail.is_empty() || !denial.detail.contains(part) {
                let found = &denial.detail;
                return Err(format!("expected `{part}` in the detail, found `{found}`"));
            }
            Ok(())
        }
        (Expected::Pending, Err(NotApproved::Pending(_)))
        | (Expected::Unavailable, Err(NotApproved::Unavailable(_))) => Ok(()),
        (Expected::Approve { .. }, found) => Err(format!("expected approve, found {found:?}")),
        (Expected::Deny { code, .. }, found) => {
            Err(format!("expected deny {code}, found {found:?}"))
        }
        (Expected::Pending, found) => Err(format!("expected pending, found {found:?}")),
        (Expected::Unavailable, found) => Err(format!("expected unavailable, found {found:?}")),
        (Expected::Settings { .. }, _) => Ok(()),
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}
