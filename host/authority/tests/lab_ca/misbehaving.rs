//! A CA that issues something else than was asked: what the station `check` is for.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_lab_ca::{Misbehaviour, Role, Template};
use countersign_profile::{
    Certificate, Csr, Expected, Limits, Vouched, approve_names, check_issued,
};

use crate::laboratory::{Laboratory, TEMPLATE, certificate, submit};

/// Issues under this template and checks the certificate; the codes of all mismatches.
async fn mismatches(lab: &Laboratory, cms: &[u8], csr: &Csr) -> Vec<&'static str> {
    let issued = certificate(submit(&lab.authority(), cms, TEMPLATE).await);
    let limits = Limits::default();
    let approved = approve_names(csr, &[Vouched::ExactlyAsRequested], &limits).unwrap();
    let issuer = Certificate::parse(lab.ca.certificate_der()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let expected = Expected {
        csr,
        approved: &approved,
        limits: &limits,
        issuer: &issuer,
        latest_end: None,
        submitted: now,
        now,
    };
    match check_issued(&issued, &expected) {
        Ok(_) => Vec::new(),
        Err(mismatches) => mismatches.iter().map(|mismatch| mismatch.code).collect(),
    }
}

#[tokio::test]
async fn row_11_an_honest_certificate_passes_the_check_and_every_bent_one_does_not() {
    let lab = Laboratory::open().await;
    let agent = lab.identity("agent", Role::Ea);
    let csr = lab.csr("device-17");
    let cms = lab.sign(&csr, &[&agent], &[]);
    let csr = Csr::parse(&csr).unwrap();

    lab.set(Template::named(TEMPLATE));
    assert_eq!(mismatches(&lab, &cms, &csr).await, Vec::<&str>::new());

    for what in [
        Misbehaviour::OtherSan { dns: "admin.example".into() },
        Misbehaviour::OtherSubject { common_name: "administrator".into() },
        Misbehaviour::ExtraEku { oid: "1.3.6.1.4.1.311.20.2.2".into() },
        Misbehaviour::OtherValidity { days: 3000 },
        Misbehaviour::OtherKey,
        Misbehaviour::CertificateAuthority,
        Misbehaviour::ExtraExtension {
            oid: "1.3.6.1.4.1.311.25.2".into(),
            value: "3000".into(),
            critical: false,
        },
        Misbehaviour::OtherIssuer,
    ] {
        lab.set(Template::named(TEMPLATE).that(what.clone()));
        let found = mismatches(&lab, &cms, &csr).await;
        assert!(!found.is_empty(), "{what:?} passed the check");
    }
}
