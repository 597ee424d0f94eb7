#![allow(clippy::cloned_ref_to_slice_refs, reason = "RDNs read better as lists of attributes")]

use super::*;
use crate::{
    Limits, Oid, SanKind, Vouched, approve_names,
    der::{encode, tag},
    forge::{self, Key, Request},
};

/// 2026-06-01, the start of a forged certificate.
const START: u64 = 1_780_272_000;
const HOUR: u64 = 3600;

/// A CA, a device, its request and what was approved for it.
struct Scene {
    ca_key: Key,
    ca: Certificate,
    device: Key,
    csr: Csr,
    approved: ApprovedNames,
    limits: Limits,
    latest_end: Option<u64>,
    submitted: u64,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        Self::of(Request {
            subject: forge::name(&[
                &[("2.5.4.10", forge::utf8("Example"))],
                &[("2.5.4.3", forge::utf8("device-17"))],
            ]),
            extensions: vec![forge::san(&[forge::dns("device-17.example")])],
            ..Request::default()
        })
    }

    fn of(request: Request) -> Self {
        let (ca_key, device) = (Key::new(), Key::new());
        let csr = Csr::parse(&request.sign(&device)).unwrap();
        let mut limits = Limits::default();
        limits.sans.allowed = vec![SanKind::Dns];
        limits.subject.fixed = vec!["OU=Devices".parse().unwrap()];
        let approved = approve_names(&csr, &[Vouched::ExactlyAsRequested], &limits).unwrap();
        Self {
            ca: forge::Certificate::authority(&ca_key, Vec::new()),
            ca_key,
            device,
            csr,
            approved,
            limits,
            latest_end: None,
            submitted: START,
            now: START + HOUR,
        }
    }

    /// A certificate as AD CS would issue it for the request.
    fn certificate(&self) -> forge::Certificate {
        forge::Certificate {
            subject: self.csr.subject_der().to_vec(),
            extensions: self.extensions(),
            ..forge::Certificate::default()
        }
    }

    fn extensions(&self) -> Vec<Vec<u8>> {
        let any = || forge::sequence(&[]);
        let template = forge::sequence(&[
            forge::oid("1.3.6.1.4.1.311.21.8.1.2.3"),
            encode(tag::INTEGER, &[&[100]]),
        ]);
        vec![
            forge::extension(known::SUBJECT_KEY_IDENTIFIER, encode(tag::OCTET_STRING, &[&[7; 20]])),
            forge::extension(known::AUTHORITY_KEY_IDENTIFIER, any()),
            forge::extension(known::CRL_DISTRIBUTION_POINTS, any()),
            forge::extension(known::AUTHORITY_INFO_ACCESS, any()),
            forge::key_usage(0xa0),
            forge::ekus(&[known::CLIENT_AUTH]),
            forge::application_policies(&[known::CLIENT_AUTH]),
            forge::extension(known::MS_TEMPLATE, template),
            forge::san(&[forge::dns("device-17.example")]),
        ]
    }

    /// The usual extensions, those of the same kind replaced.
    fn extensions_with(&self, replacement: Vec<u8>) -> Vec<Vec<u8>> {
        let kind = |extension: &Vec<u8>| {
            let mut fields = crate::der::only(extension).unwrap().reader();
            Oid::from_tlv(fields.any().unwrap()).unwrap()
        };
        let mut extensions = self.extensions();
        extensions.retain(|extension| kind(extension) != kind(&replacement));
        extensions.push(replacement);
        extensions
    }

    fn check(&self, der: &[u8]) -> Result<IssuedCertificate, Vec<Mismatch>> {
        check_issued(
            der,
            &Expected {
                csr: &self.csr,
                approved: &self.approved,
                limits: &self.limits,
                issuer: &self.ca,
                latest_end: self.latest_end,
                submitted: self.submitted,
                now: self.now,
            },
        )
    }

    fn codes(&self, certificate: &forge::Certificate) -> Vec<&'static str> {
        self.codes_of(&certificate.sign(self.device.spki(), &self.ca_key))
    }

    fn codes_of(&self, der: &[u8]) -> Vec<&'static str> {
        match self.check(der) {
            Ok(_) => Vec::new(),
            Err(mismatches) => mismatches.into_iter().map(|mismatch| mismatch.code).collect(),
        }
    }

    fn codes_with(&self, extension: Vec<u8>) -> Vec<&'static str> {
        let extensions = self.extensions_with(extension);
        self.codes(&forge::Certificate { extensions, ..self.certificate() })
    }

    fn codes_without(&self, index: usize) -> Vec<&'static str> {
        let mut extensions = self.extensions();
        extensions.remove(index);
        self.codes(&forge::Certificate { extensions, ..self.certificate() })
    }
}

#[test]
fn a_certificate_that_says_what_was_approved_passes() {
    let scene = Scene::new();
    let der = scene.certificate().sign(scene.device.spki(), &scene.ca_key);
    let issued = scene.check(&der).unwrap();
    assert_eq!(issued.der(), der);
    assert_eq!(issued.serial_hex(), "5a17");
    assert_eq!(issued.subject().to_string(), "O=Example,CN=device-17");
    assert_eq!(issued.issuer().to_string(), "CN=CA");
    assert_eq!(issued.sans()[0].to_string(), "DNS:device-17.example");
    assert_eq!(issued.not_before(), START);
    assert_eq!(issued.not_after(), START + 365 * 86_400);
    assert_eq!(issued.sha256(), issued.certificate().sha256());
}

#[test]
fn bytes_that_are_no_certificate_are_a_mismatch() {
    assert_eq!(Scene::new().codes_of(b"garbage"), ["unreadable"]);
}

#[test]
fn another_key_is_found() {
    let scene = Scene::new();
    let der = scene.certificate().sign(Key::new().spki(), &scene.ca_key);
    assert_eq!(scene.codes_of(&der), ["key"]);
}

#[test]
fn another_issuer_is_found_by_name_and_by_signature() {
    let scene = Scene::new();
    let other = forge::Certificate { issuer: forge::common_name("CB"), ..scene.certificate() };
    assert_eq!(scene.codes(&other), ["issuer"]);
    let forged = scene.certificate().sign(scene.device.spki(), &Key::new());
    assert_eq!(scene.codes_of(&forged), ["signature"]);
}

#[test]
fn the_subject_may_be_reordered_shortened_and_fixed_but_not_changed() {
    let scene = Scene::new();
    let codes = |rdns: &[&[forge::AttributeDer]]| {
        scene.codes(&forge::Certificate { subject: forge::name(rdns), ..scene.certificate() })
    };
    let cn: forge::AttributeDer = ("2.5.4.3", forge::printable("device-17"));
    let o: forge::AttributeDer = ("2.5.4.10", forge::printable("Example"));
    let ou: forge::AttributeDer = ("2.5.4.11", forge::utf8("Devices"));
    assert_eq!(codes(&[&[cn.clone()], &[o.clone()]]), [""; 0]);
    assert_eq!(codes(&[&[cn.clone()]]), [""; 0]);
    assert_eq!(codes(&[]), [""; 0]);
    assert_eq!(codes(&[&[o.clone()], &[ou], &[cn.clone()]]), [""; 0]);
    assert_eq!(codes(&[&[cn.clone(), o]]), ["multi-valued-rdn"]);
    assert_eq!(codes(&[&[("2.5.4.3", forge::utf8("device-18"))]]), ["subject"]);
    assert_eq!(codes(&[&[cn], &[("2.5.4.11", forge::utf8("Admins"))]]), ["subject"]);
}

#[test]
fn required_parts_of_the_subject_must_have_survived() {
    let mut scene = Scene::new();
    scene.limits.subject.required = vec!["CN".parse().unwrap()];
    let nameless = forge::Certificate { subject: forge::name(&[]), ..scene.certificate() };
    assert_eq!(scene.codes(&nameless), ["subject-required"]);
}

#[test]
fn a_certificate_without_any_name_is_found() {
    let scene = Scene::of(Request::default());
    let mut extensions = scene.extensions();
    extensions.pop();
    let nameless =
        forge::Certificate { subject: forge::name(&[]), extensions, ..scene.certificate() };
    assert_eq!(scene.codes(&nameless), ["no-names"]);
}

#[test]
fn alternative_names_are_exactly_those_approved() {
    let scene = Scene::new();
    let name = || forge::dns("device-17.example");
    assert_eq!(scene.codes_with(forge::san(&[forge::dns("DEVICE-17.example"), name()])), [""; 0]);
    assert_eq!(scene.codes_with(forge::san(&[name(), forge::dns("dc.example")])), ["san"]);
    assert_eq!(scene.codes_with(forge::san(&[forge::upn("a@example")])), ["san", "san"]);
    assert_eq!(scene.codes_without(8), ["san"]);
}

#[test]
fn row_46_an_issued_certificate_has_no_purpose_beyond_the_profiles() {
    let scene = Scene::new();
    let wider = forge::ekus(&[known::CLIENT_AUTH, known::SERVER_AUTH]);
    assert_eq!(scene.codes_with(wider), ["eku"]);
    assert_eq!(scene.codes_with(forge::ekus(&[])), ["eku"]);
    assert_eq!(scene.codes_without(5), ["eku"]);
    let policies = forge::application_policies(&[known::CERTIFICATE_REQUEST_AGENT]);
    assert_eq!(scene.codes_with(policies), ["application-policies"]);
}

#[test]
fn key_usage_is_present_and_within_the_profiles() {
    let scene = Scene::new();
    assert_eq!(scene.codes_with(forge::key_usage(0x80)), [""; 0]);
    assert_eq!(scene.codes_with(forge::key_usage(0x84)), ["key-usage"]);
    assert_eq!(scene.codes_without(4), ["key-usage"]);
}

#[test]
fn a_ca_certificate_is_found() {
    let scene = Scene::new();
    assert_eq!(scene.codes_with(forge::basic_constraints(false)), [""; 0]);
    assert_eq!(scene.codes_with(forge::basic_constraints(true)), ["ca-true"]);
    let odd = forge::extension(known::BASIC_CONSTRAINTS, vec![1]);
    assert_eq!(scene.codes_with(odd), ["ca-true"]);
}

#[test]
fn row_63_validity_beyond_the_limit_is_found() {
    let mut scene = Scene::new();
    let until = |not_after| forge::Certificate { not_after, ..scene.certificate() };
    // 398 days from 2026-06-01 end on 2027-07-04; an hour of backdating is tolerated.
    assert_eq!(scene.codes(&until("270704010000Z")), [""; 0]);
    assert_eq!(scene.codes(&until("270704010001Z")), ["validity"]);
    assert_eq!(scene.codes(&until("491231235959Z")), ["validity"]);
    scene.limits.max_validity = "364d".parse().unwrap();
    assert_eq!(scene.codes(&scene.certificate()), ["validity"]);
}

#[test]
fn validity_ends_before_the_latest_end_that_a_verifier_set() {
    let mut scene = Scene::new();
    scene.latest_end = Some(START + 365 * 86_400);
    assert_eq!(scene.codes(&scene.certificate()), [""; 0]);
    scene.latest_end = Some(START + 365 * 86_400 - 1);
    assert_eq!(scene.codes(&scene.certificate()), ["latest-end"]);
}

#[test]
fn validity_starts_about_now() {
    let mut scene = Scene::new();
    scene.now = START - 300;
    assert_eq!(scene.codes(&scene.certificate()), [""; 0]);
    scene.now = START - 301;
    assert_eq!(scene.codes(&scene.certificate()), ["not-before"]);
    scene.now = START + HOUR;
    scene.submitted = START + 24 * HOUR;
    assert_eq!(scene.codes(&scene.certificate()), [""; 0]);
    scene.submitted += 1;
    assert_eq!(scene.codes(&scene.certificate()), ["not-before"]);
    scene.submitted = START;
    scene.now = START + 365 * 86_400;
    assert_eq!(scene.codes(&scene.certificate()), ["expired"]);
}

#[test]
fn extensions_are_usual_or_listed() {
    let mut scene = Scene::new();
    let unknown: Oid = "1.2.3.4".parse().unwrap();
    let policies = Oid::from(known::CERTIFICATE_POLICIES);
    let sid = Oid::from(known::MS_NTDS_SID);
    for oid in [unknown, policies, sid] {
        let extension = || forge::extension(oid.clone(), forge::sequence(&[]));
        assert_eq!(scene.codes_with(extension()), ["extension"], "{oid}");
        scene.limits.issued_extensions.push(oid.clone());
        assert_eq!(scene.codes_with(extension()), [""; 0], "{oid}");
    }
}

#[test]
fn another_template_than_the_profiles_is_found() {
    let mut scene = Scene::new();
    scene.limits.template.oid = Some("1.3.6.1.4.1.311.21.8.1.2.3".parse().unwrap());
    assert_eq!(scene.codes(&scene.certificate()), [""; 0]);
    scene.limits.template.oid = Some("1.3.6.1.4.1.311.21.8.1.2.4".parse().unwrap());
    assert_eq!(scene.codes(&scene.certificate()), ["template"]);
    let mut scene = Scene::new();
    scene.limits.template.name = Some("Device".into());
    let named = |name| forge::extension(known::MS_TEMPLATE_NAME, forge::utf8(name));
    assert_eq!(scene.codes_with(named("Device")), [""; 0]);
    assert_eq!(scene.codes_with(named("Machine")), ["template"]);
}

#[test]
fn row_28_an_issued_certificate_outside_its_cas_subtrees_is_found() {
    let mut scene = Scene::new();
    let constrain = |scene: &mut Scene, base| {
        let constraints = forge::name_constraints(&[base], &[]);
        scene.ca = forge::Certificate::authority(&scene.ca_key, vec![constraints]);
    };
    constrain(&mut scene, forge::dns("example"));
    assert_eq!(scene.codes(&scene.certificate()), [""; 0]);
    constrain(&mut scene, forge::dns("devices.example"));
    assert_eq!(scene.codes(&scene.certificate()), ["name-constraint"]);
    constrain(&mut scene, forge::ip(&[1]));
    assert_eq!(scene.codes(&scene.certificate()), ["name-constraint"]);
}

#[test]
fn every_mismatch_is_listed() {
    let scene = Scene::new();
    let odd = forge::Certificate {
        subject: forge::common_name("dc"),
        not_after: "491231235959Z",
        extensions: vec![forge::basic_constraints(true)],
        ..forge::Certificate::default()
    };
    assert_eq!(scene.codes(&odd), ["subject", "san", "eku", "key-usage", "ca-true", "validity"]);
}
