use std::fmt;

use countersign_sdk::{Denial, DenialCode, Problem, Request};

use crate::{Field, Template};

/// What a request says which device it is from: nothing but a place to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is.
    pub field: Field,
    /// Letters, digits and hyphens.
    pub value: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "device of the {} `{}`", self.field.word(), self.value)
    }
}

/// Reads it where the setting `identity` says: exactly one name of the request must be of that form.
///
/// # Errors
/// `name-mismatch`: no name is, several are, or what it says is no identifier.
pub fn identity(template: &str, request: &Request) -> Result<Identity, Denial> {
    let mismatch = |detail: String| Denial::new(DenialCode::NameMismatch, detail);
    let form: Template = template.parse().map_err(mismatch)?;
    let field = form.fields().next().ok_or_else(|| mismatch("no field".to_owned()))?;
    let mut found = request.names().filter_map(|name| form.read(&name));
    let (Some(value), None) = (found.next(), found.next()) else {
        return Err(mismatch(format!(
            "expected exactly one name of the form `{template}` in the request: does the profile of \
             the device management put it there, and does the setting `identity` say where?"
        )));
    };
    if !is_identifier(&value) {
        return Err(mismatch(format!(
            "what stands in the request at `{template}` is no {}: expected 1 to 64 letters, digits \
             and hyphens",
            field.word()
        )));
    }
    Ok(Identity { field, value })
}

/// What is wrong with the setting `identity`, where devices can be looked up by the fields `by`.
#[must_use]
pub fn identity_problem(template: &str, by: &[Field]) -> Option<Problem> {
    let words = || by.iter().map(|field| format!("`{{{}}}`", field.word())).collect::<Vec<_>>();
    let text = match template.parse::<Template>() {
        Err(why) => why,
        Ok(form) => {
            let fields: Vec<_> = form.fields().collect();
            if matches!(fields.as_slice(), [field] if by.contains(field)) {
                return None;
            }
            format!("expected exactly one field, out of {}", words().join(", "))
        }
    };
    Some(Problem::new("/identity", text))
}

/// Serial numbers, UDIDs and UUIDs: nothing that a URL would read as its own.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
