use std::time::SystemTime;

use countersign_cases::{stand_in, stand_in_digest};

use crate::time::from_unix_seconds;
use crate::{
    Attestation, Attributes, Bytes, Certificate, Challenge, CurrentCertificate, Ending, Event,
    Hint, KeyAlgorithm, Name, Outcome, PublicKey, RelativeDistinguishedName, Request, RequestKind,
    SubjectAttribute,
};

/// A first request at a profile, with a P-256 key and no names.
pub fn request(profile: impl Into<String>) -> RequestBuilder {
    RequestBuilder(Request {
        kind: RequestKind::Initial,
        profile: profile.into(),
        path_suffix: String::new(),
        transaction_id: "mock-transaction".to_owned(),
        attempt: 1,
        csr: Bytes::default(),
        csr_sha256: Vec::new(),
        subject: Vec::new(),
        subject_alternative_names: Vec::new(),
        key: key(),
        extended_key_usages: Vec::new(),
        challenge: None,
        current_certificate: None,
        attestation: None,
        source_address: Some("192.0.2.17".to_owned()),
        attributes: Attributes::new(),
    })
}

/// Builds a [`Request`] step by step.
///
/// Unless [`RequestBuilder::csr`] brings real bytes, `csr` is a text in place of DER and
/// `csr_sha256` a stand-in: equal for requests that ask for the same, different for others.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestBuilder(Request);

impl RequestBuilder {
    /// Adds an RDN `CN=…` to the subject.
    pub fn common_name(self, value: impl Into<String>) -> Self {
        self.rdn(vec![SubjectAttribute { kind: "CN".to_owned(), value: value.into() }])
    }

    /// Adds an RDN to the subject.
    pub fn rdn(mut self, step: RelativeDistinguishedName) -> Self {
        self.0.subject.push(step);
        self
    }

    /// Asks for a name: an RDN of its own, or a subject alternative name.
    pub fn name(mut self, name: Name) -> Self {
        match name {
            Name::SubjectAttribute(attribute) => self.0.subject.push(vec![attribute]),
            other => self.0.subject_alternative_names.push(other),
        }
        self
    }

    /// Sends a challenge.
    pub fn challenge(mut self, text: impl Into<String>) -> Self {
        self.0.challenge = Some(Challenge::new(text));
        self
    }

    /// Makes it a renewal of this certificate. `host_validated`: see [`CurrentCertificate`].
    pub fn renewal_of(mut self, certificate: Certificate, host_validated: bool) -> Self {
        self.0.kind = RequestKind::Renewal;
        self.0.current_certificate = Some(CurrentCertificate { certificate, host_validated });
        self
    }

    /// Says why the device asks, alone.
    pub fn kind(mut self, kind: RequestKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Brings a statement of the device's hardware.
    pub fn attestation(
        mut self,
        format: impl Into<String>,
        evidence: impl Into<Bytes>,
        attributes: Attributes,
    ) -> Self {
        let (format, evidence) = (format.into(), evidence.into());
        self.0.attestation = Some(Attestation { format, evidence, attributes });
        self
    }

    /// A real PKCS#10 request and its SHA-256.
    pub fn csr(mut self, der: impl Into<Bytes>, sha256: impl Into<Vec<u8>>) -> Self {
        self.0.csr = der.into();
        self.0.csr_sha256 = sha256.into();
        self
    }

    /// The key that asks.
    pub fn key(mut self, algorithm: KeyAlgorithm, bits: u32, spki_sha256: [u8; 32]) -> Self {
        self.0.key = PublicKey { algorithm, bits, spki_sha256: spki_sha256.to_vec() };
        self
    }

    /// Asks for an extended key usage by its object identifier.
    pub fn extended_key_usage(mut self, identifier: impl Into<String>) -> Self {
        self.0.extended_key_usages.push(identifier.into());
        self
    }

    /// What followed the profile in the URL's path.
    pub fn path_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.0.path_suffix = suffix.into();
        self
    }

    /// SCEP's transaction ID.
    pub fn transaction_id(mut self, id: impl Into<String>) -> Self {
        self.0.transaction_id = id.into();
        self
    }

    /// The how many-eth attempt it is.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.0.attempt = attempt;
        self
    }

    /// Adds a fact that the host knows.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.attributes.push(name, value);
        self
    }

    /// The request.
    pub fn build(mut self) -> Request {
        if self.0.csr_sha256.is_empty() {
            let names: Vec<_> = self.0.names().map(|name| name.to_string()).collect();
            let challenge = self.0.challenge.as_ref().map(Challenge::reveal);
            let (text, digest) = stand_in(&names, &self.0.key.spki_sha256, challenge);
            self.0.csr_sha256 = digest.to_vec();
            self.0.csr = text.into();
        }
        self.0
    }
}

/// A certificate of the mock's CA for a subject, valid for a day from 2026-01-01T00:00:00Z.
pub fn certificate(serial_number: impl Into<String>) -> CertificateBuilder {
    let serial_number = serial_number.into();
    CertificateBuilder(Certificate {
        der: Bytes::from(format!("certificate {serial_number}")),
        sha256: stand_in_digest(serial_number.as_bytes()).to_vec(),
        serial_number,
        issuer: "CN=Mock CA".to_owned(),
        subject: Vec::new(),
        subject_alternative_names: Vec::new(),
        not_before: from_unix_seconds(1_767_225_600),
        not_after: from_unix_seconds(1_767_312_000),
        extended_key_usages: vec!["1.3.6.1.5.5.7.3.2".to_owned()],
        key: key(),
        attributes: Attributes::new(),
    })
}

/// Builds a [`Certificate`] step by step.
#[derive(Clone, Debug)]
#[must_use]
pub struct CertificateBuilder(Certificate);

impl CertificateBuilder {
    /// Carries a name: an RDN of its own, or a subject alternative name.
    pub fn name(mut self, name: Name) -> Self {
        match name {
            Name::SubjectAttribute(attribute) => self.0.subject.push(vec![attribute]),
            other => self.0.subject_alternative_names.push(other),
        }
        self
    }

    /// Its validity.
    pub fn valid(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        self.0.not_before = not_before;
        self.0.not_after = not_after;
        self
    }

    /// The certificate.
    pub fn build(self) -> Certificate {
        self.0
    }
}

/// An outcome of a request.
pub fn outcome(
    request: Request,
    ending: Ending,
    memo: impl Into<Bytes>,
    idempotency_key: impl Into<String>,
) -> Outcome {
    Outcome {
        request,
        ending,
        memo: memo.into(),
        idempotency_key: idempotency_key.into(),
        attributes: Attributes::new(),
    }
}

/// A question for a challenge at a profile.
pub fn hint(profile: impl Into<String>, requester: impl Into<String>) -> HintBuilder {
    HintBuilder(Hint {
        profile: profile.into(),
        requester: requester.into(),
        names: Vec::new(),
        device_id: None,
        media_type: None,
        body: Bytes::default(),
        attributes: Attributes::new(),
    })
}

/// Builds a [`Hint`] step by step.
#[derive(Clone, Debug)]
#[must_use]
pub struct HintBuilder(Hint);

impl HintBuilder {
    /// Adds a name that the device will ask for.
    pub fn name(mut self, name: Name) -> Self {
        self.0.names.push(name);
        self
    }

    /// The device.
    pub fn device_id(mut self, id: impl Into<String>) -> Self {
        self.0.device_id = Some(id.into());
        self
    }

    /// What came over HTTP.
    pub fn body(mut self, media_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        self.0.media_type = Some(media_type.into());
        self.0.body = body.into();
        self
    }

    /// Adds what the host knows beside.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.attributes.push(name, value);
        self
    }

    /// The hint.
    pub fn build(self) -> Hint {
        self.0
    }
}

/// A call to `/event/<plugin>` with this body.
pub fn event(body: impl Into<Bytes>) -> EventBuilder {
    EventBuilder(Event {
        path_suffix: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.into(),
        received: from_unix_seconds(1_767_225_600),
        attributes: Attributes::new(),
    })
}

/// Builds an [`Event`] step by step.
#[derive(Clone, Debug)]
#[must_use]
pub struct EventBuilder(Event);

impl EventBuilder {
    /// What followed in the path.
    pub fn path_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.0.path_suffix = suffix.into();
        self
    }

    /// Adds a parameter of the query.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header field; `name` in lower case.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// The event.
    pub fn build(self) -> Event {
        self.0
    }
}

fn key() -> PublicKey {
    PublicKey { algorithm: KeyAlgorithm::EcP256, bits: 256, spki_sha256: vec![0x17; 32] }
}
