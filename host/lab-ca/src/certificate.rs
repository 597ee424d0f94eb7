//! Certificates as AD CS makes them: which extensions, in which form.

use std::time::{Duration, SystemTime};

use der::asn1::{
    Any, BitString, GeneralizedTime, Ia5String, Int, ObjectIdentifier, OctetString, SetOfVec,
    UtcTime, Utf8StringRef,
};
use der::{DateTime, Decode, Encode, Sequence};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::name::RdnSequence;
use x509_cert::time::{Time, Validity};

use crate::error::LabCaError;
use crate::key::CaKey;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
pub(crate) const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.35");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const AUTHORITY_INFORMATION_ACCESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
/// szOID_CERTIFICATE_TEMPLATE (MS-WCCE §2.2.2.7.7.2).
const CERTIFICATE_TEMPLATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.7");

/// AD CS backdates by ten minutes, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the key in a certificate may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    Sign,
    Encipher,
    SignAndEncipher,
    CertificateAuthority,
}

/// Who issues.
pub(crate) struct Issuer {
    pub(crate) name: Any,
    pub(crate) key: CaKey,
    /// DER.
    pub(crate) certificate: Vec<u8>,
    pub(crate) key_identifier: Vec<u8>,
    pub(crate) not_after: SystemTime,
}

/// What is to be certified.
pub(crate) struct Subject<'a> {
    pub(crate) name: Any,
    pub(crate) spki: &'a [u8],
    pub(crate) key_use: KeyUse,
    pub(crate) extended_key_usages: Vec<String>,
    /// The extension's value.
    pub(crate) subject_alt_name: Option<Vec<u8>>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The template's object identifier.
    pub(crate) template: Option<String>,
    pub(crate) more_extensions: Vec<Extension>,
    /// `http://127.0.0.1:port`, where CRL and CA certificate are published.
    pub(crate) publication: Option<&'a str>,
}

/// A certificate just made.
pub(crate) struct Issued {
    /// Hexadecimal.
    pub(crate) serial: String,
    pub(crate) der: Vec<u8>,
}

#[derive(Sequence)]
struct Certificate {
    tbs: Any,
    algorithm: Any,
    signature: BitString,
}

#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: Int,
    algorithm: Any,
    issuer: Any,
    validity: Validity,
    subject: Any,
    spki: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// MS-WCCE §2.2.2.7.7.2.
#[derive(Sequence)]
struct TemplateIdentity {
    oid: ObjectIdentifier,
    major: u32,
    minor: u32,
}

impl Issuer {
    /// A new self-signed CA of that name.
    pub(crate) fn self_signed(
        common_name: &str,
        key: CaKey,
        valid_for: Duration,
    ) -> Result<Self, LabCaError> {
        let name = name(common_name)?;
        let spki = key.spki()?;
        let not_before = SystemTime::now() - BACKDATED;
        let mut issuer = Self {
            name: name.clone(),
            key,
            certificate: Vec::new(),
            key_identifier: key_identifier(&spki)?,
            not_after: not_before + valid_for,
        };
        let issued = issuer.issue(Subject {
            name,
            spki: &spki,
            key_use: KeyUse::CertificateAuthority,
            extended_key_usages: Vec::new(),
            subject_alt_name: None,
            not_before,
            not_after: issuer.not_after,
            template: None,
            more_extensions: Vec::new(),
            publication: None,
        })?;
        issuer.certificate = issued.der;
        Ok(issuer)
    }

    pub(crate) fn restore(certificate: Vec<u8>, key: CaKey) -> Result<Self, LabCaError> {
        let read = x509_cert::Certificate::from_der(&certificate)?;
        let tbs = read.tbs_certificate();
        Ok(Self {
            name: Any::encode_from(tbs.subject())?,
            key_identifier: key_identifier(&key.spki()?)?,
            not_after: tbs.validity().not_after.to_system_time(),
            key,
            certificate,
        })
    }

    /// Certifies, whatever the subject says; the template's limits are `decide`'s business.
    pub(crate) fn issue(&self, subject: Subject<'_>) -> Result<Issued, LabCaError> {
        let serial = new_serial()?;
        let algorithm = self.key.signature_algorithm()?;
        let tbs = TbsCertificate {
            version: 2,
            serial: Int::new(&serial)?,
            algorithm: algorithm.clone(),
            issuer: self.name.clone(),
            validity: Validity::new(
                time(subject.not_before)?,
                time(subject.not_after.min(self.not_after))?,
            ),
            extensions: self.extensions(&subject)?,
            subject: subject.name,
            spki: Any::from_der(subject.spki)?,
        }
        .to_der()?;
        let signature = self.key.sign(&tbs)?;
        let der = Certificate {
            tbs: Any::from_der(&tbs)?,
            algorithm,
            signature: BitString::from_bytes(&signature)?,
        }
        .to_der()?;
        Ok(Issued { serial: hex::encode(serial), der })
    }

    fn extensions(&self, subject: &Subject<'_>) -> Result<Vec<Extension>, LabCaError> {
        let is_ca = subject.key_use == KeyUse::CertificateAuthority;
        let mut extensions = vec![
            extension(KEY_USAGE, true, &subject.key_use.bits())?,
            extension(
                SUBJECT_KEY_IDENTIFIER,
                false,
                &SubjectKeyIdentifier(OctetString::new(key_identifier(subject.spki)?)?),
            )?,
            self.authority_key_identifier()?,
        ];
        if is_ca {
            let constraints = BasicConstraints { ca: true, path_len_constraint: None };
            extensions.push(extension(BASIC_CONSTRAINTS, true, &constraints)?);
        }
        if !subject.extended_key_usages.is_empty() {
            let usages = subject
                .extended_key_usages
                .iter()
                .map(|usage| oid(usage))
                .collect::<Result<Vec<_>, _>>()?;
            extensions.push(extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(usages))?);
        }
        if let Some(value) = &subject.subject_alt_name {
            extensions.push(Extension {
                extn_id: SUBJECT_ALT_NAME,
                // RFC 5280 §4.2.1.6: critical where the subject is empty.
                critical: subject.name.value().is_empty(),
                extn_value: OctetString::new(value.clone())?,
            });
        }
        if let Some(publication) = subject.publication {
            extensions.push(extension(
                CRL_DISTRIBUTION_POINTS,
                false,
                &distribution_points(&format!("{publication}{CRL_PATH}"))?,
            )?);
            let access = AccessDescription {
                access_method: CA_ISSUERS,
                access_location: uri(&format!("{publication}{CERTIFICATE_PATH}"))?,
            };
            extensions.push(extension(
                AUTHORITY_INFORMATION_ACCESS,
                false,
                &AuthorityInfoAccessSyntax(vec![access]),
            )?);
        }
        if let Some(template) = &subject.template {
            let identity = TemplateIdentity { oid: oid(template)?, major: 100, minor: 1 };
            extensions.push(extension(CERTIFICATE_TEMPLATE, false, &identity)?);
        }
        extensions.extend(subject.more_extensions.iter().cloned());
        Ok(extensions)
    }

    pub(crate) fn authority_key_identifier(&self) -> Result<Extension, LabCaError> {
        let identifier = AuthorityKeyIdentifier {
            key_identifier: Some(OctetString::new(self.key_identifier.clone())?),
            ..AuthorityKeyIdentifier::default()
        };
        extension(AUTHORITY_KEY_IDENTIFIER, false, &identifier)
    }
}

impl KeyUse {
    fn bits(self) -> KeyUsage {
        KeyUsage(match self {
            Self::Sign => KeyUsages::DigitalSignature.into(),
            Self::Encipher => KeyUsages::KeyEncipherment.into(),
            Self::SignAndEncipher => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
            Self::CertificateAuthority => {
                KeyUsages::DigitalSignature | KeyUsages::KeyCertSign | KeyUsages::CRLSign
            }
        })
    }
}

/// Where the CRL is published, below the publication's address.
pub(crate) const CRL_PATH: &str = "/CertEnroll/ca.crl";
/// Where the CA's certificate is.
pub(crate) const CERTIFICATE_PATH: &str = "/CertEnroll/ca.crt";

/// From ten minutes ago for so many days.
pub(crate) fn validity(days: u32) -> (SystemTime, SystemTime) {
    let now = SystemTime::now();
    (now - BACKDATED, now + DAY * days)
}

/// A Name of one common name.
pub(crate) fn name(common_name: &str) -> Result<Any, LabCaError> {
    let mut rdn = SetOfVec::new();
    rdn.insert(AttributeTypeAndValue {
        oid: COMMON_NAME,
        value: Any::from(Utf8StringRef::new(common_name)?),
    })?;
    Ok(Any::encode_from(&RdnSequence::from(vec![rdn.into()]))?)
}

/// The value of a subjectAltName of one DNS name.
pub(crate) fn dns_name(name: &str) -> Result<Vec<u8>, LabCaError> {
    Ok(vec![GeneralName::DnsName(Ia5String::new(name)?)].to_der()?)
}

/// RFC 7093 §2 (1): the first 160 bits of the SHA-256 of the key.
pub(crate) fn key_identifier(spki: &[u8]) -> Result<Vec<u8>, LabCaError> {
    let info = spki::SubjectPublicKeyInfoOwned::from_der(spki)?;
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        info.subject_public_key.as_bytes().unwrap_or_default(),
    );
    Ok(digest.as_ref().iter().copied().take(20).collect())
}

pub(crate) fn time(time: SystemTime) -> Result<Time, LabCaError> {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| LabCaError::Request("a time before 1970".into()))?
        .as_secs();
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds))?;
    // RFC 5280 §4.1.2.5: UTCTime through 2049.
    Ok(match UtcTime::from_date_time(time) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_date_time(time)),
    })
}

pub(crate) fn extension(
    extn_id: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, LabCaError> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value.to_der()?)? })
}

pub(crate) fn oid(dotted: &str) -> Result<ObjectIdentifier, LabCaError> {
    dotted.parse().map_err(|_| LabCaError::Request(format!("{dotted} is not an object identifier")))
}

fn distribution_points(place: &str) -> Result<CrlDistributionPoints, LabCaError> {
    Ok(CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![uri(place)?])),
        reasons: None,
        crl_issuer: None,
    }]))
}

fn uri(place: &str) -> Result<GeneralName, LabCaError> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(place)?))
}

/// Sixteen random octets, positive and without leading zeros (RFC 5280 §4.1.2.2).
fn new_serial() -> Result<[u8; 16], LabCaError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| LabCaError::Cryptography("no randomness"))?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}
