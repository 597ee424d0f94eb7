//! Names between the text of cases and command lines and the sandbox's types.

use countersign_sandbox::model::{Name, SubjectAttribute};

/// Reads a name in the one form that it has everywhere.
pub(crate) fn read(text: &str) -> Result<Name, String> {
    let name: countersign_profile::Name =
        text.parse().map_err(|error| format!("`{text}` is no name: {error}"))?;
    Ok(to_plugin(&name))
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
        attribute_type: attribute.type_name(),
        value: attribute.value().to_owned(),
    }
}
