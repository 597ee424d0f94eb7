//! Names with fields of a record in braces: `CN={serial-number}`.

use std::str::FromStr;

use countersign_sdk::Name;
use schemars::JsonSchema;
use serde::Deserialize;

/// A field of an inventory record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The hardware's serial number.
    SerialNumber,
    /// The device's UDID.
    Udid,
    /// Jamf Pro's management id.
    ManagementId,
    /// The record's id in Jamf Pro.
    RecordId,
    /// What the device is called: a user can change it.
    DeviceName,
    /// The asset tag, which `jamf recon` on the device can set.
    AssetTag,
    /// The user that the device is assigned to, which `jamf recon` on the device can set.
    Username,
    /// That user's mail address.
    Email,
}

/// All of them.
const FIELDS: [Field; 8] = [
    Field::SerialNumber,
    Field::Udid,
    Field::ManagementId,
    Field::RecordId,
    Field::DeviceName,
    Field::AssetTag,
    Field::Username,
    Field::Email,
];

impl Field {
    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::SerialNumber => "serial-number",
            Self::Udid => "udid",
            Self::ManagementId => "management-id",
            Self::RecordId => "record-id",
            Self::DeviceName => "device-name",
            Self::AssetTag => "asset-tag",
            Self::Username => "username",
            Self::Email => "email",
        }
    }

    /// Whether somebody with the device in his hands can change it.
    pub fn is_user_changeable(self) -> bool {
        match self {
            Self::SerialNumber | Self::Udid | Self::ManagementId | Self::RecordId => false,
            Self::DeviceName | Self::AssetTag | Self::Username | Self::Email => true,
        }
    }

    /// Whether it is about who uses the device.
    pub(crate) fn is_of_user(self) -> bool {
        matches!(self, Self::Username | Self::Email)
    }
}

/// A name to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, behind) = after
                .split_once('}')
                .ok_or("expected a field and a closing brace after `{`".to_owned())?;
            let field = FIELDS.into_iter().find(|field| field.word() == word).ok_or_else(|| {
                let known = FIELDS.map(Field::word).join("`, `");
                format!("`{word}` is no field: expected one of `{known}`")
            })?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(field));
            rest = behind;
        }
        if rest.contains('}') {
            return Err("expected `{` before `}`".to_owned());
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        if template.fields().next().is_none() {
            return Err(
                "expected a field in braces, such as `CN={serial-number}`: one name for all \
                        devices is nobody's"
                    .to_owned(),
            );
        }
        // What kind of name it is must not depend on what is filled in.
        let kind = text.split('{').next().unwrap_or_default();
        let can_be_filled = ["a1", "a1@b.example"]
            .into_iter()
            .any(|value| template.fill(|_| Some(value)).is_some());
        if !kind.contains(['=', ':']) || !can_be_filled {
            return Err(format!(
                "`{text}` is no name: expected `CN=`, another attribute of a subject, `DNS:`, \
                 `email:`, `URI:` or `UPN:` before the first field"
            ));
        }
        Ok(template)
    }
}

impl Template {
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(field) => Some(*field),
        })
    }

    /// The name; none where a field has no value, or one that no such name can hold.
    pub(crate) fn fill<'v>(&self, value: impl Fn(Field) -> Option<&'v str>) -> Option<Name> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(field) => text.push_str(value(*field).filter(|value| is_plain(value))?),
            }
        }
        let name: Name = text.parse().ok()?;
        fits(&name).then_some(name)
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && !value.chars().any(char::is_control)
}

/// Names of the kinds that have a form of their own; "Ann's Mac" is no DNS name.
fn fits(name: &Name) -> bool {
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    match name {
        Name::SubjectAttribute(_) => true,
        Name::Dns(text) => plain(text, b"-."),
        Name::Email(text) | Name::Upn(text) => plain(text, b"-._+@") && text.contains('@'),
        Name::Uri(text) => text.bytes().all(|byte| byte.is_ascii_graphic()),
        // An address is no field of a record, and the rest has a syntax that values could break.
        Name::Ip(_) | Name::Other(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, value: &str) -> Option<String> {
        let template: Template = template.parse().unwrap();
        template.fill(|_| Some(value)).map(|name| name.to_string())
    }

    #[test]
    fn a_field_is_put_where_its_braces_stand() {
        assert_eq!(fill("CN={serial-number}", "C02XK1").as_deref(), Some("CN=C02XK1"));
        assert_eq!(fill("URI:urn:uuid:{udid}", "17A-2").as_deref(), Some("URI:urn:uuid:17A-2"));
        assert_eq!(
            fill("DNS:{serial-number}.devices.example", "c02").as_deref(),
            Some("DNS:c02.devices.example")
        );
    }

    #[test]
    fn a_value_makes_no_name_of_another_kind() {
        assert_eq!(fill("CN={device-name}", "a,O=b").as_deref(), Some("CN=a,O=b"));
        assert_eq!(fill("DNS:{device-name}", "Ann's Mac"), None);
        assert_eq!(fill("email:{email}", "no-address"), None);
        for odd in ["", " a", "a\n", "a\u{0}b"] {
            assert_eq!(fill("CN={device-name}", odd), None, "{odd:?}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in [
            "CN=device",
            "{serial-number}",
            "CN={serial}",
            "CN={serial-number",
            "CN=serial-number}",
            "{udid}=x",
            "IP:{serial-number}",
            "dirName:CN={udid}",
            "FOO:{udid}",
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
    }
}
