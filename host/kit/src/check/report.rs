//! What was checked and what came of it, for a person, a script, or a CI server.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Bench;

/// Everything.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The component.
    pub component: PathBuf,
    /// `sha256:…`.
    pub digest: String,
    /// Of the file.
    pub bytes: usize,
    /// Name, version and vendor, where it can say them.
    pub plugin: Option<String>,
    /// The contract that it speaks.
    pub contract: Option<String>,
    /// The contract that this host speaks.
    pub host_contract: &'static str,
    /// Whether nothing failed.
    pub passed: bool,
    /// What was checked.
    pub checks: Vec<Checks>,
    /// The most that any call used.
    pub used: Peak,
    /// Milliseconds that it all took.
    pub milliseconds: u64,
}

/// The most that any call used.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Peak {
    /// Of linear memory.
    pub memory_bytes: usize,
    /// WebAssembly's own measure of work.
    pub fuel: u64,
    /// Of the host's functions.
    pub host_calls: u32,
    /// Of metered code on this machine.
    pub microseconds: u64,
    /// The largest answer.
    pub answer_bytes: usize,
}

/// Checks of one kind.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checks {
    /// A word.
    pub id: &'static str,
    /// What the rule is, as a sentence.
    pub rule: &'static str,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// Why there was nothing to look at.
    pub note: Option<String>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was expected, what was found, what to do; empty where there is nothing to say.
    pub detail: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it must be.
    Passed,
    /// Not as it must be.
    Failed,
    /// Good enough, and worth a look.
    Warned,
}

impl Checks {
    pub(crate) fn new(id: &'static str, rule: &'static str) -> Self {
        Self { id, rule, checks: Vec::new(), note: None }
    }

    pub(crate) fn pass(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.add(name, Outcome::Passed, detail);
    }

    pub(crate) fn fail(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.add(name, Outcome::Failed, detail);
    }

    pub(crate) fn warn(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.add(name, Outcome::Warned, detail);
    }

    /// Passed, or failed for a reason.
    pub(crate) fn judge(&mut self, name: impl Into<String>, result: Result<String, String>) {
        match result {
            Ok(detail) => self.pass(name, detail),
            Err(detail) => self.fail(name, detail),
        }
    }

    fn add(&mut self, name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), outcome, detail: detail.into() });
    }

    /// Says why there is nothing, where there is nothing.
    pub(crate) fn or_note(mut self, note: &str) -> Self {
        if self.checks.is_empty() {
            self.note = Some(note.to_owned());
        }
        self
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }

    /// The worst that there is; none where nothing was looked at.
    pub fn outcome(&self) -> Option<Outcome> {
        [Outcome::Failed, Outcome::Warned, Outcome::Passed]
            .into_iter()
            .find(|outcome| self.count(*outcome) > 0)
    }
}

impl Report {
    pub(crate) fn new(bench: &Bench<'_>, checks: Vec<Checks>, took: Duration) -> Self {
        let seen = &bench.workshop.inspection;
        let used = bench.used;
        Self {
            component: seen.path.clone(),
            digest: seen.digest.clone(),
            bytes: seen.size,
            plugin: seen.description.as_ref().map(|description| {
                let vendor = &description.vendor;
                format!("{} {} by {vendor}", description.name, description.version)
            }),
            contract: seen.contract_version.clone(),
            host_contract: seen.host_contract_version,
            passed: checks.iter().all(|group| group.count(Outcome::Failed) == 0),
            checks,
            used: Peak {
                memory_bytes: used.memory_bytes,
                fuel: used.fuel.unwrap_or_default(),
                host_calls: used.host_calls,
                microseconds: u64::try_from(used.time.as_micros()).unwrap_or(u64::MAX),
                answer_bytes: bench.answer_bytes,
            },
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// In the XML of JUnit, as CI servers read it.
    pub fn junit(&self) -> String {
        let count =
            |outcome| -> usize { self.checks.iter().map(|group| group.count(outcome)).sum() };
        let all: usize = self.checks.iter().map(|group| group.checks.len()).sum();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        // Writing to a String does not fail.
        let _ = writeln!(
            xml,
            "<testsuites name=\"countersign plugin check\" tests=\"{all}\" failures=\"{}\" \
             time=\"{}.{:03}\">",
            count(Outcome::Failed),
            self.milliseconds / 1000,
            self.milliseconds % 1000
        );
        for group in &self.checks {
            let _ = writeln!(
                xml,
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"0\">",
                group.id,
                group.checks.len(),
                group.count(Outcome::Failed)
            );
            for check in &group.checks {
                let _ = write!(
                    xml,
                    "    <testcase classname=\"{}\" name=\"{}\"",
                    group.id,
                    attribute(&check.name)
                );
                let detail = attribute(&check.detail);
                let _ = match check.outcome {
                    Outcome::Failed => {
                        let rule = attribute(group.rule);
                        writeln!(xml, "><failure message=\"{detail}\">{rule}</failure></testcase>")
                    }
                    Outcome::Warned => {
                        writeln!(xml, "><system-out>{detail}</system-out></testcase>")
                    }
                    Outcome::Passed => writeln!(xml, "/>"),
                };
            }
            xml.push_str("  </testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

/// Text for XML: its own characters escaped, and what XML 1.0 cannot hold replaced.
fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push_str(&format!("&#{};", u32::from(character))),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_xml() {
        assert_eq!(attribute("a\"<b>&\n\u{1b}"), "a&quot;&lt;b&gt;&amp;&#10;\u{fffd}");
    }
}
