//! How much a plug-in may say. What is over, or is not text fit for a ledger, makes the whole
//! answer malformed: a cut answer could mean something else than the whole one.

use super::{
    Act, Action, Approval, Attributes, Batch, Challenge, ChallengeBinding, Denial, DenialCode,
    Description, Name, Power, Problem, Retry, Target, Verdict, Vouched,
};

const TEXT: usize = 4 * 1024;
const SCHEMA: usize = 64 * 1024;
const LIST: usize = 256;
const ATTRIBUTES: usize = 64;
const WORD: usize = 64;
const DEVICE_ID: usize = 256;
const MEMO: usize = 4 * 1024;
const CHALLENGE: usize = 255;

/// An answer that is over a limit or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, found {found}")]
pub struct Malformed {
    /// Which part of the answer.
    pub field: &'static str,
    /// What the contract says.
    pub expected: String,
    /// What came.
    pub found: String,
}

/// Answers check themselves before anybody reads them.
pub(crate) trait Check {
    /// Refuses what is over a limit.
    fn check(&self) -> Result<(), Malformed>;
}

/// Checks one text of an answer: at most `most` bytes, no control characters but line feed and tab.
pub fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), Malformed> {
    at_most(field, "bytes", text.len(), most)?;
    match text.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t')) {
        None => Ok(()),
        Some(found) => Err(Malformed {
            field,
            expected: "text without control characters".into(),
            found: format!("U+{:04X}", u32::from(found)),
        }),
    }
}

/// Characters that are not seen but change what is: C0, C1, and the marks that turn the direction of
/// text.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks names that a plug-in speaks of: how many, how long, nothing unprintable inside.
pub fn check_names(field: &'static str, names: &[Name]) -> Result<(), Malformed> {
    at_most(field, "names", names.len(), LIST)?;
    names.iter().try_for_each(|name| {
        let value = match name {
            Name::SubjectAttribute(attribute) => {
                one_line(field, &attribute.attribute_type, WORD)?;
                &attribute.value
            }
            Name::Dns(value)
            | Name::Email(value)
            | Name::Uri(value)
            | Name::Ip(value)
            | Name::Upn(value)
            | Name::Other(value) => value,
        };
        one_line(field, value, TEXT)
    })
}

/// Checks what a challenge shall stand for.
pub fn check_binding(binding: &ChallengeBinding) -> Result<(), Malformed> {
    check_names("binding.names", &binding.names)?;
    device_id(binding.device_id.as_deref())?;
    attributes("binding.attributes", &binding.attributes)
}

/// Whether attributes are few and short enough.
pub(crate) fn attributes_fit(list: &Attributes) -> bool {
    attributes("attributes", list).is_ok()
}

impl Check for Verdict {
    fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Approve(approval) => approval.check(),
            Self::Deny(denial) => denial.check(),
            Self::Pending(retry) | Self::Unavailable(retry) => retry.check(),
        }
    }
}

impl Check for Approval {
    fn check(&self) -> Result<(), Malformed> {
        match &self.vouched {
            Vouched::ExactlyAsRequested => {}
            Vouched::Names(names) => check_names("approval.vouched", names)?,
        }
        device_id(self.device_id.as_deref())?;
        at_most("approval.memo", "bytes", self.memo.len(), MEMO)?;
        attributes("approval.evidence", &self.evidence)?;
        attributes("approval.attributes", &self.attributes)
    }
}

impl Check for Denial {
    fn check(&self) -> Result<(), Malformed> {
        if let DenialCode::Other(word) = &self.code {
            kebab("denial.code", word)?;
        }
        check_text("denial.detail", &self.detail, TEXT)?;
        attributes("denial.attributes", &self.attributes)
    }
}

impl Check for Retry {
    fn check(&self) -> Result<(), Malformed> {
        check_text("retry.detail", &self.detail, TEXT)?;
        attributes("retry.attributes", &self.attributes)
    }
}

impl Check for Challenge {
    fn check(&self) -> Result<(), Malformed> {
        let text = self.text.expose();
        at_most("challenge.text", "bytes", text.len(), CHALLENGE)?;
        if text.is_empty() || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(Malformed {
                field: "challenge.text",
                expected: "1 to 255 bytes of printable ASCII".into(),
                found: "something else".into(),
            });
        }
        attributes("challenge.attributes", &self.attributes)
    }
}

impl Check for Vec<Action> {
    fn check(&self) -> Result<(), Malformed> {
        at_most("actions", "actions", self.len(), LIST)?;
        self.iter().try_for_each(Check::check)
    }
}

impl Check for Action {
    fn check(&self) -> Result<(), Malformed> {
        one_line("action.id", &self.id, DEVICE_ID)?;
        match &self.act {
            Act::Other(word) => kebab("action.act", word)?,
            Act::Revoke(revocation) => {
                check_text("revocation.detail", &revocation.detail, TEXT)?;
                match &revocation.target {
                    Target::Device(device) => device_id(Some(device))?,
                    Target::Certificate { issuer, serial_number } => {
                        one_line("target.issuer", issuer, TEXT)?;
                        one_line("target.serial-number", serial_number, WORD)?;
                    }
                }
            }
        }
        attributes("action.attributes", &self.attributes)
    }
}

impl Check for Batch {
    fn check(&self) -> Result<(), Malformed> {
        self.actions.check()?;
        at_most("batch.cursor", "bytes", self.cursor.len(), MEMO)?;
        attributes("batch.attributes", &self.attributes)
    }
}

impl Check for Vec<Problem> {
    fn check(&self) -> Result<(), Malformed> {
        at_most("problems", "problems", self.len(), LIST)?;
        self.iter().try_for_each(|problem| {
            one_line("problem.pointer", &problem.pointer, TEXT)?;
            check_text("problem.text", &problem.text, TEXT)
        })
    }
}

impl Check for Description {
    fn check(&self) -> Result<(), Malformed> {
        kebab("description.name", &self.name)?;
        one_line("description.version", &self.version, WORD)?;
        one_line("description.vendor", &self.vendor, DEVICE_ID)?;
        one_line("description.summary", &self.summary, TEXT)?;
        check_text("description.settings-schema", &self.settings_schema, SCHEMA)?;
        at_most("description.wants", "wants", self.wants.len(), LIST)?;
        for want in &self.wants {
            one_line("want.why", &want.why, TEXT)?;
            match &want.power {
                Power::Host(text) | Power::Secret(text) | Power::Other(text) => {
                    one_line("want.power", text, DEVICE_ID)?;
                }
                Power::Challenges | Power::Kv | Power::ExactlyAsRequested | Power::Revocation => {}
            }
        }
        at_most("description.events", "events", self.events.len(), LIST)?;
        self.events.iter().try_for_each(|event| one_line("description.events", event, WORD))?;
        at_most("description.links", "links", self.links.len(), ATTRIBUTES)?;
        for link in &self.links {
            one_line("description.links", &link.kind, WORD)?;
            one_line("description.links", &link.url, TEXT)?;
        }
        attributes("description.attributes", &self.attributes)
    }
}

fn device_id(id: Option<&str>) -> Result<(), Malformed> {
    match id {
        None => Ok(()),
        Some("") => Err(Malformed {
            field: "device-id",
            expected: "1 to 256 bytes, or none".into(),
            found: "an empty text".into(),
        }),
        Some(id) => one_line("device-id", id, DEVICE_ID),
    }
}

fn attributes(field: &'static str, list: &Attributes) -> Result<(), Malformed> {
    at_most(field, "attributes", list.len(), ATTRIBUTES)?;
    list.iter().try_for_each(|(name, value)| {
        one_line(field, name, WORD)?;
        check_text(field, value, TEXT)
    })
}

fn kebab(field: &'static str, word: &str) -> Result<(), Malformed> {
    at_most(field, "bytes", word.len(), WORD)?;
    let fits = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        return Ok(());
    }
    Err(Malformed {
        field,
        expected: "a lower-case kebab word".into(),
        found: word.escape_debug().to_string(),
    })
}

fn one_line(field: &'static str, text: &str, most: usize) -> Result<(), Malformed> {
    check_text(field, text, most)?;
    if text.contains(['\n', '\t']) {
        return Err(Malformed {
            field,
            expected: "one line".into(),
            found: "a line feed or tab".into(),
        });
    }
    Ok(())
}

fn at_most(field: &'static str, unit: &str, found: usize, most: usize) -> Result<(), Malformed> {
    if found <= most {
        return Ok(());
    }
    Err(Malformed { field, expected: format!("at most {most} {unit}"), found: found.to_string() })
}
