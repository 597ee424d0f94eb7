//! Frames between our processes: any of them may be stolen, and then says what it likes.

use std::fmt::Debug;
use std::sync::LazyLock;

use countersign_ipc::{
    AdminReply, AdminRequest, Approval, ApprovalKey, Bytes, DenialRecord, EnrolmentId, Kind,
    OutcomeKind, OutcomeRecord, RevocationOrder, SignReply, SignRequest, VerifierRecord,
    VerifyReply, VerifyRequest, read_frame, write_frame,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
});

static KEY: LazyLock<ApprovalKey> =
    LazyLock::new(|| ApprovalKey::new(&vec![7; 32].into()).expect("32 octets are a key"));

/// The first octet says which reader; the rest is the frame.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((which, frame)) = bytes.split_first() else { return false };
    match which % 6 {
        0 => read::<VerifyRequest>(frame).is_some(),
        1 => read::<VerifyReply>(frame).map(|reply| unseal_reply(&reply)).is_some(),
        2 => read::<SignRequest>(frame).map(|request| unseal_request(&request)).is_some(),
        3 => read::<SignReply>(frame).is_some(),
        4 => read::<AdminRequest>(frame).is_some(),
        _ => read::<AdminReply>(frame).is_some(),
    }
}

/// One frame of each reader.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let enrolment = EnrolmentId([7; 32]);
    let approval = Approval {
        enrolment,
        attempt: 1,
        kind: Kind::Initial,
        profile: "wifi".to_owned(),
        current_certificate_sha256: None,
        csr_sha256: [1; 32],
        info_sha256: [2; 32],
        names: vec!["CN=device-17".to_owned()],
        device_id: Some("17".to_owned()),
        latest_end: None,
        verifiers: vec![VerifierRecord {
            plugin: "one-time-password".to_owned(),
            digest: [3; 32],
            evidence: vec![("challenge".to_owned(), "bound".to_owned())],
        }],
        config_digest: [4; 32],
        approved_at: 1,
        expires_at: 601,
    };
    let sealed = KEY.seal(&approval);
    let outcome = OutcomeRecord {
        enrolment,
        attempt: 1,
        profile: "wifi".to_owned(),
        outcome: OutcomeKind::Issued,
        certificate: Some(Bytes(vec![0x30, 0])),
        code: None,
    };
    let order = RevocationOrder {
        enrolment,
        attempt: 1,
        profile: "wifi".to_owned(),
        authority: "lab".to_owned(),
        certificate_sha256: Bytes(vec![5; 32]),
        serial: "01".to_owned(),
        reason: "check-failed".to_owned(),
    };
    let denial = DenialRecord {
        station: "admit".to_owned(),
        profile: "wifi".to_owned(),
        code: "key".to_owned(),
        detail: "too short".to_owned(),
        csr_sha256: Some(Bytes(vec![6; 32])),
        names: vec!["CN=device-17".to_owned()],
        source: "192.0.2.1".to_owned(),
    };
    vec![
        frame(0, &VerifyRequest::Outcome(outcome)),
        frame(0, &VerifyRequest::Order(order)),
        frame(1, &VerifyReply::Approved { sealed: sealed.clone() }),
        frame(2, &SignRequest::Countersign { sealed, csr: Bytes(vec![0x30, 0]) }),
        frame(2, &SignRequest::Denied(denial)),
        frame(3, &SignReply::Countersigned { cms: Bytes(vec![0x30, 0]) }),
        frame(4, &AdminRequest::Requests { limit: 10 }),
        frame(5, &AdminReply::Refused { message: "not so".to_owned() }),
    ]
}

/// Reads one frame; what was read is written and read again to the same octets.
fn read<T: Serialize + DeserializeOwned + Debug>(frame: &[u8]) -> Option<T> {
    let read: T = RUNTIME.block_on(read_frame(&mut &*frame)).ok()?;
    let _ = format!("{read:?}");
    let mut once = Vec::new();
    RUNTIME.block_on(write_frame(&mut once, &read)).expect("what was read fits into a frame");
    let again: T = RUNTIME.block_on(read_frame(&mut &*once)).expect("our own frame is read");
    let mut twice = Vec::new();
    RUNTIME.block_on(write_frame(&mut twice, &again)).expect("what was read fits into a frame");
    assert_eq!(once, twice, "a frame says something else when it is written again");
    Some(read)
}

fn unseal_reply(reply: &VerifyReply) {
    if let VerifyReply::Approved { sealed } = reply {
        unseal(sealed);
    }
}

fn unseal_request(request: &SignRequest) {
    if let SignRequest::Countersign { sealed, .. } = request {
        unseal(sealed);
    }
}

/// What a seal covers is what is read: canonical bytes have one reading and one writing.
fn unseal(sealed: &countersign_ipc::SealedApproval) {
    let _ = sealed.read_unproven();
    if let Ok(approval) = KEY.open(sealed) {
        assert_eq!(KEY.seal(&approval).sha256(), sealed.sha256(), "two seals of one approval");
    }
}

fn frame<T: Serialize>(which: u8, message: &T) -> Vec<u8> {
    let mut octets = vec![which];
    RUNTIME.block_on(write_frame(&mut octets, message)).expect("it fits");
    octets
}
