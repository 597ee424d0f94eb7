//! The first judgement of a request, before any verifier is asked: all refusals at once.

use super::{KeyKind, Limits, Refusal};
use crate::{
    constraints::NameConstraints,
    csr::Csr,
    extension::{ExtendedKeyUsage, Extension},
    key::KeyAlgorithm,
    oid::{Oid, known},
    san::San,
    text, weakness,
};

/// What holds for every request of this service, whatever its profile.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    /// SHA-256 of the SubjectPublicKeyInfo of every key of ours and of the CA: a request for one of
    /// them is an attack (or a grave mistake).
    pub own_keys: Vec<[u8; 32]>,
    /// The name constraints of the issuing CA and of those above it. Enforced here too, because
    /// validators have read them wrongly (RUSTSEC-2026-0098, -0099).
    pub name_constraints: NameConstraints,
}

/// Extensions a request may ask for always: each is judged on its own, or says nothing that matters.
const USUAL_EXTENSIONS: [const_oid::ObjectIdentifier; 6] = [
    known::SUBJECT_ALT_NAME,
    known::KEY_USAGE,
    known::EXTENDED_KEY_USAGE,
    known::BASIC_CONSTRAINTS,
    known::SUBJECT_KEY_IDENTIFIER,
    known::SMIME_CAPABILITIES,
];

/// Attributes a request may carry always. Every request that Windows makes holds
/// the last three; certmonger's have a friendly name.
const USUAL_ATTRIBUTES: [const_oid::ObjectIdentifier; 8] = [
    known::CHALLENGE_PASSWORD,
    known::FRIENDLY_NAME,
    known::EXTENSION_REQUEST,
    known::EXTENSION_REQUEST_VERISIGN,
    known::EXTENSION_REQUEST_MICROSOFT,
    known::MS_CSP_PROVIDER,
    known::MS_OS_VERSION,
    known::MS_REQUEST_CLIENT_INFO,
];

impl Limits {
    /// Judges what a request asks for. Neither the self-signature nor who vouches is looked at here.
    ///
    /// # Errors
    /// Every refusal, at least one, in the order key, purposes, names, extensions, attributes.
    pub fn admit(&self, csr: &Csr, boundary: &Boundary) -> Result<(), Vec<Refusal>> {
        let mut refusals = Refusals(Vec::new());
        self.judge_key(csr, boundary, &mut refusals);
        self.judge_purposes(csr, &mut refusals);
        self.judge_subject(csr, &mut refusals);
        self.judge_sans(csr, &mut refusals);
        for violation in boundary.name_constraints.violations_of_request(csr, &self.subject.fixed) {
            refusals.add("name-constraint", violation);
        }
        for extension in csr.extensions() {
            self.judge_extension(extension, &mut refusals);
        }
        for (oid, _) in csr.attributes() {
            self.judge_attribute(oid, &mut refusals);
        }
        if refusals.0.is_empty() { Ok(()) } else { Err(refusals.0) }
    }

    fn judge_key(&self, csr: &Csr, boundary: &Boundary, refusals: &mut Refusals) {
        let key = csr.public_key();
        if boundary.own_keys.contains(&key.spki_sha256()) {
            refusals.add("own-key", "the request is for a key of this service or of its CA");
        }
        let algorithm = key.algorithm();
        let kind = match algorithm {
            KeyAlgorithm::Rsa { .. } => KeyKind::Rsa,
            KeyAlgorithm::EcP256 => KeyKind::P256,
            KeyAlgorithm::EcP384 => KeyKind::P384,
            KeyAlgorithm::EcP521 => KeyKind::P521,
            KeyAlgorithm::Ed25519 => KeyKind::Ed25519,
        };
        if !self.keys.kinds.contains(&kind) {
            refusals.add("key-kind", format!("a {algorithm} key; keys.kinds does not list it"));
        }
        // 2048 is the floor whatever the configuration says.
        let least = self.keys.rsa_min_bits.max(2048);
        if let KeyAlgorithm::Rsa { bits } = algorithm
            && !(least..=self.keys.rsa_max_bits).contains(&bits)
        {
            let most = self.keys.rsa_max_bits;
            refusals.add("key-size", format!("RSA of {bits} bits; {least} to {most} are allowed"));
        }
        if let Some(weakness) = key.rsa_modulus().and_then(weakness::of_modulus) {
            refusals.add("weak-key", weakness);
        }
        let least = self.keys.rsa_min_exponent.max(5);
        if let Some(exponent) = key.rsa_exponent()
            && exponent < least
        {
            refusals
                .add("rsa-exponent", format!("exponent {exponent}; at least {least} is needed"));
        }
    }

    fn judge_purposes(&self, csr: &Csr, refusals: &mut Refusals) {
        for purpose in csr.requested_ekus() {
            if !self.ekus.contains(purpose) {
                refusals.add("eku", format!("{purpose} is asked for; ekus does not list it"));
            }
        }
        if let Some(usage) = csr.key_usage() {
            for bit in usage.bits().filter(|bit| !self.key_usage.contains(bit)) {
                refusals
                    .add("key-usage", format!("{bit} is asked for; key-usage does not list it"));
            }
        }
        if csr.basic_constraints().is_some_and(|constraints| constraints.ca) {
            refusals.add("ca-true", "the request asks for the certificate of a CA");
        }
    }

    fn judge_subject(&self, csr: &Csr, refusals: &mut Refusals) {
        let subject = csr.subject();
        if subject.is_empty() && csr.sans().is_empty() {
            refusals.add("no-names", "the request names nobody");
        }
        if !self.subject.multi_valued && subject.rdns().iter().any(|rdn| rdn.is_multi_valued()) {
            refusals.add("multi-valued-rdn", "an RDN of several attributes in the subject");
        }
        let count = subject.attributes().count();
        if count > self.subject.max_attributes {
            let most = self.subject.max_attributes;
            refusals.add("subject-size", format!("{count} attributes; at most {most} are allowed"));
        }
        for attribute in subject.attributes() {
            let allowed =
                self.subject.allowed.iter().any(|kind| kind.oid() == attribute.attribute_type());
            if !allowed {
                let kind = attribute.type_name();
                refusals
                    .add("subject-attribute", format!("{kind}; subject.allowed does not list it"));
            }
        }
        for required in &self.subject.required {
            if !subject.attributes().any(|found| found.attribute_type() == required.oid()) {
                refusals.add("subject-required", format!("{required} is missing in the subject"));
            }
        }
    }

    fn judge_sans(&self, csr: &Csr, refusals: &mut Refusals) {
        let sans = csr.sans();
        if sans.len() > self.sans.max_names {
            let (count, most) = (sans.len(), self.sans.max_names);
            refusals.add("san-count", format!("{count} alternative names; at most {most}"));
        }
        for san in sans {
            if !self.sans.allowed.contains(&san.kind()) {
                let kind = san.kind();
                refusals.add("san-kind", format!("{san}; sans.allowed does not list {kind}"));
            }
            if matches!(san, San::Dns(name) if name.starts_with("*.")) {
                refusals.add("wildcard-name", format!("{san} stands for many hosts"));
            }
            if san.is_microsoft_tag() {
                if !self.sans.sid_uri {
                    refusals.add("sid-uri", format!("{san}; sans.sid-uri is not set"));
                } else if san.sid().is_none() {
                    refusals
                        .add("sid-uri", format!("{san} has not the form of Microsoft's SID URI"));
                }
            }
        }
        for required in &self.sans.required {
            if !sans.iter().any(|san| san.kind() == *required) {
                refusals.add(
                    "san-required",
                    format!("an alternative name of kind {required} is missing"),
                );
            }
        }
    }

    fn judge_extension(&self, extension: &Extension, refusals: &mut Refusals) {
        let oid = &extension.oid;
        if *oid == known::MS_NTDS_SID {
            // Before all lists: no configuration admits it.
            refusals
                .add("sid-extension", "a SID (1.3.6.1.4.1.311.25.2) is never taken from a request");
        } else if *oid == known::MS_APPLICATION_POLICIES {
            if !self.are_application_policies_allowed(&extension.value) {
                refusals.add(
                    "application-policies",
                    "application policies (1.3.6.1.4.1.311.21.10) beyond ekus, or malformed",
                );
            }
        } else if *oid == known::MS_TEMPLATE_NAME || *oid == known::MS_TEMPLATE {
            if !self.template.is_named_by(extension) {
                refusals.add(
                    "template",
                    "another template than the profile's is named, or any where it has none",
                );
            }
        } else if !USUAL_EXTENSIONS.iter().any(|usual| oid == usual)
            && !self.extensions.contains(oid)
        {
            refusals.add("extension", format!("extension {oid}; extensions does not list it"));
        }
    }

    fn judge_attribute(&self, oid: &Oid, refusals: &mut Refusals) {
        if *oid == known::MS_NAME_VALUE_PAIR {
            refusals.add(
                "name-value-pair",
                "name-value pairs (1.3.6.1.4.1.311.13.2.1) can name requester, validity, template and names",
            );
        } else if !USUAL_ATTRIBUTES.iter().any(|usual| oid == usual)
            && !self.attributes.contains(oid)
        {
            refusals.add("attribute", format!("attribute {oid}; attributes does not list it"));
        }
    }

    pub(crate) fn are_application_policies_allowed(&self, value: &[u8]) -> bool {
        ExtendedKeyUsage::application_policies(value)
            .is_ok_and(|policies| policies.iter().all(|policy| self.ekus.contains(policy)))
    }
}

impl super::TemplateReference {
    /// Whether a template extension, of version 1 (a name) or 2 (an identifier), names this template.
    pub(crate) fn is_named_by(&self, extension: &Extension) -> bool {
        use crate::der::{only, tag};
        let Ok(value) = only(&extension.value) else {
            return false;
        };
        if extension.oid == known::MS_TEMPLATE_NAME {
            let named = text::decode(value.tag, value.value).ok();
            self.name.is_some() && named == self.name
        } else {
            let named = value
                .expect(tag::SEQUENCE)
                .and_then(|fields| Oid::from_tlv(fields.reader().any()?))
                .ok();
            self.oid.is_some() && named == self.oid
        }
    }
}

struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, code: &'static str, detail: impl Into<String>) {
        self.0.push(Refusal::new(code, detail));
    }
}
