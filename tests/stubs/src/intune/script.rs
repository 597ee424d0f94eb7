//! What a request asks the stub to answer, by words in its challenge, and what may go wrong.

use std::time::Duration;

use serde_json::json;

use crate::Reply;

/// Everything that Intune says but `Success`.
pub const CODES: [&str; 24] = [
    "Unknown",
    "CertificateRequestDecodingFailed",
    "ChallengePasswordMissing",
    "ChallengeDeserializationError",
    "ChallengeDecryptionError",
    "ChallengeDecodingError",
    "ChallengeInvalidTimestamp",
    "ChallengeExpired",
    "SubjectNameMissing",
    "SubjectNameMismatch",
    "SubjectAltNameMissing",
    "SubjectAltNameMismatch",
    "KeyUsageMismatch",
    "KeyLengthMismatch",
    "EnhancedKeyUsageMissing",
    "EnhancedKeyUsageMismatch",
    "AadKeyIdentifierListMissing",
    "RegisteredKeyMismatch",
    "SigningCertThumbprintMismatch",
    "ScepProfileNoLongerTargetedToTheClient",
    "SignatureValidationFailed",
    "BadCertificateRequestIdInChallenge",
    "BadDeviceIdInChallenge",
    "BadUserIdInChallenge",
];

/// What may go wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The token is not taken.
    Unauthorized,
    /// 429, with a `Retry-After` of so many seconds.
    TooMany(u32),
    /// 500.
    Broken,
    /// JSON that breaks off.
    Truncated,
    /// An answer that comes octet by octet, a second apart.
    Slow,
    /// A code that nobody knows.
    UnknownCode,
}

impl Trouble {
    pub(super) fn reply(self) -> Reply {
        let success = json!({ "code": "Success", "errorDescription": "" });
        match self {
            Self::Unauthorized => Reply::new(401, ""),
            Self::TooMany(seconds) => {
                Reply::json(429, &success).header("retry-after", &seconds.to_string())
            }
            Self::Broken => Reply::json(500, &success),
            Self::Truncated => {
                Reply::new(200, r#"{"code":"Succ"#).header("content-type", "application/json")
            }
            Self::Slow => Reply::json(200, &success).dripping(Duration::from_secs(1)),
            Self::UnknownCode => Reply::json(200, &json!({ "code": "SomethingNew" })),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Code(&'static str),
    Trouble(Trouble),
    /// 401 the first time, and then as though it had not said so.
    UnauthorizedOnce,
    /// Validated, but the notification of its certificate is answered with 500 the first time.
    UntoldOnce,
}

/// `stub:WORD` somewhere in the DER of a request. What follows the challenge there may look like more
/// letters, so the longest word that is known counts.
pub(super) fn read(csr: &[u8]) -> Option<Script> {
    const MARK: &[u8] = b"stub:";
    let at = csr.windows(MARK.len()).position(|octets| octets == MARK)?;
    let rest = &csr[at + MARK.len()..];
    let troubles = [
        ("401-once", Script::UnauthorizedOnce),
        ("401", Script::Trouble(Trouble::Unauthorized)),
        ("untold-once", Script::UntoldOnce),
        ("429", Script::Trouble(Trouble::TooMany(120))),
        ("500", Script::Trouble(Trouble::Broken)),
        ("truncated", Script::Trouble(Trouble::Truncated)),
        ("slow", Script::Trouble(Trouble::Slow)),
        ("unknown-code", Script::Trouble(Trouble::UnknownCode)),
        ("Success", Script::Code("Success")),
    ];
    let codes = CODES.iter().map(|code| (*code, Script::Code(code)));
    troubles
        .into_iter()
        .chain(codes)
        .filter(|(word, _)| rest.starts_with(word.as_bytes()))
        .max_by_key(|(word, _)| word.len())
        .map(|(_, script)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_word_counts_whatever_follows_it() {
        for (csr, expected) in [
            (&b"0\x0cstub:ChallengeExpired0\x82"[..], Some(Script::Code("ChallengeExpired"))),
            (b"stub:401-once0", Some(Script::UnauthorizedOnce)),
            (b"stub:4010", Some(Script::Trouble(Trouble::Unauthorized))),
            (b"stub:nothing", None),
            (b"OPEN-17", None),
        ] {
            assert_eq!(read(csr), expected);
        }
    }
}
