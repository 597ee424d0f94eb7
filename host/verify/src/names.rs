//! Names between the plug-ins' words and the profile's. Both have the same flat text form.

use countersign_profile::{Attribute, Name, NameError, Rdn, San, SanKind, Subject};
use countersign_sandbox::model;

/// A name that a plug-in spoke of, read strictly.
pub(crate) fn from_plugin(name: &model::Name) -> Result<Name, NameError> {
    name.to_string().parse()
}

/// A subject as a plug-in sees it.
pub(crate) fn subject(subject: &Subject) -> Vec<model::RelativeDistinguishedName> {
    subject.rdns().iter().map(rdn).collect()
}

/// Alternative names as a plug-in sees them.
pub(crate) fn sans(sans: &[San]) -> Vec<model::Name> {
    sans.iter().map(san).collect()
}

/// One name as a plug-in sees it.
pub(crate) fn to_plugin(name: &Name) -> model::Name {
    match name {
        Name::Attribute(one) => model::Name::SubjectAttribute(attribute(one)),
        Name::San(one) => san(one),
    }
}

fn rdn(rdn: &Rdn) -> model::RelativeDistinguishedName {
    rdn.attributes().iter().map(attribute).collect()
}

fn attribute(attribute: &Attribute) -> model::SubjectAttribute {
    model::SubjectAttribute {
        attribute_type: attribute.type_name_for_plugins(),
        value: attribute.value().to_owned(),
    }
}

/// The text form is the kind's prefix, a colon, and the value.
fn san(san: &San) -> model::Name {
    let text = san.to_string();
    let value = text.split_once(':').map_or("", |(_, value)| value).to_owned();
    match san.kind() {
        SanKind::Dns => model::Name::Dns(value),
        SanKind::Email => model::Name::Email(value),
        SanKind::Uri => model::Name::Uri(value),
        SanKind::Ip => model::Name::Ip(value),
        SanKind::Upn => model::Name::Upn(value),
        SanKind::Directory | SanKind::Other => model::Name::Other(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_name_survives_the_way_to_a_plug_in_and_back() {
        for text in [
            "CN=device-17",
            "2.5.4.97=VATDE-1",
            "serialNumber=C02X17",
            "emailAddress=a@b.example",
            "DNS:device-17.example.com",
            "email:someone@example.com",
            "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104",
            "IP:2001:db8::1",
            "UPN:someone@example.com",
            "dirName:CN=a,O=b",
            "otherName:1.3.6.1.4.1.99999.1:0c0161",
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(from_plugin(&to_plugin(&name)).unwrap(), name, "{text}");
        }
    }

    /// The contract's spelling, which is not OpenSSL's.
    #[test]
    fn a_plug_in_sees_and_says_attribute_types_as_the_contract_spells_them() {
        for (ours, theirs) in [
            ("serialNumber=C02X17", "SERIALNUMBER=C02X17"),
            ("street=Way 1", "STREET=Way 1"),
            ("emailAddress=a@b.example", "E=a@b.example"),
            ("GN=Ann", "2.5.4.42=Ann"),
            ("CN=device-17", "CN=device-17"),
        ] {
            let name: Name = ours.parse().unwrap();
            assert_eq!(to_plugin(&name).to_string(), theirs);
            assert_eq!(from_plugin(&to_plugin(&name)).unwrap(), name);
        }
    }
}
