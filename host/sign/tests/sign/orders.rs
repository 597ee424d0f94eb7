//! Revocation orders from outside: signed by a key of their own, in the ledger, held by a fuse that
//! two people reset.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use countersign_ipc::{
    AdminReply, AdminRequest, Approval, Bytes, EndedOrder, OrderEnd, OrderToSign, OutcomeKind,
    SignReply, SignRequest, SignedOrder,
};
use countersign_ledger::{VerifyingKey, Witness, verify_database};

use crate::support::{Options, Running, SOON, cms, refusal, start, start_with};

impl Running {
    /// A certificate that one of our signatures led to, and the order to revoke it.
    async fn issued(&self, name: &str) -> (Approval, OrderToSign) {
        let csr = self.installation.csr(&format!("/CN={name}"), &[]);
        let approval = self.approval(&csr);
        cms(self.countersign(&approval, &csr).await);
        let certificate = self.installation.issue(&csr);
        self.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
        let parsed = countersign_profile::Certificate::parse(&certificate).unwrap();
        let order = OrderToSign {
            authority: "lab".into(),
            serial: parsed.serial_hex(),
            certificate_sha256: Bytes(parsed.sha256().to_vec()),
            profile: "wifi".into(),
            enrolment: approval.enrolment,
            attempt: 1,
            reason: "cessation-of-operation".into(),
            source: "event".into(),
            detail: "mdm: wipe-1".into(),
        };
        (approval, order)
    }

    async fn order(&self, order: &OrderToSign) -> SignReply {
        self.verify.call(&SignRequest::SignOrder(order.clone()), SOON).await.unwrap()
    }
}

fn reset(person: &str) -> AdminRequest {
    AdminRequest::FuseReset { let_through: 0, person: Some(person.to_owned()) }
}

fn signed(reply: SignReply) -> SignedOrder {
    match reply {
        SignReply::OrderSigned(order) => order,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn row_38_an_order_is_signed_by_its_own_key_and_proven_offline() {
    let running = start().await;
    let (_, order) = running.issued("device-17").await;
    let first = signed(running.order(&order).await);
    assert_eq!(signed(running.order(&order).await), first, "the same octets");
    let text = String::from_utf8(first.document.0.clone()).unwrap();
    assert!(text.contains(&format!("\nserial: {}\n", order.serial)), "{text}");

    let pem = match running.admin_reply(AdminRequest::OrderKey).await {
        AdminReply::Text(pem) => pem,
        other => panic!("{other:?}"),
    };
    let (_, spki) = der::pem::decode_vec(pem.trim().as_bytes()).unwrap();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &spki).unwrap();
    key.verify_sig(&first.document.0, &first.signature.0).unwrap();
    assert!(key.verify_sig(b"other", &first.signature.0).is_err());

    let ended = EndedOrder {
        number: first.number,
        end: OrderEnd::CarriedOut,
        revoker: "lab".into(),
        detail: String::new(),
    };
    for _ in 0..2 {
        let told =
            running.verify.call(&SignRequest::OrderEnded(ended.clone()), SOON).await.unwrap();
        assert!(matches!(told, SignReply::Done), "{told:?}");
    }
    let entries = running.entries("order-signed").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["detail"], "mdm: wipe-1");
    assert_eq!(running.entries("order-ended").await.len(), 1);
    let unknown = SignRequest::OrderEnded(EndedOrder { number: 9, ..ended });
    let told = running.verify.call(&unknown, SOON).await.unwrap();
    assert_eq!(refusal(&told), Some("unknown-order"));

    let (installation, _) = running.stop().await;
    let checkpoint_key = installation.path("secrets/checkpoint.key");
    let key = countersign_ledger::CheckpointKey::from_file(&checkpoint_key).unwrap();
    let keys: Vec<VerifyingKey> = vec![key.verifying_key().clone()];
    let witness = Witness { files: vec![installation.path("checkpoints/ledger")], keys };
    let report = verify_database(&installation.path("sign/sign.db"), Some(&witness)).unwrap();
    assert_eq!(report.kinds["order-signed"], 1);
    assert_eq!(report.kinds["order-ended"], 1);
}

#[tokio::test]
async fn an_order_before_its_outcome_waits_and_one_of_serve_is_never_signed() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    let (_, issued) = running.issued("device-18").await;
    let early = OrderToSign { enrolment: approval.enrolment, ..issued.clone() };
    let reply = running.order(&early).await;
    assert!(matches!(reply, SignReply::Unavailable { .. }), "{reply:?}");
    let reply = running.serve.call(&SignRequest::SignOrder(issued), SOON).await.unwrap();
    assert_eq!(refusal(&reply), Some("not-your-role"));
    assert!(running.entries("order-signed").await.is_empty());
}

#[tokio::test]
async fn a_revoked_certificate_makes_room_for_the_next_attempt() {
    let running = start().await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    let certificate = running.installation.issue(&csr);
    running.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
    let parsed = countersign_profile::Certificate::parse(&certificate).unwrap();
    let (_, other) = running.issued("device-18").await;
    let order = OrderToSign {
        serial: parsed.serial_hex(),
        certificate_sha256: Bytes(parsed.sha256().to_vec()),
        enrolment: approval.enrolment,
        ..other
    };
    approval.attempt = 2;
    running.must_refuse(running.countersign(&approval, &csr).await, "already-issued").await;
    signed(running.order(&order).await);
    cms(running.countersign(&approval, &csr).await);
}

#[tokio::test]
async fn row_38_a_blown_revocation_fuse_holds_over_a_restart_until_two_people_reset_it() {
    let options = Options { revocation_fuse: (1, 50, 200), ..Options::default() };
    let running = start_with(options).await;
    let (_, first) = running.issued("device-1").await;
    let (_, second) = running.issued("device-2").await;
    signed(running.order(&first).await);
    for _ in 0..2 {
        let reply = running.order(&second).await;
        assert!(matches!(reply, SignReply::OrderHeld { .. }), "{reply:?}");
    }
    let alarms = |entries: Vec<serde_json::Value>, act: &str| {
        entries.iter().filter(|entry| entry["act"] == act).count()
    };
    assert_eq!(alarms(running.entries("admin").await, "revocation-fuse-blown"), 1);

    let (installation, clock) = running.stop().await;
    clock.move_by(3600);
    let running = crate::support::start_in(installation, clock).await.unwrap();
    assert!(matches!(running.order(&second).await, SignReply::OrderHeld { .. }));
    assert!(running.ask(AdminRequest::FuseStatus).await["blown-at"].is_u64());

    // One person, twice, is one person.
    let anna = reset("anna");
    assert_eq!(running.ask(anna.clone()).await["state"], "proposed");
    assert!(running.refused_question(anna).await.contains("another person"));
    assert!(matches!(running.order(&second).await, SignReply::OrderHeld { .. }));
    assert_eq!(running.ask(reset("berta")).await["state"], "reset");
    signed(running.order(&second).await);
    let entries = running.entries("admin").await;
    assert_eq!(alarms(entries.clone(), "revocation-fuse-reset-proposed"), 1);
    let reset = entries.iter().find(|entry| entry["act"] == "revocation-fuse-reset").unwrap();
    let who = reset["who"].as_str().unwrap();
    assert!(who.contains("anna") && who.contains("berta"), "{who}");
}

#[tokio::test]
async fn a_fuse_that_is_whole_is_not_reset() {
    let running = start().await;
    assert!(running.refused_question(reset("anna")).await.contains("has not blown"));
}
