//! URLs with a place for the device.

use std::fmt::Write as _;

/// The longest value that is put into a URL, in bytes.
const LONGEST_VALUE: usize = 256;

/// An `https` URL with places in braces: `https://mdm.example.com/devices/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'t> {
    parts: Vec<Part<'t>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    Place(&'t str),
}

/// Why a text is no such URL, in words for an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(&'static str);

impl std::fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for AddressError {}

impl<'t> Address<'t> {
    /// Reads a URL with places.
    ///
    /// # Errors
    /// It is not `https`, has a user, a password or a fragment, its braces do not fit, or one is in
    /// the host: which host is asked is never the device's to say.
    pub fn parse(text: &'t str) -> Result<Self, AddressError> {
        let rest = text
            .strip_prefix("https://")
            .ok_or(AddressError("expected an absolute https URL: write https://host/path/{…}"))?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AddressError("expected a URL of printable ASCII without spaces"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() || authority.contains(['@', '{', '}']) {
            return Err(AddressError(
                "expected a host without user, password and braces: the place for the device comes \
                 after it",
            ));
        }
        if text.contains('#') {
            return Err(AddressError("expected a URL without a fragment (#)"));
        }
        Ok(Self { parts: parts(text)? })
    }

    /// The names of its places, in order.
    pub fn places(&self) -> impl Iterator<Item = &'t str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Place(name) => Some(*name),
            Part::Text(_) => None,
        })
    }

    /// The URL with a value in every place, percent-encoded, so that a value never becomes more than
    /// one segment or parameter.
    ///
    /// # Errors
    /// What `value` says, and [`AddressError`] for a value that cannot stand in a URL.
    pub fn fill<E: From<AddressError>>(
        &self,
        mut value: impl FnMut(&'t str) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Place(name) => encode(&mut url, &value(name)?)?,
            }
        }
        Ok(url)
    }
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, AddressError> {
    let unfit = AddressError("expected every `{` of the URL with a name and a `}` after it");
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| unfit.clone())?;
        if name.is_empty() || name.contains('{') || before.contains('}') {
            return Err(unfit);
        }
        parts.push(Part::Text(before));
        parts.push(Part::Place(name));
        rest = after;
    }
    if rest.contains('}') {
        return Err(unfit);
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded. Dots alone would still lead
/// elsewhere (RFC 3986 §5.2.4), encoded or not.
fn encode(url: &mut String, value: &str) -> Result<(), AddressError> {
    if value.is_empty() || value.len() > LONGEST_VALUE {
        return Err(AddressError("a device's id of 1 to 256 bytes can be asked for, no other"));
    }
    if value.bytes().all(|byte| byte == b'.') || value.chars().any(char::is_control) {
        return Err(AddressError("a device's id of dots or control characters is not asked for"));
    }
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may state what they know")]
mod tests {
    use super::*;

    fn filled(template: &str, value: &str) -> Result<String, AddressError> {
        Address::parse(template).unwrap().fill(|_| Ok::<_, AddressError>(value.to_owned()))
    }

    #[test]
    fn a_value_stays_one_segment_or_parameter() {
        let template = "https://mdm.example/d/{id}?serial={id}";
        for (value, encoded) in [
            ("17", "17"),
            ("../admin", "..%2Fadmin"),
            ("a b&c=d#e?f%2e", "a%20b%26c%3Dd%23e%3Ff%252e"),
            ("ä", "%C3%A4"),
            ("{id}", "%7Bid%7D"),
        ] {
            let url = format!("https://mdm.example/d/{encoded}?serial={encoded}");
            assert_eq!(filled(template, value), Ok(url));
        }
    }

    #[test]
    fn a_value_that_would_lead_elsewhere_is_refused() {
        for value in ["", ".", "..", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(filled("https://mdm.example/d/{id}", value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for text in [
            "",
            "mdm.example/{id}",
            "http://mdm.example/{id}",
            "https://{id}/",
            "https://mdm.{id}.example/",
            "https://user:password@mdm.example/{id}",
            "https:///x",
            "https://mdm.example/{id",
            "https://mdm.example/id}",
            "https://mdm.example/{}",
            "https://mdm.example/{a{b}}",
            "https://mdm.example/{id}#x",
            "https://mdm.example/a b/{id}",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_found_in_order() {
        let address = Address::parse("https://mdm.example/{a}/{b}").unwrap();
        assert_eq!(address.places().collect::<Vec<_>>(), ["a", "b"]);
    }
}
