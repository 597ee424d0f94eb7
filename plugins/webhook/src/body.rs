//! What is asked: the JSON of step-ca's webhooks (`RequestBody` with `x509CertificateRequest`), and
//! in the format `countersign` one member more.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_sdk::{
    Context, KeyAlgorithm, Name, PublicKey, RelativeDistinguishedName, Request, RequestKind,
};
use serde_json::{Map, Value, json};

use crate::settings::{Format, Settings};
use crate::time::rfc3339;

/// The question about a request.
pub(crate) fn question(
    settings: &Settings,
    context: &Context,
    request: &Request,
) -> Map<String, Value> {
    let mut body = common(settings, context, request);
    if let Some(challenge) = &request.challenge {
        body.insert("scepChallenge".into(), challenge.reveal().into());
    }
    if settings.format == Format::Countersign {
        body.insert("countersign".into(), details("verify", context, request));
    }
    body
}

/// What question and notice have in common.
pub(crate) fn common(
    settings: &Settings,
    context: &Context,
    request: &Request,
) -> Map<String, Value> {
    let mut body = Map::new();
    let provisioner = settings.provisioner_name.as_ref().unwrap_or(&request.profile);
    body.insert("timestamp".into(), rfc3339(context.now).into());
    body.insert("provisionerName".into(), provisioner.as_str().into());
    body.insert("x509CertificateRequest".into(), certificate_request(request));
    body.insert("scepTransactionID".into(), request.transaction_id.as_str().into());
    body
}

/// What step-ca's shape has no place for.
pub(crate) fn details(event: &str, context: &Context, request: &Request) -> Value {
    let current = request.current_certificate.as_ref().map(|current| {
        json!({
            "raw": STANDARD.encode(&current.certificate.der),
            "hostValidated": current.host_validated,
        })
    });
    json!({
        "version": 1,
        "event": event,
        "traceId": context.trace_id,
        "profile": request.profile,
        "kind": match &request.kind {
            RequestKind::Initial => "initial",
            RequestKind::Renewal => "renewal",
            RequestKind::Other(kind) => kind,
        },
        "attempt": request.attempt,
        "pathSuffix": request.path_suffix,
        "names": request.names().map(|name| name.to_string()).collect::<Vec<_>>(),
        "extendedKeyUsages": request.extended_key_usages,
        "spkiSha256": hex::encode(&request.key.spki_sha256),
        "sourceAddress": request.source_address,
        "currentCertificate": current,
    })
}

fn certificate_request(request: &Request) -> Value {
    let mut names = names(&request.subject, &request.subject_alternative_names);
    names.insert("version".into(), 0.into());
    names.insert("signatureAlgorithm".into(), "".into());
    names.insert("raw".into(), STANDARD.encode(&request.csr).into());
    add_key(&mut names, &request.key, public_key(&request.csr));
    Value::Object(names)
}

/// `subject`, `dnsNames` and their kind, as Go's x509util writes them.
pub(crate) fn names(
    subject: &[RelativeDistinguishedName],
    alternatives: &[Name],
) -> Map<String, Value> {
    let all = |kind: &str| -> Vec<&str> {
        let attributes = subject.iter().flatten().filter(|attribute| attribute.kind == kind);
        attributes.map(|attribute| attribute.value.as_str()).collect()
    };
    let first = |kind: &str| all(kind).first().copied().unwrap_or_default();
    let (mut dns, mut emails, mut ips, mut uris, mut sans) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for name in alternatives {
        match name {
            Name::Dns(value) => dns.push(value.as_str()),
            Name::Email(value) => emails.push(value.as_str()),
            Name::Ip(value) => ips.push(value.as_str()),
            Name::Uri(value) => uris.push(value.as_str()),
            Name::Upn(value) => {
                sans.push(json!({ "type": "userPrincipalName", "value": value }));
            }
            // Go's parser knows no others; they are in `raw`, and in `countersign.names`.
            _ => {}
        }
    }
    let mut map = Map::new();
    map.insert(
        "subject".into(),
        json!({
            "country": all("C"),
            "organization": all("O"),
            "organizationalUnit": all("OU"),
            "locality": all("L"),
            "province": all("ST"),
            "streetAddress": all("STREET"),
            "serialNumber": first("SERIALNUMBER"),
            "commonName": first("CN"),
        }),
    );
    map.insert("dnsNames".into(), dns.into());
    map.insert("emailAddresses".into(), emails.into());
    map.insert("ipAddresses".into(), ips.into());
    map.insert("uris".into(), uris.into());
    map.insert("sans".into(), sans.into());
    map.insert("extensions".into(), Value::Array(Vec::new()));
    map
}

/// `publicKey` and `publicKeyAlgorithm`, in Go's words.
pub(crate) fn add_key(map: &mut Map<String, Value>, key: &PublicKey, spki: Option<&[u8]>) {
    let algorithm = match &key.algorithm {
        KeyAlgorithm::Rsa => "RSA",
        KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::EcP521 => "ECDSA",
        KeyAlgorithm::Ed25519 => "Ed25519",
        KeyAlgorithm::Other(word) => word,
    };
    map.insert("publicKeyAlgorithm".into(), algorithm.into());
    map.insert("publicKey".into(), spki.map(|spki| STANDARD.encode(spki)).into());
}

/// SubjectPublicKeyInfo of a PKCS#10 request (RFC 2986 §4): after version and subject. The host has
/// parsed the request already; this only finds the place.
fn public_key(csr: &[u8]) -> Option<&[u8]> {
    let (request, _) = element(csr)?;
    let (info, _) = element(request.content)?;
    let (_version, rest) = element(info.content)?;
    let (_subject, rest) = element(rest)?;
    element(rest).map(|(key, _)| key.whole)
}

/// SubjectPublicKeyInfo of a certificate (RFC 5280 §4.1): the sixth after the optional version.
pub(crate) fn certified_key(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate)?;
    let (tbs, _) = element(certificate.content)?;
    let (first, mut rest) = element(tbs.content)?;
    // Serial number, signature, issuer, validity, subject; the first may be the version.
    let before = if first.whole.first() == Some(&0xa0) { 5 } else { 4 };
    for _ in 0..before {
        rest = element(rest)?.1;
    }
    element(rest).map(|(key, _)| key.whole)
}

struct Element<'d> {
    whole: &'d [u8],
    content: &'d [u8],
}

/// The first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let octets = usize::from(first & 0x7f);
            let (length, rest) = rest.split_at_checked(octets)?;
            let length = length.iter().try_fold(0usize, |sum, octet| {
                sum.checked_mul(256)?.checked_add(usize::from(*octet))
            })?;
            (length, rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    let whole = der.get(..der.len().checked_sub(after.len())?)?;
    Some((Element { whole, content }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_a_request_and_nothing_in_what_is_none() {
        // SEQUENCE { SEQUENCE { INTEGER 0, SEQUENCE {}, SEQUENCE { NULL }, [0] {} }, … }
        let csr = [0x30, 0x0d, 0x30, 0x0b, 2, 1, 0, 0x30, 0, 0x30, 2, 5, 0, 0xa0, 0];
        assert_eq!(public_key(&csr), Some(&[0x30, 2, 5, 0][..]));
        for length in 0..csr.len() {
            let _ = public_key(&csr[..length]);
        }
        assert_eq!(public_key(b"device-17"), None);
        assert_eq!(public_key(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(public_key(&[0x30, 0x80, 0, 0]), None);
    }
}
