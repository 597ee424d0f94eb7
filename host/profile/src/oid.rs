//! Object identifiers, and the ones this crate knows by name.

use std::{fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::der::{DerError, Tlv, encode, tag};

/// An object identifier of any length that fits a name: AD CS makes template identifiers longer
/// than the fixed size of `const_oid`, and UUID-based ones have arcs of 128 bits.
///
/// Text is dotted decimal: `1.3.6.1.4.1.311.21.10`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Box<[u8]>);

/// Text that is not a dotted object identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no object identifier: dotted numbers such as 1.3.6.1.5.5.7.3.2 are expected")]
pub struct OidError(pub(crate) String);

/// Longer identifiers are refused: real ones end at about 45 octets.
const MAX_OCTETS: usize = 128;

impl Oid {
    /// The content octets of its DER encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The whole DER encoding.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        encode(tag::OID, &[&self.0])
    }

    pub(crate) fn from_tlv(tlv: Tlv<'_>) -> Result<Self, DerError> {
        const MALFORMED: DerError = DerError::Value("an OBJECT IDENTIFIER");
        let octets = tlv.expect(tag::OID)?.value;
        if octets.is_empty() || octets.len() > MAX_OCTETS || arcs(octets).is_none() {
            return Err(MALFORMED);
        }
        Ok(Self(octets.into()))
    }
}

/// The arcs after the first octet rule has been undone; `None` if malformed or beyond 128 bits.
fn arcs(octets: &[u8]) -> Option<Vec<u128>> {
    let mut found = Vec::new();
    let mut arc = 0_u128;
    let mut inside = false;
    for &octet in octets {
        if !inside && octet == 0x80 {
            return None;
        }
        if arc >> (128 - 7) != 0 {
            return None;
        }
        arc = arc << 7 | u128::from(octet & 0x7f);
        inside = octet & 0x80 != 0;
        if !inside {
            if found.is_empty() {
                let root = (arc / 40).min(2);
                found.push(root);
                arc -= root * 40;
            }
            found.push(arc);
            arc = 0;
        }
    }
    if inside { None } else { Some(found) }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arc) in arcs(&self.0).unwrap_or_default().iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

impl FromStr for Oid {
    type Err = OidError;

    fn from_str(text: &str) -> Result<Self, OidError> {
        let error = || OidError(text.chars().take(80).flat_map(char::escape_default).collect());
        let mut numbers = Vec::new();
        for part in text.split('.') {
            let canonical = !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part.len() == 1 || !part.starts_with('0'));
            if !canonical {
                return Err(error());
            }
            numbers.push(part.parse::<u128>().map_err(|_| error())?);
        }
        let [root, second, rest @ ..] = numbers.as_slice() else {
            return Err(error());
        };
        if *root > 2 || (*root < 2 && *second > 39) {
            return Err(error());
        }
        let first = second.checked_add(root * 40).ok_or_else(error)?;
        let mut octets = Vec::with_capacity(text.len());
        for arc in std::iter::once(first).chain(rest.iter().copied()) {
            push_arc(&mut octets, arc);
        }
        if octets.len() > MAX_OCTETS {
            return Err(error());
        }
        Ok(Self(octets.into()))
    }
}

fn push_arc(octets: &mut Vec<u8>, arc: u128) {
    let groups = (128 - arc.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        octets.push((arc >> (group * 7)) as u8 & 0x7f | more);
    }
}

impl From<ObjectIdentifier> for Oid {
    fn from(known: ObjectIdentifier) -> Self {
        Self(known.as_bytes().into())
    }
}

impl PartialEq<ObjectIdentifier> for Oid {
    fn eq(&self, known: &ObjectIdentifier) -> bool {
        &*self.0 == known.as_bytes()
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Oid {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ObjectIdentifier".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Object identifier in dotted form, such as 1.3.6.1.5.5.7.3.2.",
            "pattern": "^[0-2](\\.(0|[1-9][0-9]*))+$",
        })
    }
}

/// Declares constants with a doc line each.
macro_rules! oids {
    ($($(#[$doc:meta])+ $name:ident = $dotted:literal;)+) => {
        $($(#[$doc])+ pub const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($dotted);)+
    };
}

/// Object identifiers of requests and certificates, by the names of their standards.
pub mod known {
    use const_oid::ObjectIdentifier;

    oids! {
        /// rsaEncryption
        RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
        /// md5WithRSAEncryption, known to be refused by name.
        MD5_WITH_RSA = "1.2.840.113549.1.1.4";
        /// sha1WithRSAEncryption
        SHA1_WITH_RSA = "1.2.840.113549.1.1.5";
        /// id-mgf1
        MGF1 = "1.2.840.113549.1.1.8";
        /// id-RSASSA-PSS
        RSASSA_PSS = "1.2.840.113549.1.1.10";
        /// sha256WithRSAEncryption
        SHA256_WITH_RSA = "1.2.840.113549.1.1.11";
        /// sha384WithRSAEncryption
        SHA384_WITH_RSA = "1.2.840.113549.1.1.12";
        /// sha512WithRSAEncryption
        SHA512_WITH_RSA = "1.2.840.113549.1.1.13";
        /// id-ecPublicKey
        EC_PUBLIC_KEY = "1.2.840.10045.2.1";
        /// secp256r1, P-256
        P256 = "1.2.840.10045.3.1.7";
        /// secp384r1, P-384
        P384 = "1.3.132.0.34";
        /// secp521r1, P-521
        P521 = "1.3.132.0.35";
        /// ecdsa-with-SHA1
        ECDSA_SHA1 = "1.2.840.10045.4.1";
        /// ecdsa-with-SHA256
        ECDSA_SHA256 = "1.2.840.10045.4.3.2";
        /// ecdsa-with-SHA384
        ECDSA_SHA384 = "1.2.840.10045.4.3.3";
        /// ecdsa-with-SHA512
        ECDSA_SHA512 = "1.2.840.10045.4.3.4";
        /// id-Ed25519
        ED25519 = "1.3.101.112";
        /// SHA-1
        SHA1 = "1.3.14.3.2.26";
        /// SHA-256
        SHA256 = "2.16.840.1.101.3.4.2.1";
        /// SHA-384
        SHA384 = "2.16.840.1.101.3.4.2.2";
        /// SHA-512
        SHA512 = "2.16.840.1.101.3.4.2.3";

        /// PKCS#9 challengePassword
        CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7";
        /// PKCS#9 friendlyName: information only (certmonger sends one)
        FRIENDLY_NAME = "1.2.840.113549.1.9.20";
        /// PKCS#9 unstructuredName (as an attribute of a request, or in a subject)
        UNSTRUCTURED_NAME = "1.2.840.113549.1.9.2";
        /// PKCS#9 unstructuredAddress
        UNSTRUCTURED_ADDRESS = "1.2.840.113549.1.9.8";
        /// PKCS#9 emailAddress
        EMAIL_ADDRESS = "1.2.840.113549.1.9.1";
        /// PKCS#9 extensionRequest
        EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
        /// Verisign's extension request of early SCEP
        EXTENSION_REQUEST_VERISIGN = "2.16.840.1.113733.1.9.8";
        /// Microsoft's szOID_CERT_EXTENSIONS
        EXTENSION_REQUEST_MICROSOFT = "1.3.6.1.4.1.311.2.1.14";
        /// Microsoft name-value pair: can name requester, validity, template and SAN.
        MS_NAME_VALUE_PAIR = "1.3.6.1.4.1.311.13.2.1";
        /// Microsoft CSP provider: information only.
        MS_CSP_PROVIDER = "1.3.6.1.4.1.311.13.2.2";
        /// Microsoft OS version: information only.
        MS_OS_VERSION = "1.3.6.1.4.1.311.13.2.3";
        /// Microsoft request client info: information only.
        MS_REQUEST_CLIENT_INFO = "1.3.6.1.4.1.311.21.20";

        /// subjectKeyIdentifier
        SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
        /// keyUsage
        KEY_USAGE = "2.5.29.15";
        /// subjectAltName
        SUBJECT_ALT_NAME = "2.5.29.17";
        /// basicConstraints
        BASIC_CONSTRAINTS = "2.5.29.19";
        /// nameConstraints
        NAME_CONSTRAINTS = "2.5.29.30";
        /// cRLDistributionPoints
        CRL_DISTRIBUTION_POINTS = "2.5.29.31";
        /// certificatePolicies
        CERTIFICATE_POLICIES = "2.5.29.32";
        /// policyMappings
        POLICY_MAPPINGS = "2.5.29.33";
        /// authorityKeyIdentifier
        AUTHORITY_KEY_IDENTIFIER = "2.5.29.35";
        /// policyConstraints
        POLICY_CONSTRAINTS = "2.5.29.36";
        /// extKeyUsage
        EXTENDED_KEY_USAGE = "2.5.29.37";
        /// freshestCRL
        FRESHEST_CRL = "2.5.29.46";
        /// inhibitAnyPolicy
        INHIBIT_ANY_POLICY = "2.5.29.54";
        /// authorityInfoAccess
        AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1";
        /// S/MIME capabilities, which Windows adds to requests by itself.
        SMIME_CAPABILITIES = "1.2.840.113549.1.9.15";
        /// Microsoft template name (version 1 templates)
        MS_TEMPLATE_NAME = "1.3.6.1.4.1.311.20.2";
        /// Microsoft template (version 2 and up)
        MS_TEMPLATE = "1.3.6.1.4.1.311.21.7";
        /// Microsoft application policies, which Windows reads in place of extended key usage.
        MS_APPLICATION_POLICIES = "1.3.6.1.4.1.311.21.10";
        /// Microsoft NTDS security extension, which holds a SID for strong mapping.
        MS_NTDS_SID = "1.3.6.1.4.1.311.25.2";
        /// otherName form of a user principal name
        MS_UPN = "1.3.6.1.4.1.311.20.2.3";

        /// id-kp-serverAuth
        SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
        /// id-kp-clientAuth
        CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
        /// id-kp-codeSigning
        CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
        /// id-kp-emailProtection
        EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4";
        /// id-kp-timeStamping
        TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
        /// id-kp-OCSPSigning
        OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
        /// id-kp-eapOverLAN
        EAP_OVER_LAN = "1.3.6.1.5.5.7.3.14";
        /// id-kp-ipsecIKE
        IPSEC_IKE = "1.3.6.1.5.5.7.3.17";
        /// Microsoft's iKEIntermediate, for IPsec gateways
        IKE_INTERMEDIATE = "1.3.6.1.5.5.8.2.2";
        /// id-kp-cmcCA
        CMC_CA = "1.3.6.1.5.5.7.3.27";
        /// id-kp-cmcRA
        CMC_RA = "1.3.6.1.5.5.7.3.28";
        /// anyExtendedKeyUsage
        ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";
        /// Microsoft Certificate Request Agent: countersigns for others.
        CERTIFICATE_REQUEST_AGENT = "1.3.6.1.4.1.311.20.2.1";
        /// Microsoft smart card logon
        SMARTCARD_LOGON = "1.3.6.1.4.1.311.20.2.2";
        /// Microsoft any application policy
        MS_ANY_APPLICATION_POLICY = "1.3.6.1.4.1.311.10.12.1";
        /// Microsoft CA exchange (private key archival)
        MS_CA_EXCHANGE = "1.3.6.1.4.1.311.21.5";
        /// Microsoft key recovery agent
        MS_KEY_RECOVERY_AGENT = "1.3.6.1.4.1.311.21.6";
        /// Microsoft EFS recovery agent
        MS_EFS_RECOVERY = "1.3.6.1.4.1.311.10.3.4.1";
        /// Microsoft certificate trust list signing
        MS_TRUST_LIST_SIGNING = "1.3.6.1.4.1.311.10.3.1";
        /// id-pkinit-KPClientAuth (RFC 4556)
        PKINIT_CLIENT_AUTH = "1.3.6.1.5.2.3.4";
        /// id-pkinit-KPKdc (RFC 4556)
        PKINIT_KDC = "1.3.6.1.5.2.3.5";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::only;

    fn read(octets: &[u8]) -> Result<Oid, DerError> {
        Oid::from_tlv(only(&encode(tag::OID, &[octets])).unwrap())
    }

    #[test]
    fn identifiers_go_between_text_and_der() {
        for text in [
            "0.0",
            "1.39.0",
            "2.5.29.37.0",
            "2.999.1",
            "1.3.6.1.4.1.311.21.8.16335329.15056024.4868507.2459702.9352937.22.4679811.9853459",
            "2.25.329800735698586629295641978511506172918",
        ] {
            let oid: Oid = text.parse().unwrap();
            assert_eq!(oid.to_string(), text);
            assert_eq!(read(oid.as_bytes()).unwrap(), oid);
            assert_eq!(only(&oid.to_der()).unwrap().value, oid.as_bytes());
        }
        assert_eq!(Oid::from(known::CLIENT_AUTH).to_string(), known::CLIENT_AUTH.to_string());
    }

    #[test]
    fn malformed_identifiers_are_refused() {
        let long = [0x81; 19].into_iter().chain([0]).collect::<Vec<u8>>();
        let many = vec![1; 129];
        for octets in [&[][..], &[0x2a, 0x80, 1], &[0x2a, 0x81], &long, &many] {
            assert!(read(octets).is_err(), "{octets:02x?}");
        }
        for text in ["", "1", "3.1", "1.40", "1..2", "1.2.", "01.2", "1.2.03", "a.b", "1.-2"] {
            assert!(text.parse::<Oid>().is_err(), "{text}");
        }
    }
}
