//! The hard limits, which neither a verifier nor `serve` can widen: every approval here has a
//! genuine seal, as if `verify` were stolen or wrong.

use countersign_ipc::{Kind, VerifierRecord};

use crate::support::{DIGEST, Options, PLUGIN, Running, cms, start, start_with};

async fn refused(running: &Running, subject: &str, extensions: &[&str], code: &str) {
    let csr = running.installation.csr(subject, extensions);
    let reply = running.countersign(&running.approval(&csr), &csr).await;
    running.must_refuse(reply, code).await;
}

#[tokio::test]
async fn row_28_a_name_outside_the_cas_constraints_costs_no_use_of_the_key() {
    let running = start_with(Options { issuing: "constrained", ..Options::default() }).await;
    refused(&running, "/CN=d", &["subjectAltName=DNS:a.evil.example"], "name-constraint").await;
    assert_eq!(running.ea_signatures().await, 0);
    let csr = running.installation.csr("/CN=d", &["subjectAltName=DNS:a.corp.example"]);
    cms(running.countersign(&running.approval(&csr), &csr).await);
}

#[tokio::test]
async fn row_46_a_request_for_another_purpose_is_refused() {
    let running = start().await;
    refused(&running, "/CN=d", &["extendedKeyUsage=serverAuth"], "eku").await;
    refused(&running, "/CN=d", &["extendedKeyUsage=1.3.6.1.4.1.311.20.2.1"], "eku").await;
    refused(&running, "/CN=d", &["basicConstraints=CA:TRUE"], "ca-true").await;
    refused(&running, "/CN=d", &["1.3.6.1.4.1.311.25.2=DER:0500"], "sid-extension").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn row_10_the_word_of_one_verifier_of_two_is_not_enough() {
    let both = Options { verifiers: r#""one-time-password", "other""#, ..Options::default() };
    let running = start_with(both).await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    running.must_refuse(running.countersign(&approval, &csr).await, "verifiers-differ").await;
    let verifier = |plugin: &str, digest| VerifierRecord {
        plugin: plugin.into(),
        digest,
        evidence: Vec::new(),
    };
    for wrong in [
        vec![],
        vec![verifier(PLUGIN, DIGEST), verifier(PLUGIN, DIGEST)],
        vec![verifier(PLUGIN, DIGEST), verifier("third", DIGEST)],
        vec![verifier(PLUGIN, DIGEST), verifier("other", [0x22; 32])],
    ] {
        approval.verifiers = wrong;
        running.must_refuse(running.countersign(&approval, &csr).await, "verifiers-differ").await;
    }
    assert_eq!(running.ea_signatures().await, 0);
    approval.verifiers = vec![verifier(PLUGIN, DIGEST), verifier("other", DIGEST)];
    cms(running.countersign(&approval, &csr).await);
}

#[tokio::test]
async fn names_beyond_the_approval_are_refused() {
    let running = start().await;
    let csr = running.installation.csr("/CN=device-17", &["subjectAltName=DNS:dc1.corp.example"]);
    let mut approval = running.approval(&csr);
    approval.names = vec!["CN=device-17".into()];
    running.must_refuse(running.countersign(&approval, &csr).await, "names-beyond-approval").await;
    approval.names.push("what is this".into());
    running.must_refuse(running.countersign(&approval, &csr).await, "names-malformed").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_request_for_a_key_of_the_service_is_refused() {
    let running = start().await;
    for role in ["ea", "cep", "rep", "issuing"] {
        let key = running.installation.role_key(role);
        let csr = running.installation.csr_of(&key, false, "/CN=device-17", &[]);
        let reply = running.countersign(&running.approval(&csr), &csr).await;
        running.must_refuse(reply, "own-key").await;
    }
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_request_that_is_not_signed_by_its_own_key_is_refused() {
    let running = start().await;
    let mut csr = running.csr();
    *csr.last_mut().unwrap() ^= 1;
    let reply = running.countersign(&running.approval(&csr), &csr).await;
    running.must_refuse(reply, "csr-not-self-signed").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_profile_without_verifiers_for_renewals_signs_none() {
    let running = start().await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    approval.kind = Kind::Renewal;
    running.must_refuse(running.countersign(&approval, &csr).await, "kind-inconsistent").await;
    approval.current_certificate_sha256 = Some([9; 32]);
    running.must_refuse(running.countersign(&approval, &csr).await, "verifiers-differ").await;
}

#[tokio::test]
async fn what_could_outlive_the_approval_is_refused_before_it_is_signed() {
    let running = start_with(Options { max_validity: "30d", ..Options::default() }).await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    approval.latest_end = Some(running.clock.now() + 29 * 86_400);
    running.must_refuse(running.countersign(&approval, &csr).await, "outlives-approval").await;
    assert_eq!(running.ea_signatures().await, 0);
    approval.latest_end = Some(running.clock.now() + 31 * 86_400);
    cms(running.countersign(&approval, &csr).await);
}

#[tokio::test]
async fn an_approval_too_large_for_the_ledger_is_refused_before_it_is_signed() {
    let running = start().await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    approval.verifiers[0].evidence = vec![("k".repeat(900), "v".repeat(900)); 60];
    running.must_refuse(running.countersign(&approval, &csr).await, "approval-too-large").await;
    assert_eq!(running.ea_signatures().await, 0);
}
