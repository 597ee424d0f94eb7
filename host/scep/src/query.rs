//! The query of a SCEP URL (RFC 8894 §4.1): operation and message, decoded by hand.
//!
//! Form decoding would turn `+` into a space, and clients send base64 with a raw `+` (macOS), with
//! newlines every 64 characters as `%0A` (Cisco, strongSwan), in the URL alphabet (micromdm) and
//! without padding. All of that is taken; anything else is refused.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::ber::Bounds;

/// What a SCEP URL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// What the server can do.
    GetCaCaps,
    /// The CA's and RA's certificates.
    GetCaCert,
    /// The certificates that follow them.
    GetNextCaCert,
    /// A pkiMessage.
    PkiOperation,
}

impl Operation {
    const NAMES: [(&'static str, Operation); 4] = [
        ("GetCACaps", Operation::GetCaCaps),
        ("GetCACert", Operation::GetCaCert),
        ("GetNextCACert", Operation::GetNextCaCert),
        ("PKIOperation", Operation::PkiOperation),
    ];

    /// The operation of this name, in any case.
    pub fn parse(name: &str) -> Option<Operation> {
        Self::NAMES
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, operation)| operation)
    }

    /// The name as RFC 8894 spells it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::GetCaCaps => "GetCACaps",
            Operation::GetCaCert => "GetCACert",
            Operation::GetNextCaCert => "GetNextCACert",
            Operation::PkiOperation => "PKIOperation",
        }
    }
}

/// A query whose parts are still bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The operation; a POST may leave it out, and then means PKIOperation.
    pub operation: Option<Operation>,
    /// `message`, percent-decoded: a CA identifier (some send `0`, `default` or a name; nothing
    /// depends on it) or a pkiMessage in base64.
    pub message: Option<Vec<u8>>,
}

/// Why a query is not one of SCEP. The answer is HTTP 400, or 414 for [`QueryError::TooLong`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Longer than a message within bounds can be.
    #[error("query of {found} bytes; the limit is {limit}")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// What came, in bytes.
        found: usize,
    },
    /// A `%` without two hex digits.
    #[error("a % in the query is not followed by two hex digits")]
    PercentEncoding,
    /// `operation` or `message` twice.
    #[error("{0} comes more than once in the query")]
    Repeated(&'static str),
    /// An operation that SCEP does not have.
    #[error(
        "operation {0:?} is not known; SCEP has GetCACaps, GetCACert, GetNextCACert and PKIOperation"
    )]
    UnknownOperation(String),
    /// PKIOperation by GET without a message.
    #[error("the query has no message")]
    NoMessage,
    /// A message that is not base64.
    #[error("the message is not base64")]
    NotBase64,
}

impl Query {
    /// Reads the raw query (what follows `?`, nothing decoded). Parameters that are not SCEP's are
    /// passed over.
    pub fn parse(raw: &str, bounds: &Bounds) -> Result<Query, QueryError> {
        // Base64 makes 4 of 3, and each may be percent-encoded; newlines and other parameters.
        let limit = bounds.size().saturating_mul(4).saturating_add(4096);
        if raw.len() > limit {
            return Err(QueryError::TooLong { limit, found: raw.len() });
        }
        let mut query = Query { operation: None, message: None };
        let (mut has_operation, mut has_message) = (false, false);
        for parameter in raw.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.eq_ignore_ascii_case("operation") {
                if std::mem::replace(&mut has_operation, true) {
                    return Err(QueryError::Repeated("operation"));
                }
                let value = percent_decoded(value)?;
                let text = String::from_utf8_lossy(&value);
                let operation = Operation::parse(text.trim())
                    .ok_or_else(|| QueryError::UnknownOperation(text.chars().take(32).collect()))?;
                query.operation = Some(operation);
            } else if name.eq_ignore_ascii_case("message") {
                if std::mem::replace(&mut has_message, true) {
                    return Err(QueryError::Repeated("message"));
                }
                query.message = Some(percent_decoded(value)?);
            }
        }
        Ok(query)
    }

    /// The pkiMessage in `message`.
    pub fn pki_message(&self) -> Result<Vec<u8>, QueryError> {
        let text = self.message.as_deref().ok_or(QueryError::NoMessage)?;
        let mut standard = Vec::with_capacity(text.len());
        for byte in text {
            match byte {
                b'\r' | b'\n' | b'\t' => {}
                // A raw + that somebody before us form-decoded.
                b' ' => standard.push(b'+'),
                b'-' => standard.push(b'+'),
                b'_' => standard.push(b'/'),
                other => standard.push(*other),
            }
        }
        let message = BASE64.decode(&standard).map_err(|_| QueryError::NotBase64)?;
        if message.is_empty() { Err(QueryError::NoMessage) } else { Ok(message) }
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn percent_decoded(value: &str) -> Result<Vec<u8>, QueryError> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(QueryError::PercentEncoding)
    };
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let code = digit(bytes.next())? * 16 + digit(bytes.next())?;
            out.push(u8::try_from(code).map_err(|_| QueryError::PercentEncoding)?);
        } else {
            out.push(byte);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its base64 holds +, / and padding.
    const MESSAGE: &[u8] = &[0x30, 0xfb, 0xef, 0xbe, 0xff, 0xfe, 0x3f, 0x00];
    const TEXT: &str = "MPvvvv/+PwA=";

    fn message(raw: &str) -> Result<Vec<u8>, QueryError> {
        Query::parse(raw, &Bounds::REQUEST).and_then(|query| query.pki_message())
    }

    #[test]
    fn every_way_clients_encode_a_message_is_read() {
        assert_eq!(BASE64.decode(TEXT).unwrap(), MESSAGE);
        for text in [
            "MPvvvv/+PwA=",
            "MPvvvv%2F%2BPwA%3D",
            "MPvvvv%2f%2bPwA%3d",
            "MPvvvv/ PwA=",
            "MPvvvv/%20PwA=",
            "MPvvvv_-PwA",
            "MPvvvv_-PwA%3D",
            "MPvv%0Avv/+PwA=%0A",
            "MPvv%0D%0Avv/+PwA=%0D%0A",
            "MPvv\nvv/+PwA=\n",
        ] {
            let raw = format!("operation=PKIOperation&message={text}");
            assert_eq!(message(&raw).unwrap(), MESSAGE, "{text}");
        }
    }

    #[test]
    fn the_names_are_taken_in_any_case_and_any_order() {
        let raw = format!("x=1&MESSAGE={TEXT}&Operation=pkioperation&y");
        let query = Query::parse(&raw, &Bounds::REQUEST).unwrap();
        assert_eq!(query.operation, Some(Operation::PkiOperation));
        assert_eq!(query.pki_message().unwrap(), MESSAGE);
        for (name, operation) in Operation::NAMES {
            assert_eq!(Operation::parse(&name.to_uppercase()), Some(operation));
            assert_eq!(operation.name(), name);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (raw, error) in [
            ("operation=PKIOperation", QueryError::NoMessage),
            ("message=", QueryError::NoMessage),
            ("message=%0A", QueryError::NoMessage),
            ("message=AB%2", QueryError::PercentEncoding),
            ("message=AB%zz", QueryError::PercentEncoding),
            ("message=A*B=", QueryError::NotBase64),
            ("message=AAAA&message=AAAA", QueryError::Repeated("message")),
            ("operation=GetCACert&operation=GetCACert", QueryError::Repeated("operation")),
            ("operation=Get", QueryError::UnknownOperation("Get".into())),
        ] {
            assert_eq!(message(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn an_endless_query_is_refused_before_it_is_decoded() {
        let raw = format!("message={}", "A".repeat(300_000));
        let limit = 4 * 64 * 1024 + 4096;
        assert_eq!(message(&raw), Err(QueryError::TooLong { limit, found: 300_008 }));
    }
}
