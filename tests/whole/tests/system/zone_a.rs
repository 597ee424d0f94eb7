//! Invariant I4 on the wire: from unwrap to "the signer's key is the key of the request", no failure
//! can be told from another by what a stranger gets.

use countersign_scep::client::CaCertificates;
use countersign_tests::{Connection, Device, HttpReply, Installation, PROFILE};

use crate::{forge, messages};

/// An answer without what may differ: the nonce of the server, and the signature over it.
pub(crate) fn without_nonce_and_signature(reply: &HttpReply) -> Vec<u8> {
    let mut body = reply.body.clone();
    body.truncate(body.len() - 256);
    let nonce = forge::oid(forge::SENDER_NONCE);
    let at = body.windows(nonce.len()).position(|window| window == nonce).unwrap() + nonce.len();
    // SET { OCTET STRING of 16 }.
    assert_eq!(body[at..at + 4], [0x31, 18, 0x04, 16]);
    body[at + 4..at + 20].fill(0);
    body
}

/// Where the content key lies in an envelope: the OCTET STRING of 256 that RSA-2048 makes.
fn content_key(envelope: &[u8]) -> std::ops::Range<usize> {
    let start = [0x04, 0x82, 0x01, 0x00];
    let at = envelope.windows(4).position(|window| window == start).unwrap() + 4;
    at..at + 256
}

struct Forger {
    device: Device,
    ra: CaCertificates,
}

impl Forger {
    fn good(&self) -> Vec<u8> {
        self.around(&self.device.csr, |_| {})
    }

    /// A well-signed message around this plaintext, in an envelope that `spoil` has touched.
    fn around(&self, plain: &[u8], spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut envelope = messages::envelope(&self.device, &self.ra, plain);
        spoil(&mut envelope);
        messages::message(&self.device, "19", &envelope)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_i4_failures_between_unwrap_and_key_comparison_look_alike() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let forger = Forger { device: installation.new_device(PROFILE, &["CN=device-17"]).await, ra };
    let csr = &forger.device.csr;

    let mut wrong_signature = csr.clone();
    *wrong_signature.last_mut().unwrap() ^= 1;
    let mut wrong_info = csr.clone();
    wrong_info[csr.len() / 2] ^= 0x40;
    let another = Device::new(&["CN=device-17"], Some("guess"));
    let other_envelope = messages::envelope(&forger.device, &forger.ra, csr);
    let other_key = other_envelope[content_key(&other_envelope)].to_vec();
    let trailing = [csr.as_slice(), b"x"].concat();

    let cases = [
        (
            "wrong padding of the content key",
            forger.around(csr, |envelope| {
                let key = content_key(envelope);
                envelope[key.clone()][1..].fill(0x5a);
                envelope[key.start] = 0;
            }),
        ),
        (
            "another message's content key",
            forger.around(csr, |envelope| {
                let key = content_key(envelope);
                envelope[key].copy_from_slice(&other_key);
            }),
        ),
        (
            "zero as the encrypted key",
            forger.around(csr, |envelope| {
                let key = content_key(envelope);
                envelope[key].fill(0);
            }),
        ),
        (
            "a number beyond the modulus",
            forger.around(csr, |envelope| {
                let key = content_key(envelope);
                envelope[key].fill(0xff);
            }),
        ),
        ("bad CBC padding", forger.around(csr, |envelope| *envelope.last_mut().unwrap() ^= 0x80)),
        (
            "bad CBC content",
            forger.around(csr, |envelope| {
                let at = envelope.len() - 400;
                envelope[at] ^= 1;
            }),
        ),
        ("not a PKCS#10", forger.around(&vec![0x55; csr.len()], |_| {})),
        ("an empty plaintext", forger.around(&[], |_| {})),
        ("something behind the PKCS#10", forger.around(&trailing, |_| {})),
        ("wrong self-signature", forger.around(&wrong_signature, |_| {})),
        ("wrong content under the self-signature", forger.around(&wrong_info, |_| {})),
        ("somebody else's PKCS#10", forger.around(&another.csr, |_| {})),
    ];
    let path = format!("/scep/{PROFILE}?operation=PKIOperation");
    let mut connection = Connection::open(installation.address()).await;
    let mut expected = None;
    for (what, message) in cases {
        let mut reply = connection.request("POST", &path, message).await;
        let body = without_nonce_and_signature(&reply);
        reply.headers.remove("date");
        let found = (reply.status, reply.headers, reply.body.len(), body);
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_eq!(&found, expected, "{what}");
        assert_eq!(found.0, 200, "{what}");
    }
    // badMessageCheck, and no text.
    let (_, _, _, body) = expected.unwrap();
    let fail_info =
        [forge::oid("2.16.840.1.113733.1.9.4"), forge::tlv(0x31, &forge::printable("1"))].concat();
    assert!(body.windows(fail_info.len()).any(|window| window == fail_info));

    assert_eq!(installation.signatures().await, 0);
    assert!(installation.ledger_of("denied").await.is_empty(), "strangers write no ledger");
    // Its twin: what was spoilt above is good.
    let reply = connection.request("POST", &path, forger.good()).await;
    let success =
        [forge::oid(forge::PKI_STATUS), forge::tlv(0x31, &forge::printable("0"))].concat();
    assert!(reply.body.windows(success.len()).any(|window| window == success));
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_b_refusals_look_alike_whoever_refused() {
    let installation = Installation::start_usual().await;
    let used = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let spent = {
        let challenge = installation.issue_challenge(PROFILE, &["CN=a"]).await;
        let _ =
            installation.enrol(PROFILE, &Device::new(&["CN=a"], Some(&challenge))).await.issued();
        challenge
    };
    let cases = [
        ("no challenge", Device::new(&["CN=a"], None)),
        ("unknown challenge", Device::new(&["CN=a"], Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))),
        ("spent challenge", Device::new(&["CN=a"], Some(&spent))),
        ("refused by the profile", Device::new(&["CN=a", "email:a@example.org"], None)),
        ("no names", Device::new(&[], Some("guess"))),
    ];
    let ra = installation.ra(PROFILE).await;
    let mut expected = None;
    for (what, mut device) in cases {
        device.transaction_id = used.transaction_id.clone();
        let envelope = messages::envelope(&device, &ra, &device.csr);
        let message = messages::message(&device, "19", &envelope);
        let reply =
            installation.post(&format!("/scep/{PROFILE}?operation=PKIOperation"), message).await;
        let found = (reply.status, reply.body.len(), without_nonce_and_signature(&reply));
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_eq!(&found, expected, "{what}");
    }
}
