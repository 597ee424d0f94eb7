#![allow(clippy::cloned_ref_to_slice_refs, reason = "RDNs read better as lists of attributes")]

use super::*;
use crate::{
    NameConstraints,
    csr::Csr,
    der::{encode, tag},
    forge::{self, Key, Request, recorded},
};

fn codes_of(limits: &Limits, csr: &Csr, boundary: &Boundary) -> Vec<&'static str> {
    match limits.admit(csr, boundary) {
        Ok(()) => Vec::new(),
        Err(refusals) => refusals.into_iter().map(|refusal| refusal.code).collect(),
    }
}

fn codes(limits: &Limits, request: &Request) -> Vec<&'static str> {
    let csr = Csr::parse(&request.sign(&Key::new())).unwrap();
    codes_of(limits, &csr, &Boundary::default())
}

fn asking(extensions: Vec<Vec<u8>>) -> Request {
    Request { extensions, ..Request::default() }
}

fn naming(sans: &[Vec<u8>]) -> Request {
    asking(vec![forge::san(sans)])
}

fn subject(rdns: &[&[forge::AttributeDer]]) -> Request {
    Request { subject: forge::name(rdns), ..Request::default() }
}

fn carrying(oid: const_oid::ObjectIdentifier, value: Vec<u8>) -> Request {
    Request { attributes: vec![forge::attribute(oid, &[value])], ..Request::default() }
}

fn allowing(kinds: &[SanKind]) -> Limits {
    let sans = SanLimits { allowed: kinds.to_vec(), ..SanLimits::default() };
    Limits { sans, ..Limits::default() }
}

/// Name and value of a `szOID_ENROLLMENT_NAME_VALUE_PAIR`.
fn name_value_pair(name: &str, value: &str) -> Vec<u8> {
    let bmp = |text: &str| {
        let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        encode(tag::BMP_STRING, &[&octets])
    };
    forge::sequence(&[bmp(name), bmp(value)])
}

#[test]
fn an_ordinary_request_is_admitted_by_default() {
    let limits = Limits::default();
    assert_eq!(limits.problems(), []);
    assert_eq!(codes(&limits, &Request::default()), [""; 0]);
    let csr = Csr::parse(recorded!("openssl-rsa-sha256.csr")).unwrap();
    assert_eq!(codes_of(&limits, &csr, &Boundary::default()), [""; 0]);
    let usual = asking(vec![
        forge::basic_constraints(false),
        forge::key_usage(0xa0),
        forge::ekus(&[known::CLIENT_AUTH]),
        forge::extension(known::SUBJECT_KEY_IDENTIFIER, encode(tag::OCTET_STRING, &[&[7; 20]])),
        forge::extension(known::SMIME_CAPABILITIES, forge::sequence(&[])),
        forge::application_policies(&[known::CLIENT_AUTH]),
    ]);
    assert_eq!(codes(&limits, &usual), [""; 0]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let csr = Csr::parse(recorded!("openssl-full.csr")).unwrap();
    assert_eq!(
        codes_of(&Limits::default(), &csr, &Boundary::default()),
        [
            "eku", "san-kind", "san-kind", "san-kind", "san-kind", "sid-uri", "san-kind",
            "san-kind", "san-kind", "san-kind", "san-kind",
        ]
    );
}

#[test]
fn row_46_a_request_for_another_purpose_than_the_profiles_is_refused() {
    let limits = Limits::default();
    assert_eq!(limits.ekus, [known::CLIENT_AUTH]);
    for purpose in [known::SERVER_AUTH, known::ANY_EXTENDED_KEY_USAGE, known::SMARTCARD_LOGON] {
        let request = asking(vec![forge::ekus(&[known::CLIENT_AUTH, purpose])]);
        assert_eq!(codes(&limits, &request), ["eku"], "{purpose}");
    }
    let wider = Limits {
        ekus: vec![known::CLIENT_AUTH.into(), known::SERVER_AUTH.into()],
        ..Limits::default()
    };
    assert_eq!(codes(&wider, &asking(vec![forge::ekus(&[known::SERVER_AUTH])])), [""; 0]);
}

#[test]
fn row_46_no_profile_may_allow_a_purpose_that_opens_a_domain() {
    for purpose in [
        known::CERTIFICATE_REQUEST_AGENT,
        known::ANY_EXTENDED_KEY_USAGE,
        known::MS_ANY_APPLICATION_POLICY,
        known::SMARTCARD_LOGON,
        known::PKINIT_CLIENT_AUTH,
        known::PKINIT_KDC,
        known::OCSP_SIGNING,
        known::CMC_CA,
        known::CMC_RA,
        known::MS_CA_EXCHANGE,
        known::MS_KEY_RECOVERY_AGENT,
        known::MS_EFS_RECOVERY,
        known::MS_TRUST_LIST_SIGNING,
    ] {
        let ekus = vec![known::CLIENT_AUTH.into(), purpose.into()];
        let problems = Limits { ekus, ..Limits::default() }.problems();
        assert_eq!(problems.len(), 1, "{purpose}");
        assert_eq!(problems[0].path, "ekus[1]");
    }
    let nothing = Limits { ekus: Vec::new(), ..Limits::default() }.problems();
    assert_eq!(nothing[0].path, "ekus");
}

#[test]
fn application_policies_beyond_the_purposes_are_refused() {
    let limits = Limits::default();
    for policies in [
        forge::application_policies(&[known::CERTIFICATE_REQUEST_AGENT]),
        forge::application_policies(&[known::CLIENT_AUTH, known::SERVER_AUTH]),
        forge::extension(known::MS_APPLICATION_POLICIES, vec![0x30, 0x01]),
        forge::extension(known::MS_APPLICATION_POLICIES, forge::sequence(&[forge::utf8("x")])),
    ] {
        assert_eq!(codes(&limits, &asking(vec![policies])), ["application-policies"]);
    }
}

#[test]
fn row_63_a_request_that_names_its_own_validity_is_refused() {
    for (name, value) in [
        ("ExpirationDate", "Mon, 01 Jan 2050 00:00:00 GMT"),
        ("ValidityPeriod", "Years"),
        ("SAN", "upn=administrator@corp.example"),
    ] {
        let request = carrying(known::MS_NAME_VALUE_PAIR, name_value_pair(name, value));
        assert_eq!(codes(&Limits::default(), &request), ["name-value-pair"]);
        // Nor can a profile let it pass.
        let listed =
            Limits { attributes: vec![known::MS_NAME_VALUE_PAIR.into()], ..Limits::default() };
        assert_eq!(codes(&listed, &request), ["name-value-pair"]);
        assert_eq!(listed.problems()[0].path, "attributes[0]");
    }
    let private_key_usage_period = forge::extension("2.5.29.16".parse::<Oid>().unwrap(), vec![]);
    assert_eq!(codes(&Limits::default(), &asking(vec![private_key_usage_period])), ["extension"]);
}

#[test]
fn row_28_a_request_outside_the_cas_subtrees_is_refused() {
    let key = Key::new();
    let constraints = forge::name_constraints(
        &[forge::dns("devices.example")],
        &[forge::dns("secret.devices.example")],
    );
    let authority = forge::Certificate::authority(&key, vec![constraints]);
    let boundary = Boundary {
        name_constraints: NameConstraints::from_certificates(&[authority]).unwrap(),
        ..Boundary::default()
    };
    let limits = allowing(&[SanKind::Dns]);
    for (name, expected) in [
        ("a.devices.example", [].as_slice()),
        ("a.example", &["name-constraint"]),
        ("xdevices.example", &["name-constraint"]),
        ("b.secret.devices.example", &["name-constraint"]),
    ] {
        let der = naming(&[forge::dns(name)]).sign(&key);
        let csr = Csr::parse(&der).unwrap();
        assert_eq!(codes_of(&limits, &csr, &boundary), expected, "{name}");
        assert_eq!(codes_of(&limits, &csr, &Boundary::default()), [""; 0]);
    }
}

#[test]
fn keys_are_of_an_allowed_kind_and_size() {
    let limits = Limits::default();
    let judge = |limits: &Limits, der: &[u8]| {
        codes_of(limits, &Csr::parse(der).unwrap(), &Boundary::default())
    };
    assert_eq!(judge(&limits, recorded!("openssl-rsa1024.csr")), ["key-size"]);
    assert_eq!(judge(&limits, recorded!("openssl-rsa-e3.csr")), ["rsa-exponent"]);
    assert_eq!(judge(&limits, recorded!("openssl-ed25519.csr")), ["key-kind"]);
    assert_eq!(judge(&limits, recorded!("openssl-p384-sha384.csr")), [""; 0]);
    assert_eq!(judge(&limits, recorded!("openssl-p521-sha512.csr")), [""; 0]);
    let strict = Limits {
        keys: KeyLimits { kinds: vec![KeyKind::Rsa], rsa_min_bits: 3072, ..KeyLimits::default() },
        ..Limits::default()
    };
    assert_eq!(judge(&strict, recorded!("openssl-rsa-sha256.csr")), ["key-size"]);
    assert_eq!(judge(&strict, recorded!("openssl-p256-sha256.csr")), ["key-kind"]);
    let modern = Limits {
        keys: KeyLimits { kinds: vec![KeyKind::Ed25519], ..KeyLimits::default() },
        ..Limits::default()
    };
    assert_eq!(judge(&modern, recorded!("openssl-ed25519.csr")), [""; 0]);
}

#[test]
fn floors_of_keys_hold_whatever_is_configured() {
    let lax = Limits {
        keys: KeyLimits { rsa_min_bits: 512, rsa_min_exponent: 3, ..KeyLimits::default() },
        ..Limits::default()
    };
    let small = Csr::parse(recorded!("openssl-rsa1024.csr")).unwrap();
    assert_eq!(codes_of(&lax, &small, &Boundary::default()), ["key-size"]);
    let cubic = Csr::parse(recorded!("openssl-rsa-e3.csr")).unwrap();
    assert_eq!(codes_of(&lax, &cubic, &Boundary::default()), ["rsa-exponent"]);
    let paths: Vec<_> = lax.problems().into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["keys.rsa-min-bits", "keys.rsa-min-exponent"]);
}

#[test]
fn a_request_for_a_key_of_ours_is_refused() {
    let csr = Csr::parse(recorded!("strongswan-p256.csr")).unwrap();
    let boundary =
        Boundary { own_keys: vec![csr.public_key().spki_sha256()], ..Boundary::default() };
    assert_eq!(codes_of(&Limits::default(), &csr, &boundary), ["own-key"]);
}

#[test]
fn ca_true_and_usages_of_cas_are_refused() {
    let limits = Limits::default();
    assert_eq!(codes(&limits, &asking(vec![forge::basic_constraints(true)])), ["ca-true"]);
    assert_eq!(codes(&limits, &asking(vec![forge::key_usage(0x04)])), ["key-usage"]);
    assert_eq!(codes(&limits, &asking(vec![forge::key_usage(0x48)])), ["key-usage", "key-usage"]);
}

#[test]
fn subjects_hold_only_what_the_profile_lists() {
    let limits = Limits::default();
    let cn: forge::AttributeDer = ("2.5.4.3", forge::utf8("device-17"));
    let serial: forge::AttributeDer = ("2.5.4.5", forge::utf8("7"));
    let uid: forge::AttributeDer = ("0.9.2342.19200300.100.1.1", forge::utf8("administrator"));
    assert_eq!(codes(&limits, &subject(&[&[cn.clone()], &[serial.clone()]])), [""; 0]);
    assert_eq!(codes(&limits, &subject(&[&[cn.clone()], &[uid]])), ["subject-attribute"]);
    let together = subject(&[&[cn.clone(), serial.clone()]]);
    assert_eq!(codes(&limits, &together), ["multi-valued-rdn"]);
    assert_eq!(codes(&limits, &subject(&[])), ["no-names"]);
    let many: [&[_]; 17] = std::array::from_fn(|_| std::slice::from_ref(&cn));
    assert_eq!(codes(&limits, &subject(&many)), ["subject-size"]);

    let required = SubjectLimits {
        required: vec!["serialNumber".parse().unwrap()],
        multi_valued: true,
        ..SubjectLimits::default()
    };
    let limits = Limits { subject: required, ..Limits::default() };
    assert_eq!(codes(&limits, &subject(&[&[cn.clone()]])), ["subject-required"]);
    assert_eq!(codes(&limits, &together), [""; 0]);
}

#[test]
fn alternative_names_are_of_listed_kinds() {
    let names = [
        (SanKind::Dns, forge::dns("a.example")),
        (SanKind::Email, forge::email("a@example")),
        (SanKind::Uri, forge::uri("urn:x:y")),
        (SanKind::Ip, forge::ip(&[192, 0, 2, 1])),
        (SanKind::Upn, forge::upn("a@example")),
        (SanKind::Directory, forge::directory(forge::common_name("a"))),
        (SanKind::Other, forge::other_name("1.2.3", forge::utf8("a"))),
    ];
    for (kind, name) in &names {
        let request = naming(std::slice::from_ref(name));
        assert_eq!(codes(&Limits::default(), &request), ["san-kind"], "{kind}");
        for (other, _) in &names {
            let expected: &[&str] = if kind == other { &[] } else { &["san-kind"] };
            assert_eq!(codes(&allowing(&[*other]), &request), expected, "{kind} {other}");
        }
    }
    let many: Vec<_> = (0..17).map(|number| forge::dns(&format!("h{number}.example"))).collect();
    assert_eq!(codes(&allowing(&[SanKind::Dns]), &naming(&many)), ["san-count"]);
    let wildcard = naming(&[forge::dns("*.example")]);
    assert_eq!(codes(&allowing(&[SanKind::Dns]), &wildcard), ["wildcard-name"]);
    let mut limits = allowing(&[SanKind::Dns]);
    limits.sans.required = vec![SanKind::Dns];
    assert_eq!(codes(&limits, &Request::default()), ["san-required"]);
}

#[test]
fn sids_come_only_in_intunes_form_and_only_when_switched_on() {
    let good = naming(&[forge::uri("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104")]);
    let off = allowing(&[SanKind::Uri]);
    let mut on = off.clone();
    on.sans.sid_uri = true;
    assert_eq!(codes(&off, &good), ["sid-uri"]);
    assert_eq!(codes(&on, &good), [""; 0]);
    for odd in [
        "TAG:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3",
        "tag:Microsoft.COM,2022-09-14:sid:S-1-5-21-1-2-3",
        "tag:microsoft.com,2022-09-14:SID:S-1-5-21-1-2-3",
        "tag:microsoft.com,2023-01-01:sid:S-1-5-21-1-2-3",
    ] {
        let request = naming(&[forge::uri(odd)]);
        assert_eq!(codes(&off, &request), ["sid-uri"], "{odd}");
    }
    for malformed in [
        "tag:microsoft.com,2022-09-14:sid:",
        "tag:microsoft.com,2022-09-14:sid:S-1-5-21-x",
        "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-",
        "tag:microsoft.com,2022-09-14:sid:S-2-5-21-1",
    ] {
        assert_eq!(codes(&on, &naming(&[forge::uri(malformed)])), ["sid-uri"], "{malformed}");
    }
    let extension = asking(vec![forge::extension(known::MS_NTDS_SID, forge::sequence(&[]))]);
    assert_eq!(codes(&on, &extension), ["sid-extension"]);
    on.extensions = vec![known::MS_NTDS_SID.into()];
    assert_eq!(codes(&on, &extension), ["sid-extension"]);
    assert_eq!(on.problems()[0].path, "extensions[0]");
}

#[test]
fn a_template_in_a_request_is_the_profiles_or_none() {
    let version_1 = asking(vec![forge::extension(known::MS_TEMPLATE_NAME, forge::utf8("server"))]);
    let oid = forge::oid("1.3.6.1.4.1.311.21.8.15485098.4126344.16777215.1.2.3");
    let major = encode(tag::INTEGER, &[&[100]]);
    let version_2 =
        asking(vec![forge::extension(known::MS_TEMPLATE, forge::sequence(&[oid, major]))]);
    let strongswan = Csr::parse(recorded!("strongswan-profile.csr")).unwrap();
    let with = |name: Option<&str>, oid: Option<&str>| Limits {
        template: TemplateReference {
            name: name.map(str::to_owned),
            oid: oid.map(|oid| oid.parse().unwrap()),
        },
        ..allowing(&[SanKind::Dns, SanKind::Email])
    };
    let none = with(None, None);
    assert_eq!(codes(&none, &version_1), ["template"]);
    assert_eq!(codes(&none, &version_2), ["template"]);
    // What cannot be read equals nothing, not even the absence of a template.
    for kind in [known::MS_TEMPLATE_NAME, known::MS_TEMPLATE] {
        assert_eq!(
            codes(&none, &asking(vec![forge::extension(kind, vec![2, 1, 0])])),
            ["template"]
        );
    }
    assert_eq!(codes_of(&none, &strongswan, &Boundary::default()), ["template"]);
    let named = with(Some("server"), Some("1.3.6.1.4.1.311.21.8.15485098.4126344.16777215.1.2.3"));
    assert_eq!(codes(&named, &version_1), [""; 0]);
    assert_eq!(codes(&named, &version_2), [""; 0]);
    assert_eq!(codes_of(&named, &strongswan, &Boundary::default()), [""; 0]);
    let other = with(Some("client"), Some("1.3.6.1.4.1.311.21.8.1"));
    assert_eq!(codes(&other, &version_1), ["template"]);
    assert_eq!(codes(&other, &version_2), ["template"]);
    assert_eq!(
        codes(&named, &asking(vec![forge::extension(known::MS_TEMPLATE, vec![5])])),
        ["template"]
    );
}

#[test]
fn what_windows_adds_by_itself_passes_and_what_nobody_knows_does_not() {
    let limits = Limits::default();
    for oid in [
        known::FRIENDLY_NAME,
        known::MS_CSP_PROVIDER,
        known::MS_OS_VERSION,
        known::MS_REQUEST_CLIENT_INFO,
    ] {
        assert_eq!(codes(&limits, &carrying(oid, forge::sequence(&[]))), [""; 0]);
    }
    let unknown = const_oid::ObjectIdentifier::new_unwrap("1.2.3.4");
    let attribute = carrying(unknown, forge::utf8("x"));
    let extension = asking(vec![forge::extension(unknown, forge::utf8("x"))]);
    assert_eq!(codes(&limits, &attribute), ["attribute"]);
    assert_eq!(codes(&limits, &extension), ["extension"]);
    let listed = Limits {
        attributes: vec![unknown.into()],
        extensions: vec![unknown.into()],
        ..Limits::default()
    };
    assert_eq!(codes(&listed, &attribute), [""; 0]);
    assert_eq!(codes(&listed, &extension), [""; 0]);
}

#[test]
fn limits_read_as_they_are_documented() {
    let limits: Limits = serde_json::from_str(
        r#"{
            "keys": { "kinds": ["rsa", "p-256"], "rsa-min-bits": 3072 },
            "ekus": ["clientAuth", "1.3.6.1.5.5.7.3.17"],
            "key-usage": ["digitalSignature"],
            "subject": { "allowed": ["CN", "2.5.4.5"], "required": ["CN"], "fixed": ["O=Example"] },
            "sans": { "allowed": ["dns", "upn"], "sid-uri": false },
            "template": { "name": "Device" },
            "max-validity": "90d"
        }"#,
    )
    .unwrap();
    assert_eq!(limits.problems(), []);
    assert_eq!(limits.keys.rsa_min_bits, 3072);
    assert_eq!(limits.ekus[1], known::IPSEC_IKE);
    assert_eq!(limits.subject.allowed[1].to_string(), "serialNumber");
    assert_eq!(limits.max_validity.as_secs(), 90 * 86_400);
    let text = serde_json::to_string(&limits).unwrap();
    assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
}

#[test]
fn unknown_keys_and_odd_values_are_refused() {
    for text in [
        r#"{ "eku": [] }"#,
        r#"{ "keys": { "rsa-minimum": 1 } }"#,
        r#"{ "ekus": ["webServer"] }"#,
        r#"{ "key-usage": ["sign"] }"#,
        r#"{ "subject": { "allowed": ["commonName"] } }"#,
        r#"{ "subject": { "fixed": ["Example"] } }"#,
        r#"{ "sans": { "allowed": ["DNS"] } }"#,
        r#"{ "max-validity": 90 }"#,
        r#"{ "max-validity": "90" }"#,
        r#"{ "max-validity": "0d" }"#,
        r#"{ "max-validity": "-1d" }"#,
        r#"{ "max-validity": "36501d" }"#,
        r#"{ "max-validity": "4294967295d" }"#,
    ] {
        assert!(serde_json::from_str::<Limits>(text).is_err(), "{text}");
    }
}

#[test]
fn contradictions_are_reported_with_their_path() {
    let limits: Limits = serde_json::from_str(
        r#"{
            "keys": { "kinds": [], "rsa-min-bits": 9000, "rsa-max-bits": 8500 },
            "key-usage": ["keyCertSign", "digitalSignature", "cRLSign"],
            "subject": { "allowed": [], "required": ["CN"], "fixed": ["DNS:a.example"] },
            "sans": { "required": ["dns"], "sid-uri": true },
            "extensions": ["1.3.6.1.4.1.311.21.10"],
            "issued-extensions": ["2.5.29.30"]
        }"#,
    )
    .unwrap();
    let paths: Vec<_> = limits.problems().into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "key-usage[0]",
            "key-usage[2]",
            "keys.kinds",
            "keys.rsa-max-bits",
            "keys.rsa-min-bits",
            "subject.required[0]",
            "subject.fixed[0]",
            "sans.required[0]",
            "sans.sid-uri",
            "extensions[0]",
            "issued-extensions[0]",
        ]
    );
    let nothing = Limits { key_usage: Vec::new(), ..Limits::default() };
    assert_eq!(nothing.problems()[0].path, "key-usage");
}

#[test]
fn the_schema_names_every_key() {
    let schema = serde_json::to_value(schemars::schema_for!(Limits)).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    let written = serde_json::to_value(Limits::default()).unwrap();
    for key in written.as_object().unwrap().keys() {
        assert!(keys.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
