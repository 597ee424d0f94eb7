//! A signed revocation order, read from the documented format and believed only with its signature.
//! It shares no code with who writes it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::LabCaError;

/// The first line: kind and version.
const KIND: &str = "countersign-revocation-order-1";

/// No order is longer.
const MOST_OCTETS: usize = 1024;

/// The key that orders must be signed with, pinned by an admin.
pub struct OrderKey(ParsedPublicKey);

/// An order whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) authority: String,
    pub(crate) serial: String,
    pub(crate) certificate_sha256: String,
    /// CRLReason of RFC 5280 §5.3.1.
    pub(crate) reason: u8,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnOrder {
    /// Altered on the way, or signed by another key.
    #[error("its signature is not of the pinned order key")]
    Signature,
    /// Well signed, and not an order that this agent understands.
    #[error("it is no order in the form that this agent reads: {0}")]
    Form(&'static str),
    /// Another CA's.
    #[error("it is for the authority `{0}`")]
    OtherAuthority(String),
}

impl OrderKey {
    /// From PEM (`PUBLIC KEY`), as `countersign revoker key` prints it.
    ///
    /// # Errors
    /// [`LabCaError::Request`] when it is not a P-256 public key.
    pub fn from_pem(pem: &str) -> Result<Self, LabCaError> {
        let wrong = || LabCaError::Request("expected a P-256 public key in PEM".to_owned());
        let (label, spki) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| wrong())?;
        if label != "PUBLIC KEY" {
            return Err(wrong());
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &spki).map(Self).map_err(|_| wrong())
    }

    /// The order in `document`, if `signature` (both base64) is this key's over it and it is for
    /// `authority`.
    pub(crate) fn read(
        &self,
        document: &str,
        signature: &str,
        authority: &str,
    ) -> Result<(Order, Vec<u8>), NotAnOrder> {
        let decode = |text: &str| {
            if text.len() > 2 * MOST_OCTETS {
                return Err(NotAnOrder::Form("it is too long"));
            }
            STANDARD.decode(text).map_err(|_| NotAnOrder::Form("it is not base64"))
        };
        let (octets, signature) = (decode(document)?, decode(signature)?);
        self.0.verify_sig(&octets, &signature).map_err(|_| NotAnOrder::Signature)?;
        let order = parse(&octets)?;
        if order.authority != authority {
            return Err(NotAnOrder::OtherAuthority(order.authority));
        }
        Ok((order, octets))
    }
}

impl std::fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderKey(..)")
    }
}

/// Seven lines in one order, nothing before, between or after them.
fn parse(octets: &[u8]) -> Result<Order, NotAnOrder> {
    let form = NotAnOrder::Form;
    let text = std::str::from_utf8(octets).map_err(|_| form("it is not text"))?;
    let mut lines = text.strip_suffix('\n').ok_or(form("its last line has no end"))?.split('\n');
    if lines.next() != Some(KIND) {
        return Err(form("its first line is not `countersign-revocation-order-1`"));
    }
    let mut value = |name: &str| {
        lines
            .next()
            .and_then(|line| line.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix(": "))
            .map(str::to_owned)
            .ok_or(form("its lines are not those of version 1"))
    };
    let number = digits(&value("number")?).ok_or(form("`number` is no number"))?;
    let authority = value("authority")?;
    let serial = value("serial")?;
    let certificate_sha256 = value("certificate-sha256")?;
    let reason = match value("reason")?.as_str() {
        "unspecified" => 0,
        "key-compromise" => 1,
        "affiliation-changed" => 3,
        "superseded" => 4,
        "cessation-of-operation" => 5,
        _ => return Err(form("`reason` is none that this CA gives")),
    };
    digits(&value("ordered")?).ok_or(form("`ordered` is no time"))?;
    if lines.next().is_some() {
        return Err(form("it goes on after `ordered`"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if authority.is_empty() || authority.len() > 64 || !authority.bytes().all(plain) {
        return Err(form("`authority` is no name"));
    }
    if serial.is_empty() || serial.len() > 80 || !is_hex(&serial) {
        return Err(form("`serial` is not lower-case hexadecimal"));
    }
    if certificate_sha256.len() != 64 || !is_hex(&certificate_sha256) {
        return Err(form("`certificate-sha256` is not 64 hexadecimal digits"));
    }
    Ok(Order { number, authority, serial, certificate_sha256, reason })
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty()
        && text.len() <= 18
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    const GOOD: &str = "countersign-revocation-order-1\n\
        number: 17\n\
        authority: ad\n\
        serial: 6100000002f3\n\
        certificate-sha256: abababababababababababababababababababababababababababababababab\n\
        reason: cessation-of-operation\n\
        ordered: 1764547200\n";

    /// The other side: signs whatever it is given.
    pub(crate) struct Signer(EcdsaKeyPair);

    impl Signer {
        pub(crate) fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        }

        pub(crate) fn key(&self) -> OrderKey {
            let spki: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
            let pem =
                der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, spki.as_ref());
            OrderKey::from_pem(&pem.unwrap()).unwrap()
        }

        pub(crate) fn sign(&self, document: &str) -> String {
            let signature = self.0.sign(&SystemRandom::new(), document.as_bytes()).unwrap();
            STANDARD.encode(signature.as_ref())
        }
    }

    fn read(key: &OrderKey, document: &str, signature: &str) -> Result<Order, NotAnOrder> {
        key.read(&STANDARD.encode(document), signature, "ad").map(|(order, _)| order)
    }

    #[test]
    fn a_well_signed_order_is_read() {
        let signer = Signer::new();
        let order = read(&signer.key(), GOOD, &signer.sign(GOOD)).unwrap();
        assert_eq!((order.number, order.reason), (17, 5));
        assert_eq!((order.serial.as_str(), order.authority.as_str()), ("6100000002f3", "ad"));
    }

    #[test]
    fn an_altered_or_foreign_order_is_refused() {
        let (signer, other) = (Signer::new(), Signer::new());
        let signature = signer.sign(GOOD);
        for altered in [
            GOOD.replace("2f3", "2f4"),
            GOOD.replace("17", "18"),
            GOOD.replace("cessation-of-operation", "key-compromise"),
            format!("{GOOD}\n"),
        ] {
            assert_eq!(read(&signer.key(), &altered, &signature), Err(NotAnOrder::Signature));
        }
        assert_eq!(read(&signer.key(), GOOD, &other.sign(GOOD)), Err(NotAnOrder::Signature));
        assert_eq!(read(&signer.key(), GOOD, ""), Err(NotAnOrder::Signature));
        let elsewhere = GOOD.replace("authority: ad", "authority: other");
        assert_eq!(
            read(&signer.key(), &elsewhere, &signer.sign(&elsewhere)),
            Err(NotAnOrder::OtherAuthority("other".into()))
        );
    }

    #[test]
    fn there_is_one_way_to_write_an_order() {
        let signer = Signer::new();
        for wrong in [
            GOOD.trim_end().to_owned(),
            format!("{GOOD}\n"),
            format!("{GOOD}more: 1\n"),
            GOOD.replace('\n', "\r\n"),
            GOOD.replace("order-1", "order-2"),
            GOOD.replace("number: 17", "number: 017"),
            GOOD.replace("number: 17", "number: -1"),
            GOOD.replace("number: ", "number:  "),
            GOOD.replace("serial: 6100000002f3\n", ""),
            GOOD.replace("6100000002f3", "6100000002F3"),
            GOOD.replace("6100000002f3", ""),
            GOOD.replace("abab", "ab"),
            GOOD.replace("cessation-of-operation", "hold"),
            GOOD.replace("1764547200", "yesterday"),
            String::new(),
        ] {
            let found = read(&signer.key(), &wrong, &signer.sign(&wrong));
            assert!(matches!(found, Err(NotAnOrder::Form(_))), "{wrong:?}: {found:?}");
        }
    }
}
