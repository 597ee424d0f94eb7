use super::*;
use crate::{
    Csr, Limits,
    der::{encode, tag},
    forge::{self, Key, Request},
};

const NOW: u64 = 1_780_315_200; // 2026-06-01 12:00

/// A CA, its list, and a device that asks again for what its certificate says.
struct Scene {
    ca_key: Key,
    ca: Certificate,
    current: forge::Certificate,
    revoked: Vec<Vec<u8>>,
    request: Request,
    limits: Limits,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        let ca_key = Key::new();
        Self {
            ca: forge::Certificate::authority(&ca_key, Vec::new()),
            ca_key,
            current: forge::Certificate::default(),
            revoked: Vec::new(),
            request: Request::default(),
            limits: Limits::default(),
            now: NOW,
        }
    }

    fn code(&self) -> Result<(), &'static str> {
        self.code_by(&self.ca_key)
    }

    fn code_by(&self, signer: &Key) -> Result<(), &'static str> {
        let device = Key::new();
        let current = Certificate::parse(&self.current.sign(device.spki(), signer)).unwrap();
        let csr = Csr::parse(&self.request.sign(&device)).unwrap();
        let revoked = RevocationList::read(self.list(), &self.ca).unwrap();
        let renewal = Renewal {
            current: &current,
            issuer: &self.ca,
            revoked: &revoked,
            csr: &csr,
            limits: &self.limits,
            now: self.now,
        };
        renewal.judge().map_err(|refusal| refusal.code)
    }

    fn list(&self) -> Vec<u8> {
        let time = |text: &str| encode(tag::UTC_TIME, &[text.as_bytes()]);
        let mut fields = vec![
            encode(tag::INTEGER, &[&[1]]),
            forge::ecdsa_sha256(),
            forge::common_name("CA"),
            time("260601000000Z"),
            time("260608000000Z"),
        ];
        if !self.revoked.is_empty() {
            let entries: Vec<Vec<u8>> = self
                .revoked
                .iter()
                .map(|serial| {
                    forge::sequence(&[encode(tag::INTEGER, &[serial]), time("260601000000Z")])
                })
                .collect();
            fields.push(forge::sequence(&entries));
        }
        self.ca_key.sign(forge::sequence(&fields))
    }
}

#[test]
fn a_current_certificate_carries_a_request_for_its_own_names() {
    assert_eq!(Scene::new().code(), Ok(()));
}

#[test]
fn a_certificate_of_another_key_or_name_carries_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.code_by(&Key::new()), Err("renewal-not-issued-here"));
    scene.current.issuer = forge::common_name("Other CA");
    assert_eq!(scene.code(), Err("renewal-not-issued-here"));
}

#[test]
fn an_expired_or_future_certificate_carries_nothing() {
    let mut scene = Scene::new();
    scene.now = 1_811_808_000; // 2027-06-01, its last second
    assert_eq!(scene.code(), Ok(()));
    scene.now += 1;
    assert_eq!(scene.code(), Err("renewal-expired"));
    scene.now = 1_780_271_999; // the second before it begins
    assert_eq!(scene.code(), Err("renewal-expired"));
}

#[test]
fn a_revoked_certificate_carries_nothing() {
    let mut scene = Scene::new();
    scene.revoked = vec![vec![0x11], vec![0x5a, 0x17]];
    assert_eq!(scene.code(), Err("renewal-revoked"));
}

#[test]
fn a_ca_s_and_an_enrollment_agent_s_certificate_carry_nothing() {
    let mut scene = Scene::new();
    scene.current.extensions = vec![forge::basic_constraints(true), forge::key_usage(0xa0)];
    assert_eq!(scene.code(), Err("renewal-of-ca"));
    let agent = crate::known::CERTIFICATE_REQUEST_AGENT;
    scene.current.extensions = vec![forge::key_usage(0xa0), forge::ekus(&[agent])];
    assert_eq!(scene.code(), Err("renewal-of-agent"));
    scene.current.extensions = vec![forge::key_usage(0x20)];
    assert_eq!(scene.code(), Err("renewal-key-usage"));
}

#[test]
fn other_names_are_refused_whether_more_fewer_or_changed() {
    let mut scene = Scene::new();
    scene.request.extensions = vec![forge::san(&[forge::dns("device-17.example")])];
    assert_eq!(scene.code(), Err("renewal-other-names"));
    scene.current.extensions.push(forge::san(&[forge::dns("DEVICE-17.example")]));
    assert_eq!(scene.code(), Ok(()));
    scene.request.extensions.clear();
    assert_eq!(scene.code(), Err("renewal-other-names"));

    let mut scene = Scene::new();
    scene.request.subject = forge::common_name("device-18");
    assert_eq!(scene.code(), Err("renewal-other-names"));
}

#[test]
fn what_the_profile_fixes_may_come_and_go() {
    let mut scene = Scene::new();
    scene.current.subject = forge::name(&[
        &[("2.5.4.10", forge::utf8("Example"))],
        &[("2.5.4.3", forge::utf8("device-17"))],
    ]);
    assert_eq!(scene.code(), Err("renewal-other-names"));
    scene.limits.subject.fixed = vec!["O=Example".parse().unwrap()];
    assert_eq!(scene.code(), Ok(()));
}
