//! Certificates and CRLs without a signer: the "degenerate" SignedData of GetCACert and of
//! successful replies (RFC 8894 §3.4, §4.2.1.2).

use crate::algorithm::object_identifier;
use crate::ber::{self, Bounds};
use crate::certificate::Certificate;
use crate::message::ParseError;
use crate::oid;
use crate::signed_data::{SignedData, content_info};
use crate::tlv;

/// What a degenerate SignedData holds, in the order of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// The CRLs, each in DER.
    pub crls: Vec<Vec<u8>>,
}

impl Bundle {
    /// Reads a certs-only or CRL-only SignedData. Signers, if there are any, are not looked at.
    pub fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Bundle, ParseError> {
        let der = ber::normalise(bytes, bounds)?;
        let signed = SignedData::read(&der)?;
        let certificates =
            signed.plain_certificates().map(Certificate::parse).collect::<Result<_, _>>()?;
        let crls = signed
            .crls
            .iter()
            .filter(|crl| crl.tag == tlv::SEQUENCE)
            .map(|crl| crl.whole.to_vec())
            .collect();
        Ok(Bundle { certificates, crls })
    }
}

/// The body of a GetCACert answer of type `application/x-x509-ca-ra-cert`: RA certificates first,
/// then their CA's, in the order given.
///
/// Exactly one end-entity certificate in it should have digitalSignature (REP's): jscep takes the
/// first such one as the signer of replies.
pub fn ca_bundle(certificates: &[Certificate]) -> Vec<u8> {
    let certificates: Vec<&[u8]> = certificates.iter().map(Certificate::der).collect();
    degenerate(&certificates, &[])
}

/// Members stay in the order given: the issued certificate is best placed first, and no signature
/// covers the set.
pub(crate) fn degenerate(certificates: &[&[u8]], crls: &[&[u8]]) -> Vec<u8> {
    let optional = |tag, members: &[&[u8]]| {
        if members.is_empty() { Vec::new() } else { tlv::element(tag, members) }
    };
    let signed_data = tlv::sequence(&[
        &tlv::small_integer(1),
        &tlv::element(tlv::SET, &[]),
        &tlv::sequence(&[&object_identifier(oid::DATA)]),
        &optional(tlv::CONTEXT_0, certificates),
        &optional(tlv::CONTEXT_1, crls),
        &tlv::element(tlv::SET, &[]),
    ]);
    content_info(oid::SIGNED_DATA, &signed_data)
}
