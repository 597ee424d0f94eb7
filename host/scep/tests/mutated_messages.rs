//! Recorded messages, cut short and changed at random: whatever comes, nothing panics. The fuzz
//! targets in `host/scep/fuzz` run the same function for longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

#[path = "../fuzz/exercise.rs"]
mod exercise;
mod forge;

use countersign_scep::client::{Ask, Outgoing, Sealing};
use countersign_scep::{
    Bounds, Capabilities, LegacyAlgorithms, Message, Nonce, Query, TransactionId,
};
use exercise::exercise;
use forge::{Forge, golden, golden_certificate, golden_key};

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() % limit.max(1)
    }

    /// One to three changes: a bit, a byte, a span cut out, doubled or overwritten.
    fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(24)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                // Lengths and tags that matter.
                2 => {
                    bytes[at] =
                        [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30, 0x24, 0xa0][self.below(10)]
                }
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let span = bytes[at..end].to_vec();
                    bytes.splice(at..at, span);
                }
                _ => bytes[at..end].fill(0),
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(forge::golden_directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".der") || name.ends_with(".env") || name.ends_with(".p7") {
            seeds.push(golden(&name));
        } else if name.ends_with(".get") {
            let query = String::from_utf8(golden(&name)).unwrap();
            seeds.push(Query::parse(&query, &Bounds::REQUEST).unwrap().pki_message().unwrap());
            seeds.push(query.into_bytes());
        }
    }
    assert!(seeds.len() > 20);
    seeds
}

#[test]
fn no_truncated_message_panics() {
    let (cep, rep) = (golden_certificate("cep"), golden_certificate("rep"));
    for seed in seeds() {
        for length in 0..seed.len() {
            exercise(&seed[..length], &cep, &rep);
            let message = Message::parse(&seed[..length], &Bounds::REQUEST);
            assert!(message.is_err(), "a message cut short was taken");
        }
    }
}

#[test]
fn no_mutated_message_panics() {
    let (cep, rep) = (golden_certificate("cep"), golden_certificate("rep"));
    let mut random = Random(0x5eed_0001);
    for seed in seeds() {
        for _ in 0..10_000 {
            exercise(&random.mutate(&seed), &cep, &rep);
        }
    }
}

#[test]
fn no_mutated_envelope_behind_a_good_signature_panics() {
    let [device, cep, rep] = ["device", "cep", "rep"].map(golden_certificate);
    let key = golden_key("device");
    let mut random = Random(0x5eed_0002);
    let mut verified = 0;
    for name in
        ["openssl-aes128-streamed.env", "openssl-several-recipients.env", "openssl-oaep-sha256.env"]
    {
        let seed = golden(name);
        for _ in 0..400 {
            let forge = Forge::new("19", &device, &random.mutate(&seed));
            let bytes = forge.message(&key);
            exercise(&bytes, &cep, &rep);
            let message = Message::parse(&bytes, &Bounds::REQUEST).unwrap();
            verified += usize::from(message.verify(&LegacyAlgorithms::EVERYTHING).is_ok());
        }
    }
    assert!(verified > 100, "only {verified} got behind the signature");
}

#[test]
fn no_mutated_content_of_an_envelope_panics() {
    let [device, cep] = ["device", "cep"].map(golden_certificate);
    let (device_key, cep_key) = (golden_key("device"), golden_key("cep"));
    let csr = golden("openssl-csr.der");
    let mut random = Random(0x5eed_0003);
    for _ in 0..300 {
        let content = random.mutate(&csr);
        if content == csr {
            continue;
        }
        let transaction_id = TransactionId::new("1").unwrap();
        let sender_nonce = Nonce::random().unwrap();
        let outgoing = Outgoing {
            ask: Ask::PkcsReq(&content),
            transaction_id: &transaction_id,
            sender_nonce: &sender_nonce,
            signer: &device,
            recipient: &cep,
            sealing: Sealing::for_server(&Capabilities::MODERN),
        };
        let message = outgoing.to_be_signed().unwrap();
        let digest = message.digest();
        let bytes = message.sign_with(|bytes| device_key.sign(digest, bytes)).unwrap();
        let message = Message::parse(&bytes, &Bounds::REQUEST).unwrap();
        let request = message.verify(&LegacyAlgorithms::default()).unwrap();
        let content_key =
            cep_key.unwrap(&request.envelope().addressed_to([&cep]).unwrap()).unwrap();
        let junk_at_the_end = content.starts_with(&csr);
        assert!(request.open(&content_key).is_err() || junk_at_the_end);
    }
}
