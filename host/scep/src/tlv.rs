//! Reading and writing DER elements with one-byte tags, nothing more.
//!
//! The `der` crate's structs are too strict for what SCEP clients send (serials of 32 octets) and
//! sort `SET OF` while reading, which breaks signatures. So messages are read as elements that
//! keep their received bytes. Lengths must be definite and inside the input; [`crate::ber`] has
//! seen to the rest.

/// Number of the SEQUENCE tag without its constructed bit.
pub(crate) const SEQUENCE_NUMBER: u8 = 0x10;
/// Number of the SET tag without its constructed bit.
pub(crate) const SET_NUMBER: u8 = 0x11;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;
/// `[1]`, constructed.
pub(crate) const CONTEXT_1: u8 = 0xa1;
/// `[2]`, constructed.
pub(crate) const CONTEXT_2: u8 = 0xa2;
/// `[3]`, constructed.
pub(crate) const CONTEXT_3: u8 = 0xa3;
/// `[0]`, primitive.
pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;

/// One element: its tag, all of its bytes, and the bytes of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads the elements inside.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.content)
    }
}

/// What was expected of the structure and did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlvError {
    #[error("ASN.1 element cut short")]
    Truncated,
    #[error("ASN.1 tag {found:#04x} where {expected:#04x} belongs")]
    Tag { expected: u8, found: u8 },
    #[error("{0} bytes too many inside an ASN.1 element")]
    Surplus(usize),
}

/// Reads one element after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Reader { rest: input }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn next(&mut self) -> Result<Element<'a>, TlvError> {
        let tag = self.peek().ok_or(TlvError::Truncated)?;
        let first = usize::from(*self.rest.get(1).ok_or(TlvError::Truncated)?);
        let (header, len) = match first {
            0..=0x7f => (2, first),
            0x81..=0x84 => {
                let count = first & 0x7f;
                let bytes = self.rest.get(2..2 + count).ok_or(TlvError::Truncated)?;
                (2 + count, bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
            }
            _ => return Err(TlvError::Truncated),
        };
        let whole = self.rest.get(..header.saturating_add(len)).ok_or(TlvError::Truncated)?;
        self.rest = self.rest.get(whole.len()..).unwrap_or_default();
        Ok(Element { tag, whole, content: whole.get(header..).unwrap_or_default() })
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, TlvError> {
        let found = self.peek().ok_or(TlvError::Truncated)?;
        if found != tag {
            return Err(TlvError::Tag { expected: tag, found });
        }
        self.next()
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, TlvError> {
        if self.peek() == Some(tag) { self.next().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), TlvError> {
        if self.is_empty() { Ok(()) } else { Err(TlvError::Surplus(self.rest.len())) }
    }
}

/// Reads the one element that the input is.
pub(crate) fn only(input: &[u8], tag: u8) -> Result<Element<'_>, TlvError> {
    let mut reader = Reader::new(input);
    let element = reader.expect(tag)?;
    reader.finish()?;
    Ok(element)
}

/// The content of an element that is known to be well-formed; empty otherwise.
pub(crate) fn content_of(element: &[u8]) -> &[u8] {
    Reader::new(element).next().map_or(&[], |element| element.content)
}

/// An element made of a tag and the parts of its content.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(header_len(len) + len);
    out.push(tag);
    let bytes = len.to_be_bytes();
    match header_len(len) {
        2 => out.extend(bytes.last()),
        header => {
            let count = header - 2;
            out.push(0x80 | u8::try_from(count).unwrap_or(u8::MAX));
            out.extend_from_slice(bytes.get(bytes.len() - count..).unwrap_or_default());
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, parts)
}

pub(crate) fn null() -> Vec<u8> {
    element(NULL, &[])
}

/// INTEGER of one small number.
pub(crate) fn small_integer(value: u8) -> Vec<u8> {
    debug_assert!(value < 0x80);
    element(INTEGER, &[&[value]])
}

/// `SET OF` in DER order.
pub(crate) fn set_of(mut members: Vec<Vec<u8>>) -> Vec<u8> {
    sort_set(&mut members);
    let parts: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    element(SET, &parts)
}

/// DER order of the members of a `SET OF` (X.690 §11.6).
pub(crate) fn sort_set<T: AsRef<[u8]>>(members: &mut [T]) {
    members.sort_by(|left, right| left.as_ref().cmp(right.as_ref()));
}

/// Bytes of tag and length in DER.
pub(crate) fn header_len(content: usize) -> usize {
    match content {
        0..=0x7f => 2,
        0x80..=0xff => 3,
        0x100..=0xffff => 4,
        0x1_0000..=0xff_ffff => 5,
        _ => 6,
    }
}
