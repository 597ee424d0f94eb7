//! A reader for DER that borrows and never copies: definite lengths only, one-octet tags, every
//! length checked against what is there. It has no recursion, so depth is what its callers read.

use std::ops::Range;

/// Why bytes are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// The bytes end inside a value.
    #[error("DER ends inside a value")]
    Truncated,
    /// A length that is indefinite, not minimal, or larger than four octets.
    #[error("DER length is indefinite, not minimal or too large")]
    Length,
    /// Another tag than the one the standard puts here.
    #[error("DER tag 0x{expected:02x} expected, 0x{found:02x} found")]
    Tag {
        /// The identifier octet that belongs here.
        expected: u8,
        /// The identifier octet that came.
        found: u8,
    },
    /// Bytes after the end of a value that should be the last.
    #[error("DER has bytes after its end")]
    Trailing,
    /// A value with a form that DER or the standard forbids (what it was follows).
    #[error("DER value of {0} is malformed")]
    Value(&'static str),
    /// More elements than are read from a stranger.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
}

/// Identifier octets used in this crate.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]` IMPLICIT over a primitive type.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` constructed: EXPLICIT, or IMPLICIT over a SEQUENCE or SET.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One value: identifier octet, contents, and the whole encoding as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    pub(crate) raw: &'a [u8],
    start: usize,
}

impl<'a> Tlv<'a> {
    /// A reader over the contents.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { rest: self.value, position: self.start + (self.raw.len() - self.value.len()) }
    }

    /// Where the whole encoding lies in the bytes of the outermost reader.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The contents, if this is the value the caller expects.
    pub(crate) fn expect(self, tag: u8) -> Result<Self, DerError> {
        if self.tag == tag {
            Ok(self)
        } else {
            Err(DerError::Tag { expected: tag, found: self.tag })
        }
    }
}

/// Reads values one after another.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing) }
    }

    pub(crate) fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let &tag = self.rest.first().ok_or(DerError::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::Value("a tag of more than one octet"));
        }
        let &first = self.rest.get(1).ok_or(DerError::Truncated)?;
        let (header, length) = if first < 0x80 {
            (2, usize::from(first))
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return Err(DerError::Length);
            }
            let octets = self.rest.get(2..2 + count).ok_or(DerError::Truncated)?;
            let length = octets.iter().fold(0_u64, |sum, &octet| sum << 8 | u64::from(octet));
            // Minimal: the long form only from 128 up, and no leading zero.
            if length < 0x80 || octets.first() == Some(&0) {
                return Err(DerError::Length);
            }
            (2 + count, usize::try_from(length).map_err(|_| DerError::Length)?)
        };
        let end = header.checked_add(length).ok_or(DerError::Length)?;
        let raw = self.rest.get(..end).ok_or(DerError::Truncated)?;
        let value = raw.get(header..).ok_or(DerError::Truncated)?;
        let tlv = Tlv { tag, value, raw, start: self.position };
        self.rest = self.rest.get(end..).ok_or(DerError::Truncated)?;
        self.position += end;
        Ok(tlv)
    }

    pub(crate) fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, DerError> {
        self.any()?.expect(tag)
    }

    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    pub(crate) fn sequence(&mut self) -> Result<Reader<'a>, DerError> {
        Ok(self.expect(tag::SEQUENCE)?.reader())
    }

    /// BOOLEAN; BER's "any non-zero octet" is read too, as real encoders write 0x01.
    pub(crate) fn boolean(&mut self) -> Result<bool, DerError> {
        match self.expect(tag::BOOLEAN)?.value {
            [octet] => Ok(*octet != 0),
            _ => Err(DerError::Value("a BOOLEAN")),
        }
    }

    /// A BIT STRING of whole octets (signatures, keys).
    pub(crate) fn bit_string_octets(&mut self) -> Result<&'a [u8], DerError> {
        match self.expect(tag::BIT_STRING)?.value {
            [0, octets @ ..] => Ok(octets),
            _ => Err(DerError::Value("a BIT STRING of whole octets")),
        }
    }
}

/// The single value that these bytes are.
pub(crate) fn only(bytes: &[u8]) -> Result<Tlv<'_>, DerError> {
    let mut reader = Reader::new(bytes);
    let tlv = reader.any()?;
    reader.finish()?;
    Ok(tlv)
}

/// One value of `parts` joined, for the few places where DER is written.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
    } else {
        let octets = length.to_be_bytes();
        let significant: Vec<u8> = octets.iter().copied().skip_while(|&octet| octet == 0).collect();
        // At most eight octets of a usize.
        out.push(0x80 | significant.len().min(8) as u8);
        out.extend_from_slice(&significant);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_definite_minimal_and_there() {
        for bytes in [
            &[0x30][..],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 1, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x81],
            &[0x3f, 0x81, 1, 0],
        ] {
            assert!(only(bytes).is_err(), "{bytes:02x?}");
        }
        assert_eq!(only(&[0x04, 0, 0]).unwrap_err(), DerError::Trailing);
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let contents = vec![7; length];
            let encoded = encode(tag::OCTET_STRING, &[&contents]);
            let read = only(&encoded).unwrap();
            assert_eq!((read.tag, read.value, read.raw), (4, &contents[..], &encoded[..]));
        }
    }

    #[test]
    fn positions_are_those_of_the_outermost_bytes() {
        let inner = encode(tag::OCTET_STRING, &[&[1, 2, 3]]);
        let bytes = encode(tag::SEQUENCE, &[&[5, 0], &encode(tag::SET, &[&inner])]);
        let mut reader = only(&bytes).unwrap().reader();
        reader.expect(tag::NULL).unwrap();
        let found = reader.expect(tag::SET).unwrap().reader().any().unwrap();
        assert_eq!(bytes[found.range()], inner[..]);
    }
}
