//! `Params` of NDES's admin page. To NDES they are opaque; here they are names apart by semicolons,
//! short enough to stand in a URL that a device management fills in for each device:
//! `device-id=17;CN=device-17;DNS:device-17.example`.

use countersign_sdk::Name;

/// The most names that are read.
const MOST: usize = 64;

/// Those of RFC 4514 §3 and the two beside them that the contract knows.
const SHORT_NAMES: [&str; 11] =
    ["CN", "O", "OU", "C", "L", "ST", "DC", "UID", "STREET", "SERIALNUMBER", "E"];

/// What the caller says about the device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) names: Vec<Name>,
    pub(crate) device_id: Option<String>,
}

/// Reads them strictly: what is not understood would be a password bound to less than was meant.
pub(crate) fn read(text: &str) -> Result<Params, String> {
    let mut params = Params::default();
    for part in text.split(';').map(str::trim) {
        if let Some(id) = part.strip_prefix("device-id=") {
            if id.is_empty() {
                return Err("the device id is empty".to_owned());
            }
            if params.device_id.replace(id.to_owned()).is_some() {
                return Err("`device-id` stands twice".to_owned());
            }
            continue;
        }
        let name: Name = part.parse().map_err(|error| format!("{error}"))?;
        if !is_known(&name) {
            return Err(format!("`{name}` is of no type that a subject has"));
        }
        if params.names.contains(&name) {
            return Err(format!("`{name}` stands twice"));
        }
        params.names.push(name);
        if params.names.len() > MOST {
            return Err(format!("more than {MOST} names"));
        }
    }
    Ok(params)
}

/// `id=17` has the form of a name: only types that a subject can have are taken for one.
fn is_known(name: &Name) -> bool {
    let Name::SubjectAttribute(attribute) = name else { return true };
    let kind = attribute.kind.as_str();
    kind.contains('.') || SHORT_NAMES.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_a_device_id_are_read_in_any_order() {
        let params = read("CN=device-17; device-id=17 ;DNS:device-17.example").unwrap();
        assert_eq!(params.device_id.as_deref(), Some("17"));
        let names: Vec<_> = params.names.iter().map(Name::to_string).collect();
        assert_eq!(names, ["CN=device-17", "DNS:device-17.example"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "",
            ";",
            "id=",
            "id=17",
            "device-17",
            "device-id=",
            "device-id=1;device-id=2",
            "CN=a;CN=a",
            "CN=a;",
            "PFX0123456789==",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let many: Vec<_> = (0..=MOST).map(|number| format!("DNS:{number}.example")).collect();
        assert!(read(&many.join(";")).is_err());
    }
}
