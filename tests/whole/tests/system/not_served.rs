//! What this version does not serve, it refuses in words that clients understand, and does not
//! advertise.

use countersign_scep::Certificate;
use countersign_scep::client::Ask;
use countersign_tests::{Device, Installation, PROFILE};

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_promise_what_is_kept() {
    let installation = Installation::start_usual().await;
    let reply = installation.get(&format!("/scep/{PROFILE}?operation=GetCACaps")).await;
    assert_eq!(reply.header("content-type"), "text/plain");
    let text = reply.text();
    let lines: Vec<&str> = text.lines().collect();
    for promised in ["AES", "POSTPKIOperation", "SHA-256", "SHA-512", "SCEPStandard"] {
        assert!(lines.contains(&promised), "{promised}: {lines:?}");
    }
    for not_kept in ["Renewal", "GetNextCACert", "DES3", "SHA-1"] {
        assert!(!lines.contains(&not_kept), "{not_kept}: {lines:?}");
    }
    let next = installation.get(&format!("/scep/{PROFILE}?operation=GetNextCACert")).await;
    assert_eq!(next.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewalreq_is_refused() {
    let (installation, device) = with_an_enrolled_device().await;
    must_be_refused(&installation, &device, Ask::RenewalReq(&device.csr)).await;
    let fresh = installation.new_device(PROFILE, &["CN=device-18"]).await;
    must_be_refused(&installation, &fresh, Ask::RenewalReq(&fresh.csr)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pkcsreq_signed_with_an_issued_certificate_is_refused() {
    let (installation, device) = with_an_enrolled_device().await;
    let challenge = installation.issue_challenge(PROFILE, &["CN=device-17"]).await;
    let renewal = Device::new(&["CN=device-17"], Some(&challenge));
    // As Apple's clients renew: the old key signs, the old certificate goes along.
    must_be_refused(&installation, &device, Ask::PkcsReq(&renewal.csr)).await;
    must_be_refused(&installation, &device, Ask::PkcsReq(&device.csr)).await;
}

/// A device that signs with the certificate it was issued.
async fn with_an_enrolled_device() -> (Installation, Device) {
    let installation = Installation::start_usual().await;
    let mut device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    device.signer = Certificate::parse(&issued.certificate).unwrap();
    (installation, device)
}

async fn must_be_refused(installation: &Installation, device: &Device, ask: Ask<'_>) {
    let before = installation.signatures().await;
    let ra = installation.ra(PROFILE).await;
    let sent = device.ask(&ra, ask);
    let answer = device.read(&sent, installation.send(PROFILE, &sent).await, &ra);
    assert!(answer.is_refused_without_reason(), "{ask:?}: {answer:?}");
    assert_eq!(installation.signatures().await, before, "{ask:?}");
}
