//! micromdm's `scepclient`: single DES and SHA-1 whatever the server can do, three recipients,
//! PKCSReq again while it waits, and a renewal with the request of the first time.

use std::path::PathBuf;
use std::process::{Command, Output};

use countersign_tests::openssl::output;
use countersign_tests::{Installation, Profile};

use super::{BOTH, Keys, RENEWING, SLOW, approve_next, builder, must_be_good};

/// What its requests ask for; the last three it always adds.
const NAMES: [&str; 4] = ["CN=micro-device", "O=scep-client", "OU=MDM", "C=US"];

/// What a profile must let in for it.
const SWITCHES: &str = "[profile.NAME.accept]\nsingle-des = true\nsha1-signatures = true\n";

#[derive(Clone)]
struct ScepClient {
    folder: PathBuf,
    url: String,
}

impl ScepClient {
    fn new(installation: &Installation, profile: &str) -> Self {
        let folder = installation.file("scepclient");
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, url: installation.url(profile) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Enrols, or renews where there is a certificate already.
    fn enrol(&self, challenge: &str) -> Output {
        output(
            Command::new("scepclient")
                .current_dir(&self.folder)
                .args(["-server-url", &self.url, "-cn", "micro-device", "-challenge", challenge])
                .args(["-private-key", "key.pem", "-certificate", "issued.pem"]),
        )
    }
}

fn with_switches(more: &str) -> impl Fn(Profile) -> Profile {
    let switches = format!("{SWITCHES}{more}");
    move |profile| {
        let section = switches.replace("NAME", profile.name());
        profile.settings(&section)
    }
}

fn must_have_ended_well(ended: &Output) {
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// RFC 8894 §7.9 is against SHA-1 where a signature alone proves who asks: a switch of its own.
#[tokio::test(flavor = "multi_thread")]
async fn scepclient_enrols_and_renews_where_its_old_algorithms_are_let_in() {
    for keys in BOTH {
        let installation = builder(keys, with_switches("sha1-renewals = true\n")).start().await;
        let ca = installation.file("ca/ca.pem");
        let client = ScepClient::new(&installation, RENEWING);
        let challenge = installation.issue_challenge(RENEWING, &NAMES).await;
        must_have_ended_well(&client.enrol(&challenge));
        let first = must_be_good(&client.file("issued.pem"), &client.file("key.pem"), &ca);

        must_have_ended_well(&client.enrol(&challenge));
        let second = must_be_good(&client.file("issued.pem"), &client.file("key.pem"), &ca);
        assert_ne!(first, second, "with {keys:?} the renewal gave the certificate of before");
        assert_eq!(installation.signatures().await, 2);
        let _ = installation.sweep();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scepclient_renews_with_sha_1_only_where_that_has_its_own_switch() {
    let installation = builder(Keys::Files, with_switches("")).start().await;
    let client = ScepClient::new(&installation, RENEWING);
    let challenge = installation.issue_challenge(RENEWING, &NAMES).await;
    must_have_ended_well(&client.enrol(&challenge));
    assert!(!client.enrol(&challenge).status.success(), "SHA-1 proved a renewal");
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scepclient_is_refused_where_no_switch_lets_it_in() {
    let installation = builder(Keys::Files, |profile| profile).start().await;
    let client = ScepClient::new(&installation, RENEWING);
    let challenge = installation.issue_challenge(RENEWING, &NAMES).await;
    assert!(!client.enrol(&challenge).status.success());
    assert!(!client.file("issued.pem").exists());
    assert_eq!(installation.signatures().await, 0);
}

/// It waits half a minute and asks again with PKCSReq.
#[tokio::test(flavor = "multi_thread")]
async fn scepclient_asks_again_until_the_certificate_manager_has_approved() {
    for keys in BOTH {
        let installation = builder(keys, with_switches("")).start().await;
        let client = ScepClient::new(&installation, SLOW);
        let challenge = installation.issue_challenge(SLOW, &NAMES).await;
        let asking = client.clone();
        let asking = tokio::task::spawn_blocking(move || asking.enrol(&challenge));
        approve_next(installation.ca().clone()).await;
        must_have_ended_well(&asking.await.unwrap());
        let ca = installation.file("ca/ca.pem");
        must_be_good(&client.file("issued.pem"), &client.file("key.pem"), &ca);
        assert_eq!(installation.signatures().await, 1);
        let _ = installation.sweep();
    }
}
