//! What stands behind the profile in the URL: Fleet's identifier, as its SCEP proxy has it. Host UUID,
//! profile UUID, name of the CA, and Fleet's own one-time challenge, apart by commas; the last ones may
//! be missing.
//!
//! The one-time challenge is Fleet's and only Fleet can judge it: it is read past, and neither logged nor
//! taken for a proof.

use countersign_device_record::is_identifier;

/// The longest suffix, in bytes.
const LONGEST: usize = 1024;
/// The longest name of a CA.
const LONGEST_CA: usize = 255;

/// Who the device is, in Fleet's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suffix {
    pub(crate) host: String,
    pub(crate) profile: Option<String>,
    pub(crate) ca: Option<String>,
}

impl Suffix {
    /// Reads a suffix.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("it is longer than 1024 characters");
        }
        // Some escape the commas, some do not: what is left escaped is read here, once.
        let text = unescaped(text).ok_or("its percent-encoding is none")?;
        let text = text.strip_suffix('/').unwrap_or(&text);
        let mut parts = text.split(',');
        let part = |part: Option<&str>| part.map(str::to_owned).filter(|part| !part.is_empty());
        let host = part(parts.next()).ok_or("it is empty")?;
        let (profile, ca, _challenge) = (part(parts.next()), part(parts.next()), parts.next());
        if parts.next().is_some() {
            return Err("it has more than four parts");
        }
        if !is_identifier(&host) || profile.as_ref().is_some_and(|profile| !is_identifier(profile))
        {
            return Err("host and profile are not letters, digits and hyphens");
        }
        let is_name = |ca: &String| ca.len() <= LONGEST_CA && !ca.chars().any(char::is_control);
        if ca.as_ref().is_some_and(|ca| !is_name(ca)) {
            return Err("the name of the CA is none");
        }
        Ok(Self { host, profile, ca })
    }
}

/// The percent-encoding (RFC 3986 §2.1) undone.
fn unescaped(text: &str) -> Option<String> {
    let (mut octets, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (high, low) = (char::from(*after.first()?), char::from(*after.get(1)?));
            let octet = high.to_digit(16)? * 16 + low.to_digit(16)?;
            octets.push(u8::try_from(octet).ok()?);
            rest = after.get(2..)?;
        } else {
            octets.push(*first);
            rest = after;
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_escaped_or_not_whole_or_in_part() {
        for text in ["H-1,a2,WIFI,secret", "H-1%2Ca2%2CWIFI%2Csecret", "H-1%2ca2,WIFI,secret/"] {
            let suffix = Suffix::read(text).unwrap();
            assert_eq!(suffix.host, "H-1", "{text}");
            assert_eq!(suffix.profile.as_deref(), Some("a2"));
            assert_eq!(suffix.ca.as_deref(), Some("WIFI"));
            assert!(!format!("{suffix:?}").contains("secret"));
        }
        assert_eq!(Suffix::read("H-1"), Ok(Suffix { host: "H-1".into(), profile: None, ca: None }));
        assert_eq!(Suffix::read("H-1,a2").unwrap().ca, None);
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = "a".repeat(65);
        let longer = format!("a,b,{}", "c".repeat(1100));
        for bad in [
            "",
            ",a",
            "a/b",
            "a/../b",
            "a b",
            "a%2",
            "a%zz",
            "a%FF",
            "a,b%2Fc",
            "a,b,c,d,e",
            "a,b,c%00d",
            "..",
            "a?b",
            &long,
            &longer,
        ] {
            assert!(Suffix::read(bad).is_err(), "{bad}");
        }
        // Unescaped once only.
        assert!(Suffix::read("H%252C1").is_err());
    }
}
