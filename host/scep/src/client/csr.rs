//! PKCS#10 requests and the self-signed certificate that a device without any signs with
//! (RFC 8894 §2.3, RFC 2986).

use countersign_profile::{DigestAlgorithm, Name, San};

use crate::algorithm::{object_identifier, rsa_signature_identifier};
use crate::certificate::Certificate;
use crate::client::device_key::{DeviceKey, DeviceKeyError};
use crate::oid;
use crate::tlv;

/// What a PKCS#10 is to ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsrDraft<'a> {
    /// Attributes become the subject, one RDN each in this order; the others subjectAltNames.
    pub names: &'a [Name],
    /// The challenge password. A secret: the request must travel in an envelope.
    pub challenge: Option<&'a str>,
    /// Further requested extensions, each a whole Extension element in DER.
    pub extensions: &'a [Vec<u8>],
    /// Further attributes, each a whole Attribute element in DER.
    pub attributes: &'a [Vec<u8>],
}

/// From when to when a self-signed certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

/// A self-signed certificate for one enrolment.
#[derive(Clone, Copy, Debug)]
pub struct SelfSigned<'a> {
    /// The PKCS#10 in DER whose subject it repeats (RFC 8894 §2.3).
    pub names: &'a [Name],
    /// When it is valid; servers do not look.
    pub validity: Validity,
}

impl CsrDraft<'_> {
    /// The PKCS#10 in DER, signed with the key and SHA-256.
    pub fn sign(&self, key: &DeviceKey) -> Result<Vec<u8>, DeviceKeyError> {
        let mut attributes = self.attributes.to_vec();
        if let Some(challenge) = self.challenge {
            let value = tlv::element(tlv::UTF8_STRING, &[challenge.as_bytes()]);
            attributes.push(set_attribute(oid::CHALLENGE_PASSWORD, &value));
        }
        let mut extensions = self.extensions.to_vec();
        let sans: Vec<Vec<u8>> = self.names.iter().filter_map(general_name).collect();
        if !sans.is_empty() {
            let value = tlv::sequence(&sans.iter().map(Vec::as_slice).collect::<Vec<_>>());
            extensions.push(extension(oid::SUBJECT_ALT_NAME, &value));
        }
        if !extensions.is_empty() {
            let value = tlv::sequence(&extensions.iter().map(Vec::as_slice).collect::<Vec<_>>());
            attributes.push(set_attribute(oid::EXTENSION_REQUEST, &value));
        }
        tlv::sort_set(&mut attributes);
        let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
        let info = tlv::sequence(&[
            &tlv::small_integer(0),
            &subject(self.names),
            key.spki_der(),
            &tlv::element(tlv::CONTEXT_0, &attributes),
        ]);
        signed(&info, key)
    }
}

impl SelfSigned<'_> {
    /// The certificate, signed with the key and SHA-256: keyUsage digitalSignature and
    /// keyEncipherment, because it signs the request and the answer is encrypted to it.
    pub fn sign(&self, key: &DeviceKey) -> Result<Certificate, DeviceKeyError> {
        let name = subject(self.names);
        let validity =
            tlv::sequence(&[&time(self.validity.not_before), &time(self.validity.not_after)]);
        // A positive serial number of 16 bytes that a retry repeats.
        let digest = DigestAlgorithm::Sha256.digest(key.spki_der());
        let mut serial = digest.get(..16).unwrap_or_default().to_vec();
        if let Some(top) = serial.first_mut() {
            *top = *top & 0x3f | 0x40;
        }
        let key_usage = tlv::element(tlv::BIT_STRING, &[&[5, 0xa0]]);
        let extensions = tlv::sequence(&[&extension(oid::KEY_USAGE, &key_usage)]);
        let tbs = tlv::sequence(&[
            &tlv::element(tlv::CONTEXT_0, &[&tlv::small_integer(2)]),
            &tlv::element(tlv::INTEGER, &[&serial]),
            &rsa_signature_identifier(DigestAlgorithm::Sha256),
            &name,
            &validity,
            &name,
            key.spki_der(),
            &tlv::element(tlv::CONTEXT_3, &[&extensions]),
        ]);
        Certificate::parse(&signed(&tbs, key)?).map_err(|_| DeviceKeyError::Failed)
    }
}

/// SEQUENCE { what is signed, algorithm, signature }.
fn signed(to_be_signed: &[u8], key: &DeviceKey) -> Result<Vec<u8>, DeviceKeyError> {
    let signature = key.sign(DigestAlgorithm::Sha256, to_be_signed)?;
    Ok(tlv::sequence(&[
        to_be_signed,
        &rsa_signature_identifier(DigestAlgorithm::Sha256),
        &tlv::element(tlv::BIT_STRING, &[&[0], &signature]),
    ]))
}

fn set_attribute(oid: const_oid::ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&object_identifier(oid), &tlv::element(tlv::SET, &[value])])
}

fn extension(oid: const_oid::ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&object_identifier(oid), &tlv::element(tlv::OCTET_STRING, &[value])])
}

/// The attributes among the names, as a Name.
fn subject(names: &[Name]) -> Vec<u8> {
    let rdns: Vec<Vec<u8>> = names
        .iter()
        .filter_map(|name| match name {
            Name::Attribute(attribute) => Some(attribute),
            Name::San(_) => None,
        })
        .map(relative_name)
        .collect();
    tlv::sequence(&rdns.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn relative_name(attribute: &countersign_profile::Attribute) -> Vec<u8> {
    let kind = attribute.attribute_type();
    let is_one_of = |oids: [const_oid::ObjectIdentifier; 2]| {
        oids.iter().any(|oid| oid.as_bytes() == kind.as_bytes())
    };
    // RFC 5280 appendix A: some types have a string type of their own.
    let tag = if is_one_of([oid::COUNTRY, oid::SERIAL_NUMBER]) {
        tlv::PRINTABLE_STRING
    } else if is_one_of([oid::DOMAIN_COMPONENT, oid::EMAIL_ADDRESS]) {
        tlv::IA5_STRING
    } else {
        tlv::UTF8_STRING
    };
    let value = tlv::element(tag, &[attribute.value().as_bytes()]);
    tlv::element(tlv::SET, &[&tlv::sequence(&[&kind.to_der(), &value])])
}

/// GeneralName (RFC 5280 §4.2.1.6).
fn general_name(name: &Name) -> Option<Vec<u8>> {
    let san = match name {
        Name::Attribute(_) => return None,
        Name::San(san) => san,
    };
    Some(match san {
        San::Email { 0: mailbox, .. } => tlv::element(0x81, &[mailbox.as_bytes()]),
        San::Dns { 0: host, .. } => tlv::element(0x82, &[host.as_bytes()]),
        San::Uri { 0: uri, .. } => tlv::element(0x86, &[uri.as_bytes()]),
        San::Ip { 0: std::net::IpAddr::V4(address), .. } => {
            tlv::element(0x87, &[&address.octets()])
        }
        San::Ip { 0: std::net::IpAddr::V6(address), .. } => {
            tlv::element(0x87, &[&address.octets()])
        }
        San::Upn { 0: user, .. } => {
            let value = tlv::element(tlv::UTF8_STRING, &[user.as_bytes()]);
            other_name(&object_identifier(oid::USER_PRINCIPAL_NAME), &value)
        }
        San::Other { 0: kind, 1: value, .. } => other_name(&kind.to_der(), value),
        San::Directory { 0: directory, .. } => {
            let rdns: Vec<Vec<u8>> = directory.attributes().map(relative_name).collect();
            let name = tlv::sequence(&rdns.iter().map(Vec::as_slice).collect::<Vec<_>>());
            tlv::element(0xa4, &[&name])
        }
    })
}

fn other_name(kind: &[u8], value: &[u8]) -> Vec<u8> {
    tlv::element(tlv::CONTEXT_0, &[kind, &tlv::element(tlv::CONTEXT_0, &[value])])
}

/// UTCTime before 2050, GeneralizedTime from then on (RFC 5280 §4.1.2.5).
fn time(seconds: u64) -> Vec<u8> {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        tlv::element(0x17, &[format!("{:02}{rest}", year % 100).as_bytes()])
    } else {
        tlv::element(0x18, &[format!("{year:04}{rest}").as_bytes()])
    }
}

/// Year, month and day of the Gregorian calendar, by the days since 1970-01-01, counted in years
/// that begin in March so that the leap day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_5280_says() {
        assert_eq!(time(0), b"\x17\x0d700101000000Z");
        assert_eq!(time(951_827_696), b"\x17\x0d000229123456Z");
        assert_eq!(time(1_795_000_000), b"\x17\x0d261118110640Z");
        assert_eq!(time(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(time(2_524_608_000), b"\x18\x0f20500101000000Z");
    }
}
