use super::*;
use crate::{
    Certificate, Csr,
    der::encode,
    forge::{self, Key, Request, recorded},
};

fn constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> NameConstraints {
    try_constraints(permitted, excluded).unwrap()
}

fn try_constraints(
    permitted: &[Vec<u8>],
    excluded: &[Vec<u8>],
) -> Result<NameConstraints, ConstraintsError> {
    let extension = forge::name_constraints(permitted, excluded);
    NameConstraints::from_certificates(&[forge::Certificate::authority(
        &Key::new(),
        vec![extension],
    )])
}

fn sans(names: &[&str]) -> Vec<San> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn admits(constraints: &NameConstraints, san: &str) -> bool {
    constraints.violations(&Subject::default(), &sans(&[san])).is_empty()
}

fn admits_subject(constraints: &NameConstraints, subject: &str) -> bool {
    constraints.violations(&subject.parse().unwrap(), &[]).is_empty()
}

/// Each name must be admitted, or not, by a permitted and by an excluded subtree of one base.
fn check(base: &[u8], inside: &[&str], outside: &[&str]) {
    let permitted = constraints(&[base.to_vec()], &[]);
    let excluded = constraints(&[], &[base.to_vec()]);
    for name in inside {
        assert!(admits(&permitted, name), "{name} should be in the permitted subtree");
        assert!(!admits(&excluded, name), "{name} should be in the excluded subtree");
    }
    for name in outside {
        assert!(!admits(&permitted, name), "{name} should be outside the permitted subtree");
        assert!(admits(&excluded, name), "{name} should be outside the excluded subtree");
    }
}

#[test]
fn host_names_lie_in_their_domain() {
    check(
        &forge::dns("Devices.example"),
        &["DNS:devices.example", "DNS:a.devices.example", "DNS:A.B.DEVICES.EXAMPLE"],
        &["DNS:xdevices.example", "DNS:example", "DNS:devices.example.org"],
    );
    check(&forge::dns(""), &["DNS:a.example"], &[]);
    check(&forge::dns(".example"), &["DNS:a.example"], &["DNS:a.example.org"]);
    // With a leading dot readers differ about the name itself: neither permitted nor free.
    assert!(!admits(&constraints(&[forge::dns(".a.example")], &[]), "DNS:a.example"));
    assert!(!admits(&constraints(&[], &[forge::dns(".a.example")]), "DNS:a.example"));
}

#[test]
fn wildcards_are_inside_what_they_touch_and_inside_nothing_for_certain() {
    let permitted = constraints(&[forge::dns("example")], &[]);
    assert!(!admits(&permitted, "DNS:*.a.example"));
    let excluded = constraints(&[], &[forge::dns("secret.a.example")]);
    assert!(!admits(&excluded, "DNS:*.a.example"));
    assert!(!admits(&excluded, "DNS:*.x.secret.a.example"));
    assert!(admits(&excluded, "DNS:*.b.example"));
}

#[test]
fn mailboxes_lie_in_mailbox_host_or_domain() {
    check(&forge::email("ops@example"), &["email:ops@EXAMPLE"], &["email:other@example"]);
    check(
        &forge::email("mail.example"),
        &["email:a@mail.example"],
        &["email:a@b.mail.example", "email:a@example"],
    );
    check(&forge::email(".example"), &["email:a@mail.example"], &["email:a@example"]);
    // The part before the @ may or may not be compared with case.
    assert!(!admits(&constraints(&[forge::email("ops@example")], &[]), "email:OPS@example"));
    assert!(!admits(&constraints(&[], &[forge::email("ops@example")]), "email:OPS@example"));
}

#[test]
fn mailboxes_in_the_subject_count_too() {
    let permitted = constraints(&[forge::email("mail.example")], &[]);
    assert!(admits_subject(&permitted, "CN=a,emailAddress=a@mail.example"));
    assert!(!admits_subject(&permitted, "CN=a,emailAddress=a@other.example"));
    assert!(!admits_subject(&permitted, "CN=a,emailAddress=not a mailbox"));
    let excluded = constraints(&[], &[forge::email("mail.example")]);
    assert!(!admits_subject(&excluded, "CN=a,emailAddress=a@MAIL.example"));
    assert!(!admits_subject(&excluded, "CN=a,emailAddress=not a mailbox"));
}

#[test]
fn a_common_name_that_reads_as_a_host_counts_as_one() {
    let permitted = constraints(&[forge::dns("devices.example")], &[]);
    assert!(admits_subject(&permitted, "CN=a.devices.example"));
    assert!(!admits_subject(&permitted, "CN=WWW.bank.example"));
    assert!(admits_subject(&permitted, "CN=device-17"));
    assert!(admits_subject(&permitted, "CN=Device No. 17"));
}

#[test]
fn uris_lie_by_their_host_and_need_one() {
    check(
        &forge::uri("host.example"),
        &["URI:https://host.example/x", "URI:https://HOST.example:8443?x"],
        &["URI:https://a.host.example/", "URI:https://host.example.org/"],
    );
    check(&forge::uri(".example"), &["URI:https://a.example"], &["URI:https://example/"]);
    let excluded = constraints(&[], &[forge::uri("host.example")]);
    for hostless in ["URI:urn:host.example", "URI:https://192.0.2.1/", "URI:https://[2001:db8::1]/"]
    {
        assert!(!admits(&constraints(&[forge::uri("host.example")], &[]), hostless));
        assert!(!admits(&excluded, hostless), "{hostless}");
    }
}

#[test]
fn addresses_lie_in_their_network() {
    check(
        &forge::ip(&[192, 0, 2, 0, 255, 255, 255, 0]),
        &["IP:192.0.2.0", "IP:192.0.2.255"],
        &["IP:192.0.3.1", "IP:2001:db8::1"],
    );
    // 32.1.13.184 has the first octets of 2001:db8::, and 0.0.0.0/0 is all of IPv4 only.
    let outside = ["IP:2001:db8::1"];
    check(&forge::ip(&[32, 1, 13, 184, 255, 255, 255, 255]), &["IP:32.1.13.184"], &outside);
    check(&forge::ip(&[0; 8]), &["IP:192.0.2.1"], &outside);
    let mut six = [0_u8; 32];
    six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    six[16..20].copy_from_slice(&[0xff; 4]);
    check(&forge::ip(&six), &["IP:2001:db8::1"], &["IP:2001:db9::1", "IP:192.0.2.1"]);
}

#[test]
fn user_principal_names_lie_in_their_realm() {
    let upn = |base: &str| forge::upn(base);
    check(&upn("Corp.example"), &["UPN:a@corp.EXAMPLE"], &["UPN:a@example", "UPN:a@xcorp.example"]);
    check(&upn("@corp.example"), &["UPN:a@corp.example"], &["UPN:a@other.example"]);
    check(&upn(".example"), &["UPN:a@corp.example"], &["UPN:a@corp.example.org"]);
    check(&upn("a@corp.example"), &["UPN:a@corp.example"], &[]);
    // Microsoft does not say whether a realm holds those below it: neither permitted nor free.
    assert!(!admits(&constraints(&[upn("corp.example")], &[]), "UPN:a@sub.corp.example"));
    assert!(!admits(&constraints(&[], &[upn("corp.example")]), "UPN:a@sub.corp.example"));
    assert!(!admits(&constraints(&[], &[upn("Admin@corp.example")]), "UPN:ADMIN@corp.example"));
}

#[test]
fn directory_names_lie_below_their_first_rdns() {
    let base = forge::name(&[
        &[("2.5.4.6", forge::printable("CH"))],
        &[("2.5.4.10", forge::utf8("Example  Inc"))],
    ]);
    let permitted = constraints(&[forge::directory(base.clone())], &[]);
    let excluded = constraints(&[], &[forge::directory(base)]);
    for inside in ["C=CH,O=Example Inc,CN=a", "C=ch,O=EXAMPLE inc"] {
        assert!(admits_subject(&permitted, inside), "{inside}");
        assert!(!admits_subject(&excluded, inside), "{inside}");
        assert!(admits(&permitted, &format!("dirName:{inside}")));
        assert!(!admits(&excluded, &format!("dirName:{inside}")));
    }
    for outside in ["C=CH,CN=a", "O=Example Inc,CN=a", "C=CH,O=Example Incorporated", "CN=a"] {
        assert!(!admits_subject(&permitted, outside), "{outside}");
        assert!(admits_subject(&excluded, outside), "{outside}");
    }
    // In another order validators differ: neither permitted nor free.
    assert!(!admits_subject(&permitted, "CN=a,O=Example Inc,C=CH"));
    assert!(!admits_subject(&excluded, "CN=a,O=Example Inc,C=CH"));
    // A certificate without subject has no directory name to be judged.
    assert!(permitted.violations(&Subject::default(), &[]).is_empty());
}

#[test]
fn a_request_may_leave_to_the_ca_what_the_ca_adds() {
    let base = forge::name(&[&[("2.5.4.10", forge::utf8("Example"))]]);
    let permitted = constraints(&[forge::directory(base)], &[]);
    let csr =
        |subject| Csr::parse(&Request { subject, ..Request::default() }.sign(&Key::new())).unwrap();
    let bare = csr(forge::common_name("device-17"));
    assert_eq!(permitted.violations_of_request(&bare, &[]).len(), 1);
    let fixed = ["O=Example".parse().unwrap()];
    assert!(permitted.violations_of_request(&bare, &fixed).is_empty());
    assert_eq!(permitted.violations_of_request(&bare, &["O=Other".parse().unwrap()]).len(), 1);
    let reversed = csr(forge::name(&[
        &[("2.5.4.3", forge::utf8("device-17"))],
        &[("2.5.4.10", forge::utf8("Example"))],
    ]));
    assert!(permitted.violations_of_request(&reversed, &[]).is_empty());
    let inner = csr(forge::name(&[
        &[("2.5.4.10", forge::utf8("Other"))],
        &[("2.5.4.10", forge::utf8("Example"))],
        &[("2.5.4.3", forge::utf8("device-17"))],
    ]));
    assert_eq!(permitted.violations_of_request(&inner, &[]).len(), 1);
}

#[test]
fn a_form_without_subtrees_is_free() {
    let only_dns = constraints(&[forge::dns("example")], &[]);
    for name in ["email:a@b.example", "IP:192.0.2.1", "UPN:a@b.example", "URI:urn:a"] {
        assert!(admits(&only_dns, name), "{name}");
    }
    assert!(NameConstraints::default().is_empty());
    assert!(admits(&NameConstraints::default(), "DNS:a.example"));
}

#[test]
fn names_of_a_form_whose_constraints_nobody_defined_are_refused() {
    let base = forge::other_name("1.2.3", forge::utf8("anything"));
    for constraints in [constraints(std::slice::from_ref(&base), &[]), constraints(&[], &[base])] {
        assert!(!admits(&constraints, "otherName:1.2.3:0c0161"));
        assert!(admits(&constraints, "otherName:1.2.4:0c0161"));
    }
}

#[test]
fn the_constraints_of_every_ca_must_hold() {
    let level = |base| {
        forge::Certificate::authority(&Key::new(), vec![forge::name_constraints(&[base], &[])])
    };
    let chain = [level(forge::dns("a.example")), level(forge::dns("b.a.example"))];
    let both = NameConstraints::from_certificates(&chain).unwrap();
    assert!(admits(&both, "DNS:x.b.a.example"));
    assert!(!admits(&both, "DNS:x.a.example"));
}

#[test]
fn constraints_that_cannot_be_read_with_certainty_refuse_the_ca() {
    for base in [
        forge::dns("*.example"),
        forge::dns("192.0.2.0"),
        forge::email("a@b@c"),
        forge::uri("https://host.example/"),
        forge::ip(&[192, 0, 2, 0]),
        forge::upn("a b"),
        forge::other_name("1.3.6.1.4.1.311.20.2.3", forge::printable("corp.example")),
        encode(0x89, &[b"x"]),
    ] {
        assert!(try_constraints(std::slice::from_ref(&base), &[]).is_err(), "{base:02x?}");
        assert!(try_constraints(&[], std::slice::from_ref(&base)).is_err(), "{base:02x?}");
    }
    for distance in [encode(0x80, &[&[1]]), encode(0x81, &[&[3]])] {
        let subtree = forge::sequence(&[forge::dns("example"), distance]);
        let value = forge::sequence(&[forge::tlv(0xa0, &[subtree])]);
        let extension = forge::extension(known::NAME_CONSTRAINTS, value);
        let ca = forge::Certificate::authority(&Key::new(), vec![extension]);
        let result = NameConstraints::from_certificates(&[ca]);
        assert_eq!(result, Err(ConstraintsError::Distance));
    }
    let garbage = forge::extension(known::NAME_CONSTRAINTS, vec![0x04, 0x00]);
    let ca = forge::Certificate::authority(&Key::new(), vec![garbage]);
    assert!(NameConstraints::from_certificates(&[ca]).is_err());
}

#[test]
fn forms_that_no_certificate_of_ours_carries_are_read_over() {
    let odd = constraints(&[encode(0x88, &[&[0x2a, 3]])], &[forge::tlv(0xa5, &[])]);
    assert!(admits(&odd, "DNS:a.example"));
}

#[test]
fn constraints_that_openssl_wrote_are_enforced() {
    let ca = Certificate::parse(recorded!("openssl-constrained-ca.cer")).unwrap();
    let constraints = NameConstraints::from_certificates(&[ca]).unwrap();
    assert!(!constraints.is_empty());
    for good in [
        "DNS:a.devices.example",
        "email:a@mail.example",
        "URI:https://a.devices.example/x",
        "IP:192.0.2.7",
        "IP:2001:db8::7",
        "UPN:device-17@corp.example",
        "dirName:O=Example,CN=a",
        "otherName:1.2.3:0c0161",
    ] {
        assert!(admits(&constraints, good), "{good}");
    }
    for bad in [
        "DNS:a.example",
        "DNS:b.secret.devices.example",
        "email:a@mail.invalid",
        "URI:https://devices.example/x",
        "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500",
        "IP:192.0.3.7",
        "IP:2001:db9::7",
        "UPN:administrator@other.example",
        "dirName:O=Other,CN=a",
    ] {
        assert!(!admits(&constraints, bad), "{bad}");
    }
}
