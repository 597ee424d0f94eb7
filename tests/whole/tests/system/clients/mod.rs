//! Real clients, which know nothing of us: each enrols, waits for the certificate manager, and renews
//! in its own way, with the roles' keys in files and on SoftHSM2.

mod certmonger;
mod scepclient;
mod strongswan;

use std::path::Path;
use std::time::Duration;

use countersign_lab_ca::{LabCa, RequestState};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{Builder, Installation, PENDING_TEMPLATE, Profile};

/// Where CEP, REP and EA are.
#[derive(Debug, Clone, Copy)]
enum Keys {
    Files,
    SoftHsm,
}

const BOTH: [Keys; 2] = [Keys::Files, Keys::SoftHsm];

/// A profile that renews on proof by the current certificate.
const RENEWING: &str = "devices";

/// One whose requests the certificate manager must approve.
const SLOW: &str = "slow";

fn builder(keys: Keys, profile: impl Fn(Profile) -> Profile) -> Builder {
    let builder = Installation::builder()
        .profile(profile(Profile::named(RENEWING).renewal(&["renewal"])))
        .profile(profile(Profile::named(SLOW).template(PENDING_TEMPLATE)));
    match keys {
        Keys::Files => builder,
        Keys::SoftHsm => builder.softhsm(),
    }
}

/// Approves the next request that waits at the CA.
async fn approve_next(ca: LabCa) {
    loop {
        let requests = ca.requests().unwrap();
        if let Some(waiting) = requests.iter().find(|one| one.state == RequestState::Pending) {
            ca.approve(waiting.id).unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// OpenSSL verifies it up to the CA, and it holds the key in `key`. Its serial number.
fn must_be_good(certificate: &Path, key: &Path, ca: &Path) -> String {
    run(openssl(&["verify", "-purpose", "sslclient", "-CAfile"]).arg(ca).arg(certificate));
    let own = run(openssl(&["pkey", "-pubout", "-in"]).arg(key));
    assert_eq!(run(openssl(&["x509", "-noout", "-pubkey", "-in"]).arg(certificate)), own);
    run(openssl(&["x509", "-noout", "-serial", "-in"]).arg(certificate))
}
