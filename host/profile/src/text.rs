//! Characters: how ASN.1 strings become text, and which text may stand in a name.

use crate::der::tag;

/// Why a string cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing there.
    #[error("an empty value")]
    Empty,
    /// Longer than `MAX_CHARACTERS`.
    #[error("a value of more than {MAX_CHARACTERS} characters")]
    TooLong,
    /// A character that hides or reorders what a person reads.
    #[error("the character U+{0:04X}, which is invisible, a control or changes reading direction")]
    Forbidden(u32),
    /// White space at an end: validators strip it, so two readings would exist.
    #[error("white space at an end of the value")]
    Untrimmed,
    /// Octets that are not of the string's character set.
    #[error("octets that are no {0}")]
    Encoding(&'static str),
    /// A type that holds no characters.
    #[error("ASN.1 type 0x{0:02x}, which is no character string")]
    NotText(u8),
}

/// No attribute of a name is longer (the largest upper bound in use is 1024 characters; URIs of
/// certificates stay below it).
pub const MAX_CHARACTERS: usize = 1024;

/// The fewest octets that a character takes in a string of this type.
pub(crate) fn octets_a_character(string_tag: u8) -> usize {
    match string_tag {
        tag::BMP_STRING => 2,
        tag::UNIVERSAL_STRING => 4,
        _ => 1,
    }
}

/// Decodes any of ASN.1's character strings.
///
/// TeletexString is read as ISO 8859-1, which is what its writers mean (OpenSSL and Windows do the
/// same); UTF-16 surrogate pairs are read in a BMPString because Windows writes them.
pub(crate) fn decode(string_tag: u8, octets: &[u8]) -> Result<String, TextError> {
    match string_tag {
        tag::UTF8_STRING => {
            std::str::from_utf8(octets).map(str::to_owned).map_err(|_| TextError::Encoding("UTF-8"))
        }
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::VISIBLE_STRING | tag::NUMERIC_STRING => {
            if octets.is_ascii() {
                Ok(octets.iter().map(|&octet| char::from(octet)).collect())
            } else {
                Err(TextError::Encoding("ASCII"))
            }
        }
        tag::TELETEX_STRING => Ok(octets.iter().map(|&octet| char::from(octet)).collect()),
        tag::BMP_STRING => {
            let (units, rest) = octets.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(TextError::Encoding("BMPString"));
            }
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)))
                .collect::<Result<_, _>>()
                .map_err(|_| TextError::Encoding("BMPString"))
        }
        tag::UNIVERSAL_STRING => {
            let (units, rest) = octets.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(TextError::Encoding("UniversalString"));
            }
            units
                .iter()
                .map(|unit| char::from_u32(u32::from_be_bytes(*unit)))
                .collect::<Option<_>>()
                .ok_or(TextError::Encoding("UniversalString"))
        }
        other => Err(TextError::NotText(other)),
    }
}

/// Text that a person, a log and a CA all read the same way.
pub(crate) fn check(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > MAX_CHARACTERS {
        return Err(TextError::TooLong);
    }
    if let Some(found) = text.chars().find(|&character| is_forbidden(character)) {
        return Err(TextError::Forbidden(u32::from(found)));
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(TextError::Untrimmed);
    }
    Ok(())
}

/// Controls, line separators, bidirectional and zero-width characters, tags, non-characters.
fn is_forbidden(character: char) -> bool {
    let code = u32::from(character);
    character.is_control()
        || matches!(code,
            0x00ad | 0x034f | 0x061c | 0x115f | 0x1160 | 0x180e
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0x3164 | 0xfeff | 0xffa0 | 0xfdd0..=0xfdef | 0xfff9..=0xfffb
            | 0xe000..=0xf8ff | 0xe0000..=0xe0fff)
        || code & 0xfffe == 0xfffe
}
