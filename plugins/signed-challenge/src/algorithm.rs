//! The algorithms that a token may be signed with. There is no `none`.

use schemars::JsonSchema;
use serde::Deserialize;

/// An algorithm of RFC 7518 §3.1 or RFC 8037 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: 86 characters of signature.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519: 86 characters of signature.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048, 3072 or 4096 bits: 342 characters and more, which
    /// is over the 255 that a challengePassword has by the letter of PKCS #9.
    #[serde(rename = "RS256")]
    Rs256,
    /// HMAC with SHA-256 under the secret `challenge-key`: 43 characters of signature. Stands alone.
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    /// As it stands in a token.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// Compared by every letter (RFC 7515 §4.1.1): `none`, `None` and `hs256` are not there.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}
