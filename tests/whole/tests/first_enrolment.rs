//! The main story: a device comes with its challenge and leaves with a certificate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use countersign_tests::{Installation, PROFILE};

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_a_challenge_enrols() {
    let installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &["CN=device-17", "DNS:device-17.example"]).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    assert!(!issued.certificate.is_empty());
}
