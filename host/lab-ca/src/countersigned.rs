//! The countersignature as AD CS checks it (MS-WCCE §3.2.2.6.2.1.2.1.1): CMS over the untouched
//! PKCS#10, signed once, by a certificate of this CA that may.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use countersign_profile::{DigestAlgorithm, LegacyDigests, PublicKey, SignatureScheme};
use der::asn1::{Any, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectKeyIdentifier};

use crate::certificate::{Issuer, oid};
use crate::decide::Refusal;
use crate::state::State;
use crate::template::{CERTIFICATE_REQUEST_AGENT, Template};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// What a client submitted. The value type it gave says nothing: the server looks.
pub(crate) enum Submitted {
    /// A PKCS#10 that nobody countersigned.
    Bare,
    Countersigned(Box<SignedData>),
}

pub(crate) fn look(bytes: &[u8]) -> Result<Submitted, Refusal> {
    let Ok(info) = ContentInfo::from_der(bytes) else {
        return Ok(Submitted::Bare);
    };
    if info.content_type != SIGNED_DATA {
        return Err(Refusal::UNDECODABLE.saying("CMS of another type than SignedData"));
    }
    let signed: SignedData = info.content.decode_as().map_err(undecodable)?;
    Ok(Submitted::Countersigned(Box::new(signed)))
}

/// Checks the countersignature; returns the PKCS#10 inside.
pub(crate) fn verify(
    signed: &SignedData,
    template: &Template,
    issuer: &Issuer,
    state: &State,
) -> Result<Vec<u8>, Refusal> {
    let content = &signed.encap_content_info;
    if content.econtent_type != DATA {
        return Err(Refusal::UNDECODABLE.saying(format!(
            "the signed content is {}, not data holding a PKCS#10",
            content.econtent_type
        )));
    }
    let request = content
        .econtent
        .as_ref()
        .and_then(|content| content.decode_as::<&OctetStringRef>().ok())
        .map(|octets| octets.as_bytes().to_vec())
        .ok_or_else(|| Refusal::UNDECODABLE.saying("CMS without content"))?;

    let signer = match signed.signer_infos.0.as_slice() {
        [] => return Err(Refusal::SIGNATURE_POLICY_REQUIRED),
        [signer] => signer,
        _ => return Err(Refusal::TOO_MANY_SIGNATURES),
    };
    let agent = certificate_of(signer, signed)?;
    check_chain(&agent, issuer, state)?;
    check_signature(signer, &agent, &request)?;
    check_rights(&agent, template)?;
    Ok(request)
}

fn certificate_of(signer: &SignerInfo, signed: &SignedData) -> Result<Certificate, Refusal> {
    let certificates = signed.certificates.iter().flat_map(|set| set.0.iter());
    for choice in certificates {
        let CertificateChoices::Certificate(certificate) = choice else {
            continue;
        };
        let tbs = certificate.tbs_certificate();
        let is_signer = match &signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(named) => {
                named.issuer == *tbs.issuer() && named.serial_number == *tbs.serial_number()
            }
            SignerIdentifier::SubjectKeyIdentifier(named) => tbs
                .get_extension::<SubjectKeyIdentifier>()
                .ok()
                .flatten()
                .is_some_and(|(_, identifier)| identifier == *named),
        };
        if is_signer {
            return Ok(certificate.clone());
        }
    }
    Err(Refusal::SIGNER_NOT_FOUND)
}

fn check_chain(agent: &Certificate, issuer: &Issuer, state: &State) -> Result<(), Refusal> {
    let tbs = agent.tbs_certificate();
    let issuer_name = Any::encode_from(tbs.issuer()).map_err(undecodable)?;
    if issuer_name != issuer.name {
        return Err(Refusal::UNTRUSTED_ROOT);
    }
    let issuer_key = issuer
        .key
        .spki()
        .ok()
        .and_then(|spki| PublicKey::from_spki_der(&spki).ok())
        .ok_or(Refusal::UNTRUSTED_ROOT)?;
    let scheme = scheme(agent.signature_algorithm())?;
    let signed = tbs.to_der().map_err(undecodable)?;
    let signature = agent.signature().as_bytes().unwrap_or_default();
    issuer_key.verify(scheme, LegacyDigests::Refused, &signed, signature).map_err(|_| {
        Refusal::UNTRUSTED_ROOT.saying("the EA certificate's signature is not ours")
    })?;

    let now = std::time::SystemTime::now();
    let validity = tbs.validity();
    if now < validity.not_before.to_system_time() || now > validity.not_after.to_system_time() {
        return Err(Refusal::EXPIRED);
    }
    if state.is_revoked(&hex::encode(tbs.serial_number().as_bytes())) {
        return Err(Refusal::REVOKED);
    }
    let is_ca = tbs
        .get_extension::<BasicConstraints>()
        .map_err(undecodable)?
        .is_some_and(|(_, constraints)| constraints.ca);
    if is_ca {
        return Err(Refusal::SIGNATURE_REJECTED.saying("a CA certificate does not countersign"));
    }
    Ok(())
}

fn check_signature(
    signer: &SignerInfo,
    agent: &Certificate,
    content: &[u8],
) -> Result<(), Refusal> {
    let attributes = signer
        .signed_attrs
        .as_ref()
        .ok_or_else(|| Refusal::BAD_SIGNATURE.saying("no signed attributes"))?;
    // RFC 5652 §11.1, §11.2: each exactly once, with exactly one value.
    let only = |oid: ObjectIdentifier, what: &str| {
        let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
        match (found.next(), found.next()) {
            (Some(attribute), None) if attribute.values.len() == 1 => {
                attribute.values.get(0).cloned()
            }
            _ => None,
        }
        .ok_or_else(|| Refusal::BAD_SIGNATURE.saying(format!("expected {what} once")))
    };
    let content_type: ObjectIdentifier =
        only(CONTENT_TYPE, "contentType")?.decode_as().map_err(undecodable)?;
    if content_type != DATA {
        return Err(Refusal::BAD_SIGNATURE.saying("contentType is not data"));
    }
    let digest_algorithm = signer.digest_alg.to_der().map_err(undecodable)?;
    let digest = DigestAlgorithm::from_algorithm_identifier(&digest_algorithm)
        .map_err(|error| Refusal::WEAK.saying(error.to_string()))?;
    let message_digest = only(MESSAGE_DIGEST, "messageDigest")?;
    if message_digest.value() != digest.digest(content) {
        return Err(Refusal::HASH_VALUE);
    }

    let spki = agent.tbs_certificate().subject_public_key_info().to_der().map_err(undecodable)?;
    let key = PublicKey::from_spki_der(&spki)
        .map_err(|error| Refusal::BAD_KEY.saying(error.to_string()))?;
    let signature_algorithm = signer.signature_algorithm.to_der().map_err(undecodable)?;
    let scheme = SignatureScheme::from_signer_info(&signature_algorithm, &digest_algorithm)
        .map_err(|error| Refusal::BAD_SIGNATURE.saying(error.to_string()))?;
    // RFC 5652 §5.4: over the attributes as a SET OF.
    let signed = attributes.to_der().map_err(undecodable)?;
    key.verify(scheme, LegacyDigests::Refused, &signed, signer.signature.as_bytes())
        .map_err(|error| Refusal::BAD_SIGNATURE.saying(format!("CMS: {error}")))
}

/// The application policy that the template asks of a signature, and the CA's restrictions of agents.
fn check_rights(agent: &Certificate, template: &Template) -> Result<(), Refusal> {
    let tbs = agent.tbs_certificate();
    let usages = tbs
        .get_extension::<ExtendedKeyUsage>()
        .map_err(undecodable)?
        .map(|(_, usages)| usages.0)
        .unwrap_or_default();
    let request_agent = oid(CERTIFICATE_REQUEST_AGENT).map_err(undecodable)?;
    if template.authorised_signatures > 0 && !usages.contains(&request_agent) {
        return Err(Refusal::SIGNATURE_POLICY_REQUIRED
            .saying("the signer's certificate is not a Certificate Request Agent"));
    }
    if template.authorised_signatures > 1 {
        return Err(Refusal::SIGNATURE_COUNT);
    }
    let name = common_name(agent);
    if !template.agents.is_empty() && !template.agents.contains(&name) {
        return Err(Refusal::RESTRICTED_OFFICER);
    }
    Ok(())
}

/// The common name, or nothing.
pub(crate) fn common_name(certificate: &Certificate) -> String {
    certificate
        .tbs_certificate()
        .subject()
        .common_name()
        .ok()
        .flatten()
        .map(|name| name.value().into_owned())
        .unwrap_or_default()
}

fn scheme(algorithm: &spki::AlgorithmIdentifierOwned) -> Result<SignatureScheme, Refusal> {
    let der = algorithm.to_der().map_err(undecodable)?;
    SignatureScheme::from_algorithm_identifier(&der)
        .map_err(|error| Refusal::BAD_SIGNATURE.saying(error.to_string()))
}

fn undecodable(error: impl std::fmt::Display) -> Refusal {
    Refusal::UNDECODABLE.saying(format!("CMS: {error}"))
}
