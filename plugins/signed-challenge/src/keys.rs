//! Public keys: JSON Web Keys (RFC 7517) that a token can be signed with, and nothing else of a set.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_sdk::NotApproved;
use p256::ecdsa::signature::Verifier as _;
use serde_json::{Map, Value, json};

use crate::refusal::{self, shown};
use crate::token::Token;
use crate::{Algorithm, rsa};

/// Keys in a set.
const MOST_KEYS: usize = 64;

/// The keys of a set that can be used here.
#[derive(Clone, Debug)]
pub(crate) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    material: Material,
}

/// A key is for one algorithm, whatever a token says: RSA bytes are never an HMAC key.
#[derive(Clone, Debug)]
enum Material {
    /// SEC 1, uncompressed.
    P256(Vec<u8>),
    Ed25519([u8; 32]),
    /// The modulus; the exponent is 65537.
    Rsa(Vec<u8>),
}

/// What a set says of a token.
pub(crate) enum Standing {
    Good,
    /// The key is there and did not sign it.
    Forged,
    /// No such key, or more than one.
    NoKey(String),
}

impl Standing {
    pub(crate) fn allow(self) -> Result<(), NotApproved> {
        match self {
            Self::Good => Ok(()),
            Self::Forged => Err(refusal::signature("under the key that it names")),
            Self::NoKey(why) => Err(refusal::unknown_key(why)),
        }
    }
}

impl KeySet {
    /// Reads a set. Keys for other purposes and of other kinds are left out; what is wrong is said in
    /// words for an admin.
    pub(crate) fn read(set: &Map<String, Value>) -> Result<Self, String> {
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err("expected a JSON Web Key Set, an object with the list `keys`".to_owned());
        };
        if keys.len() > MOST_KEYS {
            return Err(format!("expected at most {MOST_KEYS} keys, found {}", keys.len()));
        }
        let keys: Vec<_> = keys.iter().filter_map(|key| Key::read(key.as_object()?)).collect();
        if keys.is_empty() {
            return Err("found no public key for ES256, EdDSA or RS256 in it".to_owned());
        }
        Ok(Self(keys))
    }

    /// The set in the settings, which has passed their check.
    pub(crate) fn of_settings(set: &Map<String, Value>) -> Result<Self, NotApproved> {
        Self::read(set).map_err(refusal::no_keys)
    }

    /// The set as JSON, without what was left out.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "keys": self.0.iter().map(Key::to_json).collect::<Vec<_>>() })
    }

    /// The first of these algorithms that no key is for.
    pub(crate) fn lacks(&self, algorithms: &[Algorithm]) -> Option<Algorithm> {
        algorithms
            .iter()
            .copied()
            .find(|algorithm| !self.0.iter().any(|key| key.algorithm() == *algorithm))
    }

    /// Finds the one key that a token means, and holds its signature against it.
    pub(crate) fn check(&self, token: &Token<'_>) -> Standing {
        let mut meant = self.0.iter().filter(|key| {
            key.algorithm() == token.algorithm
                && token.key_id.as_ref().is_none_or(|id| key.id.as_ref() == Some(id))
        });
        let algorithm = token.algorithm.as_str();
        let name = match &token.key_id {
            Some(id) => format!("key for {algorithm} with the `kid` {}", shown(id)),
            None => format!("key for {algorithm} (the token names none by `kid`)"),
        };
        match (meant.next(), meant.next()) {
            (Some(key), None) if key.verify(token) => Standing::Good,
            (Some(_), None) => Standing::Forged,
            (None, _) => Standing::NoKey(format!("there is no {name}")),
            (Some(_), Some(_)) => Standing::NoKey(format!("there is more than one {name}")),
        }
    }
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let word = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(word(name)?).ok();
        // Whoever publishes the private part has lost the key.
        if jwk.contains_key("d") || jwk.get("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let material = match (word("kty")?, word("crv")) {
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if (x.len(), y.len()) != (32, 32) {
                    return None;
                }
                let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
                // Not every pair of numbers is on the curve.
                p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                Material::P256(point)
            }
            ("OKP", Some("Ed25519")) => {
                let point: [u8; 32] = bytes("x")?.try_into().ok()?;
                ed25519_dalek::VerifyingKey::from_bytes(&point).ok()?;
                Material::Ed25519(point)
            }
            ("RSA", _) => {
                let modulus = bytes("n")?;
                if bytes("e")? != rsa::EXPONENT || !rsa::is_modulus(&modulus) {
                    return None;
                }
                Material::Rsa(modulus)
            }
            _ => return None,
        };
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let key = Self { id, material };
        let fits = jwk.get("alg").is_none_or(|algorithm| algorithm == key.algorithm().as_str());
        fits.then_some(key)
    }

    fn to_json(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.material {
            Material::P256(point) => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Material::Ed25519(point) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(point) }),
            Material::Rsa(modulus) => {
                json!({ "kty": "RSA", "n": text(modulus), "e": text(&rsa::EXPONENT) })
            }
        };
        if let (Some(id), Some(members)) = (&self.id, jwk.as_object_mut()) {
            members.insert("kid".to_owned(), id.as_str().into());
        }
        jwk
    }

    fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Rsa(_) => Algorithm::Rs256,
        }
    }

    fn verify(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        match &self.material {
            Material::P256(point) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                // r and s, 32 bytes each (RFC 7518 §3.4): never DER.
                let signature = p256::ecdsa::Signature::from_slice(signature);
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify(message, &signature).is_ok())
            }
            Material::Ed25519(point) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(point);
                let signature = ed25519_dalek::Signature::from_slice(signature);
                // Strict: no key and no signature of small order.
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify_strict(message, &signature).is_ok())
            }
            Material::Rsa(modulus) => rsa::verify(modulus, message, signature),
        }
    }
}
