//! The BER→DER normaliser that stands in front of every parser.
//!
//! CMS allows BER, and real clients send it: indefinite lengths (Apple, BouncyCastle,
//! `openssl cms -stream`), chunked octet strings, a constructed `[0]` around encrypted content
//! (micromdm). Everything behind this module sees definite, minimal lengths and primitive strings
//! only. A sub-tree that is DER already (certificates, signed attributes) is passed on byte for
//! byte, so signatures over it stay good; `SET OF` is never sorted.

use std::borrow::Cow;

use crate::tlv;

/// How much of a stranger's ASN.1 is looked at before it is refused (T12 of the threat model).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    size: usize,
    depth: usize,
    nodes: usize,
}

impl Bounds {
    /// For what devices send: 64 KiB, 16 levels, 8192 elements. Real requests stay under 8 KiB,
    /// ten levels and 300 elements; Intune's challenges add some KiB.
    pub const REQUEST: Bounds = Bounds { size: 64 * 1024, depth: 16, nodes: 8 * 1024 };

    /// For what a client gets back: 4 MiB, because a GetCRL reply holds a whole CRL.
    pub const REPLY: Bounds = Bounds { size: 4 * 1024 * 1024, depth: 16, nodes: 512 * 1024 };

    /// The largest size that [`Bounds::with_size`] takes, in bytes.
    pub const LARGEST_REQUEST: usize = 1024 * 1024;

    /// [`Bounds::REQUEST`] with another size limit (in bytes, cut to [`Bounds::LARGEST_REQUEST`]).
    pub fn with_size(size: usize) -> Bounds {
        Bounds { size: size.min(Self::LARGEST_REQUEST), ..Self::REQUEST }
    }

    /// The size limit, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::REQUEST
    }
}

/// Why bytes could not be brought into DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// More bytes than the bound.
    #[error("message of {found} bytes; the limit is {limit}")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// What came, in bytes.
        found: usize,
    },
    /// Nested deeper than the bound.
    #[error("ASN.1 nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// More elements than the bound.
    #[error("more than {limit} ASN.1 elements")]
    TooManyElements {
        /// The limit, in elements.
        limit: usize,
    },
    /// The bytes end inside an element.
    #[error("ASN.1 element cut short")]
    Truncated,
    /// A length in more than four bytes, or the reserved form.
    #[error("ASN.1 length not understood")]
    BadLength,
    /// A tag that no SCEP message holds (multi-byte, end-of-contents out of place, a primitive
    /// SEQUENCE, a constructed INTEGER).
    #[error("ASN.1 tag {0:#04x} where it cannot be")]
    BadTag(u8),
    /// A constructed string whose parts are not strings of its kind.
    #[error("constructed ASN.1 string with parts of another kind")]
    BadString,
    /// Something other than NUL, CR or LF after the message.
    #[error("{0} bytes follow the message")]
    TrailingData(usize),
}

/// Brings one BER element into definite lengths and primitive strings.
///
/// Borrowed if it was so already. Trailing NUL, CR and LF (seen from clients that treat the body
/// as text) are dropped; anything else after the element is refused.
pub(crate) fn normalise<'a>(input: &'a [u8], bounds: &Bounds) -> Result<Cow<'a, [u8]>, BerError> {
    if input.len() > bounds.size {
        return Err(BerError::TooLarge { limit: bounds.size, found: input.len() });
    }
    let mut normaliser = Normaliser { bounds, nodes: 0 };
    let (element, rest) = normaliser.element(input, 1)?;
    if rest.iter().all(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        Ok(element.der)
    } else {
        Err(BerError::TrailingData(rest.len()))
    }
}

const CONSTRUCTED: u8 = 0x20;
const CLASS: u8 = 0xc0;
const MULTI_BYTE: u8 = 0x1f;

const END_OF_CONTENTS: u8 = 0x00;

/// An element after normalisation, its tag beside it.
struct Normal<'a> {
    tag: u8,
    der: Cow<'a, [u8]>,
}

impl Normal<'_> {
    fn content(&self) -> &[u8] {
        tlv::content_of(&self.der)
    }
}

struct Header {
    tag: u8,
    /// Bytes of tag and length.
    len: usize,
    /// `None` for the indefinite form.
    content: Option<usize>,
    minimal: bool,
}

struct Normaliser<'b> {
    bounds: &'b Bounds,
    nodes: usize,
}

impl Normaliser<'_> {
    fn element<'a>(
        &mut self,
        input: &'a [u8],
        depth: usize,
    ) -> Result<(Normal<'a>, &'a [u8]), BerError> {
        if depth > self.bounds.depth {
            return Err(BerError::TooDeep { limit: self.bounds.depth });
        }
        self.nodes += 1;
        if self.nodes > self.bounds.nodes {
            return Err(BerError::TooManyElements { limit: self.bounds.nodes });
        }
        let header = header(input)?;
        let body = input.get(header.len..).ok_or(BerError::Truncated)?;
        if header.tag & CONSTRUCTED != 0 {
            return self.constructed(input, body, &header, depth);
        }
        let len = header.content.ok_or(BerError::BadLength)?;
        let (content, rest) = body.split_at_checked(len).ok_or(BerError::Truncated)?;
        if header.tag == END_OF_CONTENTS
            || matches!(header.tag, tlv::SEQUENCE_NUMBER | tlv::SET_NUMBER)
        {
            return Err(BerError::BadTag(header.tag));
        }
        let der = if header.minimal {
            Cow::Borrowed(input.get(..header.len + len).ok_or(BerError::Truncated)?)
        } else {
            Cow::Owned(tlv::element(header.tag, &[content]))
        };
        Ok((Normal { tag: header.tag, der }, rest))
    }

    fn constructed<'a>(
        &mut self,
        input: &'a [u8],
        body: &'a [u8],
        header: &Header,
        depth: usize,
    ) -> Result<(Normal<'a>, &'a [u8]), BerError> {
        let kind = Kind::of(header.tag)?;
        let (mut todo, after) = match header.content {
            Some(len) => {
                let (content, after) = body.split_at_checked(len).ok_or(BerError::Truncated)?;
                (content, Some(after))
            }
            None => (body, None),
        };
        let definite = todo;
        let mut children = Children::default();
        let rest = loop {
            match after {
                Some(after) if todo.is_empty() => break after,
                None if todo.starts_with(&[0, 0]) => break todo.get(2..).unwrap_or_default(),
                _ => {}
            }
            let seen = definite.len() - todo.len();
            let (child, rest) = self.element(todo, depth + 1)?;
            children.push(child, definite.get(..seen).unwrap_or_default(), kind)?;
            todo = rest;
        };
        let der = match kind {
            Kind::String => Cow::Owned(tlv::element(
                header.tag & !CONSTRUCTED,
                &[children.joined(header.tag & !CONSTRUCTED)?.as_slice()],
            )),
            Kind::Container => {
                children.mend_encrypted_content(header.tag, definite);
                match children.changed {
                    Some(content) => Cow::Owned(tlv::element(header.tag, &[&content])),
                    None if header.minimal && header.content.is_some() => {
                        let len = input.len() - rest.len();
                        Cow::Borrowed(input.get(..len).ok_or(BerError::Truncated)?)
                    }
                    None => {
                        let len = definite.len() - todo.len();
                        Cow::Owned(tlv::element(
                            header.tag,
                            &[definite.get(..len).ok_or(BerError::Truncated)?],
                        ))
                    }
                }
            }
        };
        Ok((Normal { tag: header.tag, der }, rest))
    }
}

/// What a constructed element may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SEQUENCE, SET, or any tag of another class: elements.
    Container,
    /// A universal string in parts.
    String,
}

impl Kind {
    fn of(tag: u8) -> Result<Kind, BerError> {
        match (tag & CLASS, tag & MULTI_BYTE) {
            (0, tlv::SEQUENCE_NUMBER | tlv::SET_NUMBER) => Ok(Kind::Container),
            // BIT STRING, OCTET STRING, UTF8String, and the restricted strings up to BMPString.
            (0, 3 | 4 | 12 | 18..=22 | 25..=30) => Ok(Kind::String),
            (0, _) => Err(BerError::BadTag(tag)),
            _ => Ok(Kind::Container),
        }
    }
}

/// The children of a constructed element, held as a span of the input until one of them changes.
#[derive(Default)]
struct Children<'a> {
    /// All content so far, once a child differed from what came.
    changed: Option<Vec<u8>>,
    /// Tags of the first four children: enough to tell EncryptedContentInfo.
    tags: Vec<u8>,
    /// Of EncryptedContentInfo: where the last child begins in `changed` or in the input.
    last_start: usize,
    parts: Vec<Normal<'a>>,
}

impl<'a> Children<'a> {
    /// `before` is the input of all children before this one.
    fn push(&mut self, child: Normal<'a>, before: &'a [u8], kind: Kind) -> Result<(), BerError> {
        if kind == Kind::String {
            self.parts.push(child);
            return Ok(());
        }
        if self.tags.len() < 4 {
            self.tags.push(child.tag);
            self.last_start = self.changed.as_ref().map_or(before.len(), Vec::len);
        }
        match (&mut self.changed, child.der) {
            (None, Cow::Borrowed(_)) => {}
            (Some(content), der) => content.extend_from_slice(&der),
            (None, Cow::Owned(der)) => {
                let mut content = before.to_vec();
                content.extend_from_slice(&der);
                self.changed = Some(content);
            }
        }
        Ok(())
    }

    /// The value of a string that came in parts (X.690 §8.6.4, §8.7.3, §8.23.6).
    fn joined(&self, tag: u8) -> Result<Vec<u8>, BerError> {
        if self
            .parts
            .iter()
            .any(|part| part.tag & !CONSTRUCTED != tag && part.tag != tlv::OCTET_STRING)
        {
            return Err(BerError::BadString);
        }
        if tag != tlv::BIT_STRING {
            return Ok(self.parts.iter().flat_map(|part| part.content().iter().copied()).collect());
        }
        let mut unused = 0;
        let mut bits = vec![0];
        for part in &self.parts {
            let (&part_unused, part_bits) =
                part.content().split_first().ok_or(BerError::BadString)?;
            if unused != 0 || part_unused > 7 {
                return Err(BerError::BadString);
            }
            unused = part_unused;
            bits.extend_from_slice(part_bits);
        }
        if let Some(first) = bits.first_mut() {
            *first = unused;
        }
        Ok(bits)
    }

    /// The one hint from the schema: SEQUENCE { OID, SEQUENCE, `[0]` of OCTET STRINGs } and nothing
    /// more is EncryptedContentInfo (RFC 5652 §6.1), whose `[0]` is an IMPLICIT OCTET STRING and so
    /// primitive in DER. EncapsulatedContentInfo has two elements and is left alone.
    fn mend_encrypted_content(&mut self, tag: u8, definite: &[u8]) {
        if tag != tlv::SEQUENCE
            || self.tags != [tlv::OBJECT_IDENTIFIER, tlv::SEQUENCE, tlv::CONTEXT_0]
        {
            return;
        }
        let content: &[u8] = self.changed.as_deref().unwrap_or(definite);
        let Some((before, last)) = content.split_at_checked(self.last_start) else {
            return;
        };
        let mut ciphertext = Vec::with_capacity(last.len());
        let mut reader = match tlv::Reader::new(last).expect(tlv::CONTEXT_0) {
            Ok(element) => tlv::Reader::new(element.content),
            Err(_) => return,
        };
        if reader.is_empty() {
            return;
        }
        while !reader.is_empty() {
            match reader.expect(tlv::OCTET_STRING) {
                Ok(part) => ciphertext.extend_from_slice(part.content),
                Err(_) => return,
            }
        }
        let mut mended = before.to_vec();
        mended.extend_from_slice(&tlv::element(tlv::CONTEXT_0 & !CONSTRUCTED, &[&ciphertext]));
        self.changed = Some(mended);
    }
}

fn header(input: &[u8]) -> Result<Header, BerError> {
    let (&tag, rest) = input.split_first().ok_or(BerError::Truncated)?;
    if tag & MULTI_BYTE == MULTI_BYTE {
        return Err(BerError::BadTag(tag));
    }
    let (&first, rest) = rest.split_first().ok_or(BerError::Truncated)?;
    match first {
        0..=0x7f => Ok(Header { tag, len: 2, content: Some(usize::from(first)), minimal: true }),
        0x80 => Ok(Header { tag, len: 2, content: None, minimal: false }),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let bytes = rest.get(..count).ok_or(BerError::Truncated)?;
            let len = bytes.iter().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
            let minimal = tlv::header_len(len) == 2 + count;
            Ok(Header { tag, len: 2 + count, content: Some(len), minimal })
        }
        _ => Err(BerError::BadLength),
    }
}

#[cfg(test)]
mod tests;
