use serde_json::Value;

use crate::{Field, Identity};

/// A device's record, as the device management's API gave it.
#[derive(Clone, Debug)]
pub struct Record {
    value: Value,
    place: fn(Field) -> Option<&'static str>,
}

impl Record {
    /// A record whose fields stand where `place` says (JSON pointers).
    #[must_use]
    pub fn new(value: Value, place: fn(Field) -> Option<&'static str>) -> Self {
        Self { value, place }
    }

    /// A field's value, where it has one.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<String> {
        self.text((self.place)(field)?)
    }

    /// A text or number at a JSON pointer.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<String> {
        match self.at(pointer)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// What stands at a JSON pointer.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    /// Puts another answer about the same device in, as a member of its own.
    pub fn join(&mut self, name: &str, value: Value) {
        if let Value::Object(members) = &mut self.value {
            members.insert(name.to_owned(), value);
        }
    }

    /// Whether it is the record that was asked for: APIs also find by part, or by what somebody calls
    /// his device.
    #[must_use]
    pub fn is(&self, identity: &Identity) -> bool {
        self.field(identity.field).is_some_and(|found| found.eq_ignore_ascii_case(&identity.value))
    }
}
