//! What the thief of `serve` gets out of this process: the octets it was owed anyway.

use std::fs;

use countersign_ipc::{ApprovalKey, OutcomeKind, SealedApproval, SignReply, SignRequest};
use zeroize::Zeroizing;

use crate::support::{
    DIGEST, Options, SOON, cms, is_unavailable, openssl, refusal, seal, start, start_with,
};

#[tokio::test]
async fn an_approved_request_is_countersigned_and_openssl_agrees() {
    for ea in ["ea", "ea-ec"] {
        let running = start_with(Options { ea, ..Options::default() }).await;
        let csr = running.csr();
        let cms = cms(running.countersign(&running.approval(&csr), &csr).await);
        let path = running.installation.path("signed.der");
        fs::write(&path, &cms).unwrap();
        let certificate = running.installation.ea_certificate();
        openssl(
            path.parent().unwrap(),
            &[
                "cms",
                "-verify",
                "-binary",
                "-purpose",
                "any",
                "-inform",
                "DER",
                "-in",
                "signed.der",
                "-CAfile",
                certificate.to_str().unwrap(),
                "-out",
                "content.der",
            ],
        );
        assert_eq!(fs::read(running.installation.path("content.der")).unwrap(), csr, "untouched");

        let entries = running.entries("signed").await;
        assert_eq!(entries.len(), 1);
        let approval = running.approval(&csr);
        assert_eq!(entries[0]["enrolment"], approval.enrolment.to_hex());
        assert_eq!(entries[0]["names"][0], "CN=device-17");
        assert_eq!(entries[0]["verifiers"][0]["digest"], hex::encode(DIGEST));
        assert_eq!(entries[0]["csr-sha256"], hex::encode(approval.csr_sha256));
    }
}

#[tokio::test]
async fn row_01_a_forged_seal_buys_no_use_of_the_key_and_is_in_the_ledger() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    let thief = ApprovalKey::new(&Zeroizing::new(vec![8; 32])).unwrap();
    let reply = running.bring(&thief.seal(&approval), &csr).await;
    running.must_refuse(reply, "seal-not-valid").await;
    let entry = running.entries("refused-seal").await.pop().unwrap();
    assert!(entry.get("profile").is_none(), "nothing under a forged seal is believed: {entry}");
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn an_altered_approval_is_refused() {
    let running = start().await;
    let csr = running.csr();
    let honest = running.approval(&csr);
    let mut wider = honest.clone();
    wider.names.push("CN=domain-controller".into());
    // The octets of one, the MAC of the other.
    let mut mixed = serde_json::to_value(seal(&wider)).unwrap();
    mixed["mac"] = serde_json::to_value(seal(&honest)).unwrap()["mac"].clone();
    let mixed: SealedApproval = serde_json::from_value(mixed).unwrap();
    running.must_refuse(running.bring(&mixed, &csr).await, "seal-not-valid").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_request_swapped_after_approval_is_refused() {
    let running = start().await;
    let (approved, thiefs) = (running.csr(), running.csr());
    let reply = running.countersign(&running.approval(&approved), &thiefs).await;
    running.must_refuse(reply, "csr-swapped").await;
    assert_eq!(running.ea_signatures().await, 0);
    // Also once the true one is signed: its octets are not for whoever brings another request.
    cms(running.countersign(&running.approval(&approved), &approved).await);
    let reply = running.countersign(&running.approval(&approved), &thiefs).await;
    running.must_refuse(reply, "csr-swapped").await;
}

#[tokio::test]
async fn a_seal_for_another_profile_or_another_config_is_refused() {
    let running = start().await;
    let csr = running.csr();
    for (profile, code) in [("lan", "verifiers-differ"), ("vpn", "profile-unknown")] {
        let mut approval = running.approval(&csr);
        approval.profile = profile.into();
        running.must_refuse(running.countersign(&approval, &csr).await, code).await;
    }
    let mut approval = running.approval(&csr);
    approval.config_digest = [0; 32];
    running.must_refuse(running.countersign(&approval, &csr).await, "config-differs").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn an_unused_seal_dies_with_its_time_and_a_used_one_gives_the_stored_octets() {
    let running = start().await;
    let (used, unused) = (running.csr(), running.csr());
    let (used_seal, unused_seal) =
        (seal(&running.approval(&used)), seal(&running.approval(&unused)));
    let first = cms(running.bring(&used_seal, &used).await);
    running.clock.move_by(601);
    running.must_refuse(running.bring(&unused_seal, &unused).await, "approval-expired").await;
    assert_eq!(cms(running.bring(&used_seal, &used).await), first);
    assert_eq!(running.ea_signatures().await, 1);
}

#[tokio::test]
async fn seals_from_the_future_and_seals_without_an_end_are_refused() {
    let running = start().await;
    let csr = running.csr();
    let mut early = running.approval(&csr);
    early.approved_at += 600;
    early.expires_at += 600;
    running.must_refuse(running.countersign(&early, &csr).await, "approval-from-the-future").await;
    let mut endless = running.approval(&csr);
    endless.expires_at = u64::MAX;
    running.must_refuse(running.countersign(&endless, &csr).await, "approval-lives-too-long").await;
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_replayed_seal_and_a_second_seal_give_the_very_same_octets() {
    // ECDSA: equal octets are stored octets.
    let running = start_with(Options { ea: "ea-ec", ..Options::default() }).await;
    let csr = running.csr();
    let sealed = seal(&running.approval(&csr));
    let first = cms(running.bring(&sealed, &csr).await);
    assert_eq!(cms(running.bring(&sealed, &csr).await), first);
    running.clock.move_by(5);
    let second = running.approval(&csr);
    assert_ne!(seal(&second), sealed);
    assert_eq!(cms(running.countersign(&second, &csr).await), first);
    assert_eq!(running.ea_signatures().await, 1);
    assert_eq!(running.entries("signed").await.len(), 1);
}

#[tokio::test]
async fn once_the_outcome_is_known_nothing_comes_out_any_more() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    let certificate = running.installation.issue(&csr);
    let told = running.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
    assert!(matches!(told, SignReply::Done), "{told:?}");
    running.must_refuse(running.countersign(&approval, &csr).await, "settled").await;
    assert_eq!(running.ea_signatures().await, 1);
    assert_eq!(running.installation.count("SELECT count(*) FROM signature WHERE cms NOT NULL"), 0);
}

#[tokio::test]
async fn thirty_two_at_once_get_one_signature() {
    // ECDSA: equal octets are stored octets.
    let running = start_with(Options { ea: "ea-ec", ..Options::default() }).await;
    let csr = running.csr();
    let calls: Vec<_> = (0..32)
        .map(|number| {
            // Half replay one seal, half bring one of their own.
            let mut approval = running.approval(&csr);
            approval.expires_at -= u64::from(number % 2 == 0) * number;
            let request =
                SignRequest::Countersign { sealed: seal(&approval), csr: csr.as_slice().into() };
            let serve = running.serve.clone();
            tokio::spawn(async move { serve.call(&request, SOON).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(cms(call.await.unwrap()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(running.ea_signatures().await, 1);
    assert_eq!(running.entries("signed").await.len(), 1);
}

#[tokio::test]
async fn attempts_follow_each_other_and_never_overlap() {
    let running = start().await;
    let csr = running.csr();
    let attempt = |number| {
        let mut approval = running.approval(&csr);
        approval.attempt = number;
        approval
    };
    for early in [0, 2, u32::MAX] {
        let reply = running.countersign(&attempt(early), &csr).await;
        running.must_refuse(reply, "attempt-not-next").await;
    }
    let first = cms(running.countersign(&attempt(1), &csr).await);
    let reply = running.countersign(&attempt(2), &csr).await;
    assert!(is_unavailable(&reply), "{reply:?}");
    assert_eq!(running.entries("refused-seal").await.pop().unwrap()["code"], "attempt-unsettled");

    running.tell(&attempt(1), OutcomeKind::Refused, None).await;
    let second = cms(running.countersign(&attempt(2), &csr).await);
    assert_eq!(running.ea_signatures().await, 2);
    assert!(!first.is_empty() && !second.is_empty());
    running.must_refuse(running.countersign(&attempt(1), &csr).await, "settled").await;

    let certificate = running.installation.issue(&csr);
    running.tell(&attempt(2), OutcomeKind::Issued, Some(&certificate)).await;
    running.must_refuse(running.countersign(&attempt(3), &csr).await, "already-issued").await;
    assert_eq!(running.ea_signatures().await, 2);

    // Its certificate has expired: the same request may enrol anew.
    running.clock.move_by(31 * 86_400);
    cms(running.countersign(&attempt(3), &csr).await);
}

#[tokio::test]
async fn an_enrolment_cannot_be_reused_for_another_request() {
    let running = start().await;
    let (one, two) = (running.csr(), running.csr());
    let first = running.approval(&one);
    cms(running.countersign(&first, &one).await);
    let mut second = running.approval(&two);
    second.enrolment = first.enrolment;
    running.must_refuse(running.countersign(&second, &two).await, "enrolment-inconsistent").await;
    assert_eq!(running.ea_signatures().await, 1);
}

#[tokio::test]
async fn a_stolen_verify_cannot_have_anything_signed_by_itself() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    let request = SignRequest::Countersign { sealed: seal(&approval), csr: csr.as_slice().into() };
    let reply = running.verify.call(&request, SOON).await.unwrap();
    running.must_refuse(reply, "not-your-role").await;
    let reply = running.verify.call(&SignRequest::Unsettled, SOON).await.unwrap();
    assert_eq!(refusal(&reply), Some("not-your-role"));
    assert_eq!(running.entries("denied").await.pop().unwrap()["source"], "verify");
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_flood_of_forged_seals_fills_no_disk_but_is_counted() {
    let running = start().await;
    let csr = running.csr();
    let forged = ApprovalKey::new(&Zeroizing::new(vec![8; 32])).unwrap();
    for number in 0..70 {
        let mut approval = running.approval(&csr);
        approval.attempt = number;
        let reply = running.bring(&forged.seal(&approval), &csr).await;
        assert_eq!(refusal(&reply), Some("seal-not-valid"));
    }
    // Without a genuine seal there is no profile whose cap could count: the default does.
    assert_eq!(running.entries("refused-seal").await.len(), 60);
    let (installation, clock) = running.stop().await;
    let running = crate::support::start_in(installation, clock).await.unwrap();
    let excess = running.entries("denied-excess").await;
    assert_eq!(excess.len(), 1);
    assert_eq!((&excess[0]["count"], &excess[0]["by"]), (&10.into(), &"sign".into()));
}
