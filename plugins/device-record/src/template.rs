use std::str::FromStr;

use countersign_sdk::Name;

use crate::Field;

/// A name with fields of a record in braces: `CN={serial-number}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Each text with the field after it.
    steps: Vec<(String, Field)>,
    end: String,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut steps, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (word, behind) =
                after.split_once('}').ok_or("expected a field and `}` after `{`".to_owned())?;
            let field =
                Field::ALL.into_iter().find(|field| field.word() == word).ok_or_else(|| {
                    let known = Field::ALL.map(Field::word).join("`, `");
                    format!("`{word}` is no field: expected one of `{known}`")
                })?;
            steps.push((before.to_owned(), field));
            rest = behind;
        }
        if rest.contains('}') || steps.iter().any(|(before, _)| before.contains('}')) {
            return Err("expected `{` before `}`".to_owned());
        }
        let template = Self { steps, end: rest.to_owned() };
        let Some((kind, _)) = template.steps.first() else {
            return Err(
                "expected a field in braces, such as `CN={serial-number}`: one name for all \
                        devices is nobody's"
                    .to_owned(),
            );
        };
        // What kind of name it is must not depend on what is filled in.
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
    /// The fields in it.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.steps.iter().map(|(_, field)| *field)
    }

    /// The name; none where a field has no value, or one that no such name can hold.
    pub fn fill<V: AsRef<str>>(&self, value: impl Fn(Field) -> Option<V>) -> Option<Name> {
        let mut text = String::new();
        for (before, field) in &self.steps {
            let value = value(*field)?;
            let plain = Some(value.as_ref()).filter(|value| is_plain(value))?;
            text.push_str(before);
            text.push_str(plain);
        }
        text.push_str(&self.end);
        let name: Name = text.parse().ok()?;
        fits(&name).then_some(name)
    }

    /// What stands in a name at the place of the only field. `DNS:` is read without regard to case, as
    /// names of that kind are.
    pub(crate) fn read(&self, name: &Name) -> Option<String> {
        let [(before, _)] = self.steps.as_slice() else { return None };
        let is_dns = matches!(name, Name::Dns(_));
        let case = |text: &str| if is_dns { text.to_ascii_lowercase() } else { text.to_owned() };
        let rest = case(&name.to_string());
        let (kind, before) = before.split_at(before.find(['=', ':'])? + 1);
        let rest = rest.strip_prefix(&case(kind))?.strip_prefix(&case(before))?;
        let value = rest.strip_suffix(&case(&self.end))?;
        (!value.is_empty()).then(|| value.to_owned())
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
        Name::Ip(_) | Name::Other(_) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may state what they know")]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_and_read_back() {
        for (template, value, name) in [
            ("CN={serial-number}", "C02XK1", "CN=C02XK1"),
            ("URI:urn:uuid:{udid}", "17A-2", "URI:urn:uuid:17A-2"),
            ("DNS:{serial-number}.macs.example", "c02", "DNS:c02.macs.example"),
            ("SERIALNUMBER={serial-number}", "C02XK1", "SERIALNUMBER=C02XK1"),
        ] {
            let template: Template = template.parse().unwrap();
            assert_eq!(template.fill(|_| Some(value)).unwrap().to_string(), name);
            assert_eq!(template.read(&name.parse().unwrap()).as_deref(), Some(value));
        }
        let template: Template = "CN={serial-number}-mac".parse().unwrap();
        for other in ["CN=C02XK1", "O=C02XK1-mac", "CN=-mac", "DNS:C02XK1-mac"] {
            assert_eq!(template.read(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn a_value_makes_no_name_of_another_kind() {
        let template: Template = "DNS:{device-name}".parse().unwrap();
        for odd in ["Ann's Mac", "", " a", "a\n", "a\0b"] {
            assert_eq!(template.fill(|_| Some(odd)), None, "{odd:?}");
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
            "CN=}{serial-number}",
            "{udid}=x",
            "IP:{serial-number}",
            "dirName:CN={udid}",
            "FOO:{udid}",
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
    }
}
