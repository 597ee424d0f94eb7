//! Key URIs (RFC 7512), read strictly.
//!
//! A URI in a config names one private key and nothing else. Where the module is and where the
//! PIN comes from stands in the section of the token, once, and never in a URI that is copied
//! into tickets and logs. So of RFC 7512's attributes only those are taken that find a key; each
//! other one is an error that names it.

use std::fmt;
use std::str::FromStr;

use crate::token::KeyName;

/// CK_TOKEN_INFO's label has 32 bytes (PKCS#11 v2.40 §3.2), its serial number 16.
const LONGEST_LABEL: usize = 32;
const LONGEST_SERIAL: usize = 16;
/// More than any module stores; bounds what a config makes us carry.
const LONGEST_NAME: usize = 255;

/// One private key on one token: `pkcs11:token=ra-serve;object=cep`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyUri {
    token: String,
    serial: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
}

impl KeyUri {
    /// Label of the token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Serial number of the token, where the URI names it.
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// CKA_LABEL of the key.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// CKA_ID of the key.
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The key's name on its token: the URI in its canonical form.
    pub fn key_name(&self) -> KeyName {
        KeyName::new(self.to_string())
    }
}

impl FromStr for KeyUri {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        let rest = text.strip_prefix("pkcs11:").ok_or(KeyUriError::Scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        if let Some(query) = query {
            let name = query.split(['=', '&']).next().unwrap_or_default();
            let known = ["pin-value", "pin-source", "module-name", "module-path"];
            // Other text may be a PIN.
            let name = known.into_iter().find(|known| *known == name).unwrap_or("(other text)");
            return Err(KeyUriError::Query(name.to_owned()));
        }
        let mut found: [Option<Vec<u8>>; 4] = [None, None, None, None];
        let mut kind = None;
        for attribute in path.split(';') {
            let (name, value) = attribute
                .split_once('=')
                .ok_or_else(|| KeyUriError::Shape(printable(attribute)))?;
            let place = match name {
                "token" => found.get_mut(0),
                "serial" => found.get_mut(1),
                "object" => found.get_mut(2),
                "id" => found.get_mut(3),
                "type" => Some(&mut kind),
                other => return Err(KeyUriError::Unknown(printable(other))),
            };
            let value = decode(value).ok_or_else(|| KeyUriError::Encoding(name.to_owned()))?;
            if let Some(place) = place
                && place.replace(value).is_some()
            {
                return Err(KeyUriError::Twice(name.to_owned()));
            }
        }
        if kind.is_some_and(|kind| kind != b"private") {
            return Err(KeyUriError::Type);
        }
        let [token, serial, object, id] = found;
        let uri = Self {
            token: text_value("token", token, LONGEST_LABEL)?
                .ok_or(KeyUriError::Missing("token=LABEL"))?,
            serial: text_value("serial", serial, LONGEST_SERIAL)?,
            object: text_value("object", object, LONGEST_NAME)?,
            id: match id {
                Some(id) if id.is_empty() || id.len() > LONGEST_NAME => {
                    return Err(KeyUriError::Length("id"));
                }
                id => id,
            },
        };
        if uri.object.is_none() && uri.id.is_none() {
            return Err(KeyUriError::Missing("object=LABEL or id=%01"));
        }
        Ok(uri)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkcs11:token={}", encode(self.token.as_bytes(), false))?;
        if let Some(serial) = &self.serial {
            write!(f, ";serial={}", encode(serial.as_bytes(), false))?;
        }
        if let Some(object) = &self.object {
            write!(f, ";object={}", encode(object.as_bytes(), false))?;
        }
        if let Some(id) = &self.id {
            // RFC 7512 §2.3: an id is written percent-encoded throughout.
            write!(f, ";id={}", encode(id, true))?;
        }
        f.write_str(";type=private")
    }
}

/// Why text is no key URI. The text itself is not repeated beyond an attribute's name: somebody
/// may have written a PIN into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUriError {
    /// Another scheme.
    #[error("not a PKCS#11 URI; write `pkcs11:token=LABEL;object=LABEL` (RFC 7512)")]
    Scheme,
    /// Query attributes.
    #[error(
        "the URI has the query attribute `{0}`; a key's URI has none: the module and where the PIN \
         comes from stand in the token's section, and a PIN stands in no config at all"
    )]
    Query(String),
    /// Not `name=value`.
    #[error("`{0}` is not `name=value`; separate attributes by `;`")]
    Shape(String),
    /// An attribute that does not find a key.
    #[error(
        "the attribute `{0}` is not used here; known: `token`, `serial`, `object`, `id`, `type`"
    )]
    Unknown(String),
    /// An attribute twice.
    #[error("the attribute `{0}` stands there twice")]
    Twice(String),
    /// Bad percent-encoding or characters that must be encoded.
    #[error(
        "the value of `{0}` is not encoded as RFC 7512 asks; write other characters than letters, \
         digits and `-._~:[]@!$'()*+,=&` as %XX"
    )]
    Encoding(String),
    /// Not a private key.
    #[error("the `type` is not `private`; a role's key is a private key")]
    Type,
    /// Text that is no UTF-8, or holds control characters.
    #[error("the value of `{0}` is not plain UTF-8 text")]
    Text(&'static str),
    /// Too long, or empty.
    #[error("the value of `{0}` is empty or longer than PKCS#11 can store")]
    Length(&'static str),
    /// Something needed is missing.
    #[error("the URI lacks `{0}`")]
    Missing(&'static str),
}

fn text_value(
    name: &'static str,
    value: Option<Vec<u8>>,
    longest: usize,
) -> Result<Option<String>, KeyUriError> {
    let Some(bytes) = value else { return Ok(None) };
    if bytes.is_empty() || bytes.len() > longest {
        return Err(KeyUriError::Length(name));
    }
    let text = String::from_utf8(bytes).map_err(|_| KeyUriError::Text(name))?;
    if text.chars().any(char::is_control) {
        return Err(KeyUriError::Text(name));
    }
    Ok(Some(text))
}

/// RFC 7512 §2.3 `pk11-path-res-avail` and the unreserved characters of RFC 3986.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&byte)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut one = [0u8];
            hex::decode_to_slice(digits, &mut one).ok()?;
            decoded.extend_from_slice(&one);
        } else if stands_for_itself(byte) {
            decoded.push(byte);
        } else {
            return None;
        }
    }
    Some(decoded)
}

fn encode(bytes: &[u8], all: bool) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if !all && stands_for_itself(*byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// An attribute's name as it may be shown: short, and of harmless characters.
fn printable(name: &str) -> String {
    let name = name.split('=').next().unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Result<KeyUri, KeyUriError> {
        text.parse()
    }

    #[test]
    fn a_uri_finds_a_key_by_label_by_id_or_by_both() {
        let one = uri("pkcs11:token=RA%20serve;object=cep;type=private").unwrap();
        assert_eq!((one.token(), one.object(), one.id()), ("RA serve", Some("cep"), None));
        let two = uri("pkcs11:id=%01%ff;serial=0123;token=ra").unwrap();
        assert_eq!(
            (two.token(), two.serial(), two.id()),
            ("ra", Some("0123"), Some(&[1, 255][..]))
        );
        assert_eq!(two.to_string(), "pkcs11:token=ra;serial=0123;id=%01%FF;type=private");
    }

    #[test]
    fn two_ways_to_write_a_key_give_one_name() {
        let one = uri("pkcs11:object=c%65p;token=ra").unwrap();
        let two = uri("pkcs11:token=ra;object=cep;type=private").unwrap();
        assert_eq!(one.key_name(), two.key_name());
        assert_eq!(uri(&one.to_string()).unwrap(), one);
    }

    #[test]
    fn what_does_not_find_a_key_is_refused_by_name() {
        for (text, expected) in [
            ("file:/a", KeyUriError::Scheme),
            ("pkcs11:object=cep", KeyUriError::Missing("token=LABEL")),
            ("pkcs11:token=ra", KeyUriError::Missing("object=LABEL or id=%01")),
            ("pkcs11:token=ra;object=a;object=b", KeyUriError::Twice("object".into())),
            ("pkcs11:token=ra;slot-id=1;object=a", KeyUriError::Unknown("slot-id".into())),
            ("pkcs11:token=ra;object=a;type=public", KeyUriError::Type),
            ("pkcs11:token=ra;object=", KeyUriError::Length("object")),
            ("pkcs11:token=ra;object=a b", KeyUriError::Encoding("object".into())),
            ("pkcs11:token=ra;object=%4", KeyUriError::Encoding("object".into())),
            ("pkcs11:token=ra;object=%zz", KeyUriError::Encoding("object".into())),
            ("pkcs11:token=%ff;object=a", KeyUriError::Text("token")),
            ("pkcs11:token=a%00;object=a", KeyUriError::Text("token")),
            ("pkcs11:token=ra;object", KeyUriError::Shape("object".into())),
        ] {
            assert_eq!(uri(text), Err(expected), "{text}");
        }
    }

    /// Row 21: fails when `from_str` takes query attributes.
    #[test]
    fn row_21_a_pin_in_a_uri_is_refused_and_not_repeated() {
        for text in [
            "pkcs11:token=ra;object=a?pin-value=hunter2",
            "pkcs11:token=ra;object=a?pin-source=file:/hunter2",
            "pkcs11:token=ra;object=a;pin-value=hunter2",
            "pkcs11:token=ra;object=a?hunter2",
        ] {
            let refused = uri(text).unwrap_err();
            let shown = format!("{refused} {refused:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
