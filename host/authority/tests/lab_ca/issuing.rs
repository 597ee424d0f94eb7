use std::fs;

use countersign_authority::{Authority, AuthorityError, Disposition, Hresult, Wstep};
use countersign_lab_ca::{Algorithm, LabCa, Role};

use crate::laboratory::{Laboratory, PENDING, TEMPLATE, certificate, openssl, printed, submit};

#[tokio::test]
async fn a_countersigned_request_is_issued_over_tls_with_a_client_certificate() {
    let lab = Laboratory::with(Algorithm::Rsa2048, "127.0.0.1:0").await;
    let account = lab.identity("account", Role::TlsClient);
    let authority = Wstep::new(lab.by_certificate(&account)).unwrap();

    // RSA throughout, as in most AD CS installations.
    let rsa = ["-newkey", "rsa:2048"];
    let agent = lab.csr_with("agent", &rsa, &[]);
    let agent = lab.ca.issue_role_certificate(&agent, Role::Ea).unwrap();
    let agent = lab.keep("agent", agent);
    let csr = lab.csr_with("device-17", &rsa, &[]);
    let cms = lab.sign(&csr, &[&agent], &[]);

    let issued = certificate(submit(&authority, &cms, TEMPLATE).await);

    let text = printed(&issued, lab.directory.path());
    for expected in [
        "Subject: CN = device-17",
        "Issuer: CN = Countersign-Lab-CA",
        "DNS:device-17.example",
        "TLS Web Client Authentication",
        "Digital Signature, Key Encipherment",
        "CA Issuers - URI:http://127.0.0.1:",
        "1.3.6.1.4.1.311.21.7",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(lab.ca.requests().unwrap()[0].requester, "account");
}

#[tokio::test]
async fn what_is_issued_verifies_with_openssl_until_it_is_revoked() {
    let lab = Laboratory::open().await;
    let authority = lab.authority();
    let cms = lab.countersigned("device-17");
    let issued = certificate(submit(&authority, &cms, TEMPLATE).await);
    let issued = lab.keep("device-17", issued);

    let verify = |crl: &[u8]| {
        let file = lab.path("ca.crl");
        let pem = der::pem::encode_string("X509 CRL", der::pem::LineEnding::LF, crl).unwrap();
        fs::write(&file, pem).unwrap();
        openssl(&["verify", "-crl_check", "-purpose", "sslclient", "-CAfile"])
            .arg(lab.ca.directory().join("ca.pem"))
            .arg("-CRLfile")
            .arg(file)
            .arg(&issued.certificate)
            .output()
            .unwrap()
    };
    let good = verify(authority.crl().await.unwrap().der());
    assert!(good.status.success(), "{good:?}");

    let serial = lab.ca.certificates().unwrap();
    let serial =
        serial.iter().find(|record| record.certificate == hex::encode(&issued.der)).unwrap();
    lab.ca.revoke(&serial.serial.to_uppercase(), 1).unwrap();
    // A connector of its own: the first keeps its list for some minutes.
    let list = lab.authority().crl().await.unwrap();
    assert!(list.revokes(&countersign_profile::Certificate::parse(&issued.der).unwrap()));
    let revoked = verify(list.der());
    let said = String::from_utf8_lossy(&revoked.stderr).into_owned();
    assert!(said.contains("certificate revoked"), "{said}");
}

#[tokio::test]
async fn a_pending_request_is_polled_until_it_is_approved() {
    let lab = Laboratory::open().await;
    let authority = lab.authority();
    let cms = lab.countersigned("device-17");

    let Ok(Disposition::Pending { request_id, message }) = submit(&authority, &cms, PENDING).await
    else {
        panic!("not pending")
    };
    assert_eq!(message, "Taken Under Submission");
    let again = authority.poll(request_id).await.unwrap();
    assert!(matches!(again, Disposition::Pending { request_id: same, .. } if same == request_id));

    // An admin's command: another process with the directory open.
    let approved = LabCa::open(lab.ca.directory()).unwrap().approve(request_id.0).unwrap();
    let polled = authority.poll(request_id).await;
    assert_eq!(certificate(polled), approved);
}

#[tokio::test]
async fn a_pending_request_that_is_denied_is_a_definite_refusal() {
    let lab = Laboratory::open().await;
    let authority = lab.authority();
    let cms = lab.countersigned("device-17");
    let Ok(Disposition::Pending { request_id, .. }) = submit(&authority, &cms, PENDING).await
    else {
        panic!("not pending")
    };
    lab.ca.deny(request_id.0).unwrap();
    let Err(AuthorityError::Refused { hresult, request_id: about, .. }) =
        authority.poll(request_id).await
    else {
        panic!("not refused")
    };
    assert_eq!(hresult, Hresult(0x8009_4014));
    assert_eq!(about, Some(request_id));
    assert!(lab.ca.approve(request_id.0).is_err(), "denied is denied");
}

#[tokio::test]
async fn nobody_polls_the_request_of_another_account() {
    let lab = Laboratory::open().await;
    let cms = lab.countersigned("device-17");
    let Ok(Disposition::Pending { request_id, .. }) = submit(&lab.authority(), &cms, PENDING).await
    else {
        panic!("not pending")
    };
    let other = lab.identity("other", Role::TlsClient);
    let other = Wstep::new(lab.by_certificate(&other)).unwrap();
    let Err(AuthorityError::Refused { hresult, .. }) = other.poll(request_id).await else {
        panic!("not refused")
    };
    assert_eq!(hresult, Hresult(0x8007_0005));
}

#[tokio::test]
async fn a_list_of_another_ca_is_not_taken_for_ours() {
    let lab = Laboratory::open().await;
    let other = Laboratory::open().await;
    let mut config = lab.by_user();
    config.crl_url = Some(other.serving.crl_url());
    let authority = Wstep::new(config).unwrap();
    let error = authority.crl().await.unwrap_err();
    // Both are named alike: it is the key that tells.
    assert!(matches!(error, AuthorityError::Misconfigured { .. }), "{error:?}");

    let mut config = lab.by_user();
    config.crl_url = None;
    let nowhere = Wstep::new(config).unwrap();
    assert!(nowhere.crl().await.is_err());
}

#[tokio::test]
async fn a_list_is_kept_for_a_while_and_a_place_that_is_gone_is_never_an_empty_list() {
    let lab = Laboratory::open().await;
    let (kept, without) = (lab.authority(), lab.authority());
    let list = kept.crl().await.unwrap();
    lab.serving.shutdown().await;
    // The `within(FRESH)` of `CrlSource::list`.
    assert_eq!(kept.crl().await.unwrap().sha256(), list.sha256());
    let error = without.crl().await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unavailable { .. }), "{error:?}");
    // Again at once: the answer is the same, and nobody was asked.
    assert_eq!(without.crl().await.unwrap_err(), error);
}

#[tokio::test]
async fn health_and_chain_need_no_submission() {
    let lab = Laboratory::open().await;
    let authority = lab.authority();
    assert_eq!(authority.health().await, Ok(()));
    assert_eq!(authority.chain(), [lab.ca.certificate_der().to_vec()]);
    assert!(lab.ca.requests().unwrap().is_empty());
}

#[tokio::test]
async fn requests_are_on_disk_for_whoever_opens_the_directory() {
    let lab = Laboratory::open().await;
    let cms = lab.countersigned("device-17");
    let Ok(Disposition::Pending { request_id, .. }) = submit(&lab.authority(), &cms, PENDING).await
    else {
        panic!("not pending")
    };
    // Another process's view: nothing but what is on disk.
    let reopened = LabCa::open(lab.ca.directory()).unwrap();
    let issued = reopened.approve(request_id.0).unwrap();
    assert_eq!(certificate(lab.authority().poll(request_id).await), issued);
    assert_eq!(reopened.requests().unwrap(), lab.ca.requests().unwrap());
    assert_eq!(reopened.certificate_der(), lab.ca.certificate_der());
}
