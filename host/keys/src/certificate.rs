//! The certificates of the roles, and what the start gate says about them.

use std::time::{Duration, SystemTime};

use const_oid::ObjectIdentifier;
use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier};

use crate::finding::{Finding, Severity};
use crate::public_key::{KeyKind, PublicKey, PublicKeyError};
use crate::role::RoleKind;

/// Certificate Request Agent, the EKU that lets its holder countersign (MS-WCCE §2.2.2.7.10).
pub(crate) const CERTIFICATE_REQUEST_AGENT: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.1");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
/// Microsoft's application policies, which AD CS reads before the EKU.
const APPLICATION_POLICIES: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.10");

/// A certificate is renewed in the last weeks of its life; a shorter rest is a finding.
const RENEWAL_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The certificate of a role's key.
#[derive(Clone, Debug)]
pub struct RoleCertificate {
    der: Vec<u8>,
    subject: String,
    issuer_der: Vec<u8>,
    serial_der: Vec<u8>,
    subject_key_identifier: Option<Vec<u8>>,
    public_key: PublicKey,
    not_before: SystemTime,
    not_after: SystemTime,
    key_usage: Option<KeyUsage>,
    purposes: Option<Vec<ObjectIdentifier>>,
}

impl RoleCertificate {
    /// Reads one certificate, PEM or DER.
    ///
    /// # Errors
    /// Neither, or a public key that no role may use.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.first() == Some(&0x30) {
            return Self::from_der(bytes);
        }
        let (label, der) =
            der::pem::decode_vec(first_pem_block(bytes)).map_err(CertificateError::Pem)?;
        if label != "CERTIFICATE" {
            return Err(CertificateError::Label(label.to_owned()));
        }
        Self::from_der(&der)
    }

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// Not a certificate, or a public key that no role may use.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        let parsed = CertificateInner::<Raw>::from_der(der).map_err(malformed)?;
        let tbs = parsed.tbs_certificate();
        let spki_der = tbs.subject_public_key_info().to_der().map_err(malformed)?;
        let (serial_der, issuer_der) = serial_and_issuer(der).map_err(malformed)?;
        let key_usage = tbs.get_extension::<KeyUsage>().map_err(malformed)?.map(|(_, usage)| usage);
        let subject_key_identifier = tbs
            .get_extension::<SubjectKeyIdentifier>()
            .map_err(malformed)?
            .map(|(_, identifier)| identifier.0.as_bytes().to_vec());
        Ok(Self {
            subject: tbs.subject().to_string(),
            issuer_der,
            serial_der,
            subject_key_identifier,
            public_key: PublicKey::from_spki_der(&spki_der)?,
            not_before: tbs.validity().not_before.to_system_time(),
            not_after: tbs.validity().not_after.to_system_time(),
            key_usage,
            purposes: purposes(&parsed).map_err(malformed)?,
            der: der.to_vec(),
        })
    }

    /// The certificate, DER, as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject as text (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its issuer's Name, whole TLV as received: for IssuerAndSerialNumber.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// Its serial number, whole INTEGER TLV as received.
    pub fn serial_der(&self) -> &[u8] {
        &self.serial_der
    }

    /// Its subject key identifier, if it has one.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.subject_key_identifier.as_deref()
    }

    /// Its public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Start of its validity.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// End of its validity.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it names the Certificate Request Agent among its purposes, or every purpose.
    pub fn may_countersign(&self) -> bool {
        self.has_purpose(CERTIFICATE_REQUEST_AGENT) || self.has_purpose(ANY_EXTENDED_KEY_USAGE)
    }

    fn has_purpose(&self, purpose: ObjectIdentifier) -> bool {
        self.purposes.as_ref().is_some_and(|purposes| purposes.contains(&purpose))
    }
}

/// Why bytes are not a role's certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Neither DER nor PEM.
    #[error("neither DER nor PEM ({0}); expected a certificate")]
    Pem(der::pem::Error),
    /// PEM of something else.
    #[error("a PEM block `{0}`; expected `CERTIFICATE`")]
    Label(String),
    /// Not an X.509 certificate.
    #[error("not an X.509 certificate: {0}")]
    Malformed(der::Error),
    /// A public key that no role may use.
    #[error("its public key: {0}")]
    PublicKey(#[from] PublicKeyError),
}

/// Whether a certificate suits its role at the time `now`. Empty when all is well.
pub fn check_role_certificate(
    role: RoleKind,
    certificate: &RoleCertificate,
    now: SystemTime,
) -> Vec<Finding> {
    let mut findings = validity(role, certificate, now);
    match role {
        RoleKind::Ea => check_ea(certificate, &mut findings),
        RoleKind::Cep => {
            check_no_countersigning(role, certificate, &mut findings);
            check_cep(certificate, &mut findings);
        }
        RoleKind::Rep => {
            check_no_countersigning(role, certificate, &mut findings);
            check_rep(certificate, &mut findings);
        }
    }
    findings
}

/// Whether every role has a key of its own (row 42). A decryption oracle on a modulus is a
/// signing oracle on it, so one modulus in two roles turns a padding oracle into the
/// Enrollment-Agent key.
pub fn check_distinct_keys(keys: &[(RoleKind, &PublicKey)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, (role, key)) in keys.iter().enumerate() {
        for (other_role, other) in keys.iter().skip(index + 1) {
            if role != other_role && key.is_same_key(other) {
                findings.push(critical(
                    42,
                    "one-key-in-two-roles",
                    format!("{role} and {other_role} use the same key pair"),
                    "make a key pair of its own for each role with `countersign keys init`",
                ));
            }
        }
    }
    findings
}

fn check_ea(certificate: &RoleCertificate, findings: &mut Vec<Finding>) {
    if !certificate.has_purpose(CERTIFICATE_REQUEST_AGENT) {
        findings.push(critical(
            43,
            "ea-certificate-cannot-countersign",
            format!(
                "the EA certificate ({}) lacks the EKU Certificate Request Agent \
                 (1.3.6.1.4.1.311.20.2.1): the CA would refuse its countersignature",
                certificate.subject
            ),
            "enrol it from an Enrollment Agent template",
        ));
    }
    if certificate.key_usage.is_some_and(|usage| !usage.digital_signature()) {
        findings.push(wrong_usage(RoleKind::Ea, "digitalSignature", certificate));
    }
}

fn check_cep(certificate: &RoleCertificate, findings: &mut Vec<Finding>) {
    check_rsa(RoleKind::Cep, certificate, findings);
    if !certificate.key_usage.is_some_and(|usage| usage.key_encipherment()) {
        findings.push(wrong_usage(RoleKind::Cep, "keyEncipherment", certificate));
    }
    if certificate.key_usage.is_some_and(|usage| usage.digital_signature()) {
        findings.push(Finding {
            row: Some(42),
            severity: Severity::High,
            id: "cep-certificate-may-sign",
            message: format!(
                "the CEP certificate ({}) allows digitalSignature beside keyEncipherment",
                certificate.subject
            ),
            remedy: "enrol it from a template for encryption only".into(),
        });
    }
}

fn check_rep(certificate: &RoleCertificate, findings: &mut Vec<Finding>) {
    check_rsa(RoleKind::Rep, certificate, findings);
    if !certificate.key_usage.is_none_or(|usage| usage.digital_signature()) {
        findings.push(wrong_usage(RoleKind::Rep, "digitalSignature", certificate));
    }
}

fn check_no_countersigning(
    role: RoleKind,
    certificate: &RoleCertificate,
    findings: &mut Vec<Finding>,
) {
    if certificate.may_countersign() {
        findings.push(critical(
            42,
            "countersigning-outside-ea",
            format!(
                "the {role} certificate ({}) carries the EKU Certificate Request Agent or \
                 anyExtendedKeyUsage: whoever gets this key can countersign",
                certificate.subject
            ),
            "revoke it and enrol from a template without that EKU (NDES's default V1 templates \
             have it)",
        ));
    } else if certificate.purposes.is_none() {
        findings.push(Finding {
            row: Some(42),
            severity: Severity::Medium,
            id: "certificate-without-eku",
            message: format!(
                "the {role} certificate ({}) names no EKU; Windows takes that for every purpose",
                certificate.subject
            ),
            remedy: "enrol it from a template that names its EKUs".into(),
        });
    }
}

fn check_rsa(role: RoleKind, certificate: &RoleCertificate, findings: &mut Vec<Finding>) {
    let kind = certificate.public_key.kind();
    if !matches!(kind, KeyKind::Rsa { .. }) {
        findings.push(critical(
            42,
            "role-needs-rsa",
            format!("the {role} key is {kind}; SCEP clients need RSA there"),
            "make an RSA key of 2048 bits or more for it with `countersign keys init`",
        ));
    }
}

fn validity(role: RoleKind, certificate: &RoleCertificate, now: SystemTime) -> Vec<Finding> {
    let (id, message) = if now < certificate.not_before {
        ("role-certificate-not-yet-valid", "is not valid yet")
    } else if now > certificate.not_after {
        ("role-certificate-expired", "has expired")
    } else if certificate.not_after.duration_since(now).is_ok_and(|rest| rest < RENEWAL_WINDOW) {
        return vec![Finding {
            row: None,
            severity: Severity::High,
            id: "role-certificate-ends-soon",
            message: format!(
                "the {role} certificate ({}) ends in less than 30 days",
                certificate.subject
            ),
            remedy: "renew it with `countersign keys init` and overlap old and new".into(),
        }];
    } else {
        return Vec::new();
    };
    vec![Finding {
        row: None,
        severity: Severity::Critical,
        id,
        message: format!("the {role} certificate ({}) {message}", certificate.subject),
        remedy: "check this host's clock, else enrol a new certificate".into(),
    }]
}

fn wrong_usage(role: RoleKind, wanted: &str, certificate: &RoleCertificate) -> Finding {
    critical(
        42,
        "wrong-key-usage",
        format!("the {role} certificate ({}) does not allow {wanted}", certificate.subject),
        "enrol it from a template for its role",
    )
}

fn critical(row: u8, id: &'static str, message: String, remedy: &str) -> Finding {
    Finding { row: Some(row), severity: Severity::Critical, id, message, remedy: remedy.to_owned() }
}

/// EKUs and application policies together; `None` where it has neither.
fn purposes(
    certificate: &CertificateInner<Raw>,
) -> Result<Option<Vec<ObjectIdentifier>>, der::Error> {
    let mut found: Option<Vec<ObjectIdentifier>> = None;
    let extensions = certificate.tbs_certificate().extensions();
    for extension in extensions.into_iter().flatten() {
        let value = extension.extn_value.as_bytes();
        if extension.extn_id == const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE {
            found.get_or_insert_default().extend(ExtendedKeyUsage::from_der(value)?.0);
        } else if extension.extn_id == APPLICATION_POLICIES {
            let policies = x509_cert::ext::pkix::CertificatePolicies::from_der(value)?;
            let oids = policies.0.iter().map(|policy| policy.policy_identifier);
            found.get_or_insert_default().extend(oids);
        }
    }
    Ok(found)
}

/// The raw TLVs of serial number and issuer: recipients are found by the bytes as received.
fn serial_and_issuer(der: &[u8]) -> Result<(Vec<u8>, Vec<u8>), der::Error> {
    let certificate = AnyRef::from_der(der)?;
    let mut reader = SliceReader::new(certificate.value())?;
    let tbs = AnyRef::decode(&mut reader)?;
    let mut fields = SliceReader::new(tbs.value())?;
    let mut field = fields.tlv_bytes()?;
    // version is [0] EXPLICIT DEFAULT v1 (RFC 5280 §4.1).
    if field.first() == Some(&0xa0) {
        field = fields.tlv_bytes()?;
    }
    let serial = field.to_vec();
    let _signature_algorithm = fields.tlv_bytes()?;
    let issuer = fields.tlv_bytes()?.to_vec();
    Ok((serial, issuer))
}

/// From the first BEGIN line to the end of its block: files often have text before, and a
/// chain after, the certificate.
fn first_pem_block(bytes: &[u8]) -> &[u8] {
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
    let start = find(b"-----BEGIN ").unwrap_or(0);
    let block = bytes.get(start..).unwrap_or(bytes);
    let end_marker = b"-----END CERTIFICATE-----";
    match block.windows(end_marker.len()).position(|window| window == end_marker) {
        Some(end) => block.get(..end + end_marker.len()).unwrap_or(block),
        None => block,
    }
}
