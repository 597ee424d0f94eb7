//! The CMC full response that AD CS sends beside the certificate (RFC 5272 §3.2.2, §6.1.1).

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;

use crate::certificate::Issuer;
use crate::error::LabCaError;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const PKI_RESPONSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.12.3");
const STATUS_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.7.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// CMCStatus (RFC 5272 §6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Failed,
    Pending,
}

#[derive(Sequence)]
struct PkiResponse {
    controls: Vec<TaggedAttribute>,
    cms: Vec<Any>,
    other: Vec<Any>,
}

#[derive(Sequence)]
struct TaggedAttribute {
    body_part: u32,
    oid: ObjectIdentifier,
    values: SetOfVec<Any>,
}

#[derive(Sequence)]
struct StatusInfo {
    status: u8,
    body_list: Vec<u32>,
    text: String,
}

/// Writes and signs it; `certificate` is the one issued, if one was.
pub(crate) fn write(
    issuer: &Issuer,
    status: Status,
    text: &str,
    certificate: Option<&[u8]>,
) -> Result<Vec<u8>, LabCaError> {
    let content = response(status, text)?;
    let own = Certificate::from_der(&issuer.certificate)?;
    let signer = sign(issuer, &own, &content)?;

    let mut certificates = vec![CertificateChoices::Certificate(own)];
    if let Some(certificate) = certificate {
        let certificate = Certificate::from_der(certificate)?;
        certificates.push(CertificateChoices::Certificate(certificate));
    }
    let signed = SignedData {
        // RFC 5652 §5.1: the content is not id-data.
        version: CmsVersion::V3,
        digest_algorithms: SetOfVec::try_from(vec![signer.digest_alg.clone()])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: PKI_RESPONSE,
            econtent: Some(Any::encode_from(&OctetString::new(content)?)?),
        },
        certificates: Some(CertificateSet::try_from(certificates)?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()?)
}

fn response(status: Status, text: &str) -> Result<Vec<u8>, LabCaError> {
    let info = StatusInfo {
        status: match status {
            Status::Success => 0,
            Status::Failed => 2,
            Status::Pending => 3,
        },
        body_list: vec![1],
        text: text.to_owned(),
    };
    let control = TaggedAttribute {
        body_part: 1,
        oid: STATUS_INFO,
        values: SetOfVec::try_from(vec![Any::encode_from(&info)?])?,
    };
    Ok(PkiResponse { controls: vec![control], cms: Vec::new(), other: Vec::new() }.to_der()?)
}

fn sign(issuer: &Issuer, own: &Certificate, content: &[u8]) -> Result<SignerInfo, LabCaError> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    let attribute = |oid, value: Any| -> Result<Attribute, LabCaError> {
        Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
    };
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&PKI_RESPONSE)?)?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest.as_ref())?)?)?,
    ])?;
    let signature = issuer.key.sign(&attributes.to_der()?)?;
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: own.tbs_certificate().issuer().clone(),
            serial_number: own.tbs_certificate().serial_number().clone(),
        }),
        digest_alg: AlgorithmIdentifierOwned { oid: SHA256, parameters: None },
        signed_attrs: Some(attributes),
        signature_algorithm: issuer.key.signature_algorithm()?.decode_as()?,
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::key::{Algorithm, CaKey};

    #[test]
    fn openssl_verifies_a_full_response_and_finds_its_content() {
        for algorithm in [Algorithm::Rsa2048, Algorithm::P256] {
            let key = CaKey::generate(algorithm).unwrap();
            let issuer = Issuer::self_signed("CA", key, Duration::from_secs(3600)).unwrap();
            let full = write(&issuer, Status::Pending, "Taken Under Submission", None).unwrap();

            let directory = tempfile::TempDir::new().unwrap();
            let file = |name: &str| directory.path().join(name);
            let root = crate::directory::pem_text("CERTIFICATE", &issuer.certificate).unwrap();
            std::fs::write(file("ca.pem"), root).unwrap();
            std::fs::write(file("full.der"), full).unwrap();
            let output = Command::new("openssl")
                .args(["cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any"])
                .arg("-in")
                .arg(file("full.der"))
                .arg("-CAfile")
                .arg(file("ca.pem"))
                .arg("-out")
                .arg(file("content"))
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let content = std::fs::read(file("content")).unwrap();
            assert_eq!(content, response(Status::Pending, "Taken Under Submission").unwrap());
        }
    }
}
