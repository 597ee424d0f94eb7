//! Which device the current certificate is for, in the words of its management.

use countersign_device_api::{Address, AddressError};
use countersign_sdk::{Certificate, DenialCode, Name, NotApproved, deny};

use crate::settings::Settings;

/// Kinds of names that can stand in the URL, beside attributes of the subject.
pub(crate) const KINDS: [&str; 5] = ["DNS", "email", "URI", "IP", "UPN"];

/// The URL with the names of the certificate in it. The host validated that certificate, so they are
/// the device's and not the request's.
pub(crate) fn address(settings: &Settings, current: &Certificate) -> Result<String, NotApproved> {
    let address = Address::parse(&settings.url).map_err(Unnamed::from)?;
    Ok(address.fill(|kind| name(settings, current, kind))?)
}

fn name(settings: &Settings, current: &Certificate, kind: &str) -> Result<String, Unnamed> {
    let of_subject = current.subject.iter().flatten();
    let mut found: Vec<&str> = of_subject
        .filter(|attribute| attribute.kind == kind)
        .map(|attribute| attribute.value.as_str())
        .collect();
    found.extend(current.subject_alternative_names.iter().filter_map(|name| match name {
        Name::Dns(value) if kind == "DNS" => Some(value.as_str()),
        Name::Email(value) if kind == "email" => Some(value),
        Name::Uri(value) if kind == "URI" => Some(value),
        Name::Ip(value) if kind == "IP" => Some(value),
        Name::Upn(value) if kind == "UPN" => Some(value),
        _ => None,
    }));
    let [value] = found.as_slice() else {
        let number = found.len();
        return Err(Unnamed(format!(
            "the current certificate has {number} names of the kind {kind}, and `url` needs one"
        )));
    };
    let prefix = settings.strip_prefix.as_deref().unwrap_or_default();
    value.strip_prefix(prefix).map(str::to_owned).ok_or_else(|| {
        Unnamed(format!("the {kind} of the current certificate does not begin with `{prefix}`"))
    })
}

/// The certificate does not say which device it is for.
struct Unnamed(String);

impl From<AddressError> for Unnamed {
    fn from(error: AddressError) -> Self {
        Self(error.to_string())
    }
}

impl From<Unnamed> for NotApproved {
    fn from(unnamed: Unnamed) -> Self {
        deny(DenialCode::Other("device-not-named".to_owned()), unnamed.0)
    }
}
