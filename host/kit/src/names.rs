//! Names between the text of cases and command lines and the sandbox's types.

use countersign_sandbox::model::{Name, SubjectAttribute};

/// Reads a name in the one form that it has everywhere, with nothing made equal that is written
/// otherwise: what a case says is what the plug-in sees.
pub(crate) fn read(text: &str) -> Result<Name, String> {
    let refuse = || {
        format!(
            "`{text}` is no name: expected a subject attribute such as `CN=device-17`, or `DNS:`, \
             `email:`, `URI:`, `IP:`, `UPN:`, `dirName:` or `otherName:` and a value"
        )
    };
    let at = text.find(['=', ':']).ok_or_else(refuse)?;
    let (kind, rest) = text.split_at(at);
    let value = rest.get(1..).unwrap_or_default().to_owned();
    if kind.is_empty() || value.is_empty() {
        return Err(refuse());
    }
    match (kind, rest.starts_with('=')) {
        (_, true) if is_attribute_type(kind) => {
            let attribute_type = kind.to_owned();
            Ok(Name::SubjectAttribute(SubjectAttribute { attribute_type, value }))
        }
        ("DNS", false) => Ok(Name::Dns(value)),
        ("email", false) => Ok(Name::Email(value)),
        ("URI", false) => Ok(Name::Uri(value)),
        ("IP", false) => Ok(Name::Ip(value)),
        ("UPN", false) => Ok(Name::Upn(value)),
        ("dirName" | "otherName", false) => Ok(Name::Other(text.to_owned())),
        _ => Err(refuse()),
    }
}

fn is_attribute_type(kind: &str) -> bool {
    let short = kind.bytes().all(|byte| byte.is_ascii_alphabetic());
    let dotted = kind.contains('.')
        && kind
            .split('.')
            .all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()));
    short || dotted
}

pub(crate) fn read_all(texts: &[String]) -> Result<Vec<Name>, String> {
    texts.iter().map(|text| read(text)).collect()
}

/// A name that must be an attribute of the subject.
pub(crate) fn read_attribute(text: &str) -> Result<SubjectAttribute, String> {
    match read(text)? {
        Name::SubjectAttribute(attribute) => Ok(attribute),
        _ => Err(format!("`{text}` belongs into `subject-alternative-names`")),
    }
}

/// Names that must not be attributes of the subject.
pub(crate) fn read_alternative(texts: &[String]) -> Result<Vec<Name>, String> {
    let names = read_all(texts)?;
    match names.iter().find(|name| matches!(name, Name::SubjectAttribute(_))) {
        Some(name) => Err(format!("`{name}` belongs into `subject`")),
        None => Ok(names),
    }
}

/// One name as a plug-in sees it.
pub(crate) fn to_plugin(name: &countersign_profile::Name) -> Name {
    use countersign_profile::SanKind;
    match name {
        countersign_profile::Name::Attribute(attribute) => {
            Name::SubjectAttribute(to_attribute(attribute))
        }
        countersign_profile::Name::San(san) => {
            let text = san.to_string();
            let value = text.split_once(':').map_or("", |(_, value)| value).to_owned();
            match san.kind() {
                SanKind::Dns => Name::Dns(value),
                SanKind::Email => Name::Email(value),
                SanKind::Uri => Name::Uri(value),
                SanKind::Ip => Name::Ip(value),
                SanKind::Upn => Name::Upn(value),
                SanKind::Directory | SanKind::Other => Name::Other(text),
            }
        }
    }
}

pub(crate) fn to_attribute(attribute: &countersign_profile::Attribute) -> SubjectAttribute {
    SubjectAttribute {
        attribute_type: attribute.type_name_for_plugins(),
        value: attribute.value().to_owned(),
    }
}
