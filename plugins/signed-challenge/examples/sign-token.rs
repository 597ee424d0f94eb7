//! Signs a token as a device management would: for new golden cases, and for whoever writes that side.
//!
//! ```sh
//! cargo run -p countersign-plugin-signed-challenge --example sign-token -- \
//!     ES256 plugins/signed-challenge/tests/keys/es256.pk8 1 < claims.json
//! ```
//!
//! The key is PKCS#8 in DER (`openssl pkcs8 -topk8 -nocrypt -outform DER`), or the secret itself for
//! HS256; the third argument, which may be left out, is the `kid`. The claims come on standard input.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a tool for people at a terminal, never part of a product"
)]

use std::io::Read as _;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().unwrap_or_else(|| panic!("{what} is missing"));
    let algorithm = next("the algorithm (ES256, EdDSA, RS256, HS256)");
    let key = std::fs::read(next("the key's file")).expect("the key's file is read");
    let mut header = json!({ "alg": algorithm });
    if let (Some(id), Some(members)) = (arguments.next(), header.as_object_mut()) {
        members.insert("kid".to_owned(), id.into());
    }
    let mut claims = String::new();
    std::io::stdin().read_to_string(&mut claims).expect("claims on standard input");
    let claims: Value = serde_json::from_str(&claims).expect("the claims are JSON");

    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = sign(&algorithm, &key, signed.as_bytes());
    println!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
}

fn sign(algorithm: &str, key: &[u8], message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    match algorithm {
        "ES256" => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key);
            let signature = key.expect("a P-256 key").sign(&random, message);
            signature.expect("a signature").as_ref().to_vec()
        }
        "EdDSA" => {
            let key = Ed25519KeyPair::from_pkcs8(key).expect("an Ed25519 key");
            key.sign(message).as_ref().to_vec()
        }
        "RS256" => {
            let key = RsaKeyPair::from_pkcs8(key).expect("an RSA key");
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("a signature");
            signature
        }
        "HS256" => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec(),
        other => panic!("there is no algorithm {other}"),
    }
}
