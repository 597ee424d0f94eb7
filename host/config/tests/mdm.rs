//! `[verify.mdm]` as an admin meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Config, CredentialProof, Loaded, PageEncoding, PasswordHash, Problem};

const EXAMPLE: &str = include_str!("../example.toml");

const MDM: &str = r#"
[verify.mdm]
listen = "192.0.2.7:8443"
certificate = "tls/mdm.pem"
key = "file:tls/mdm.key"
client-ca = "tls/clients.pem"

[verify.mdm.page."/certsrv/mscep_admin/"]
profile = "wifi"
require-names = true

[verify.mdm.credential.jamf]
profiles = ["wifi"]
quota-per-hour = 500
authentication.basic = { user = "jamf", password-hash = "file:tls/jamf.hash" }

[verify.mdm.credential.fleet]
profiles = ["wifi"]
quota-per-hour = 500
authentication.bearer = { token = "sha256:0000000000000000000000000000000000000000000000000000000000000001" }

[verify.mdm.credential.ws1]
profiles = ["wifi"]
quota-per-hour = 500
authentication.client-certificate = { name = "DNS:ws1.example.com" }
"#;

/// The example with the section and each `from` in it replaced, which must stand there once.
fn load(changes: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let mut section = MDM.to_owned();
    for (from, to) in changes {
        assert!(section.contains(from), "no {from:?}");
        section = section.replacen(from, to, 1);
    }
    // The example may hold such a section already, as a comment only.
    assert!(!EXAMPLE.contains("\n[verify.mdm]"));
    let text = format!("{EXAMPLE}\n{section}");
    Config::from_text(&text, Path::new("/etc/countersign/countersign.toml"))
}

fn the_problem(from: &str, to: &str) -> (Option<u8>, &'static str, String) {
    let mut problems = load(&[(from, to)]).expect_err(&format!("{from} → {to} was accepted"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems.remove(0);
    assert!(!problem.remedy.is_empty());
    (problem.row, problem.id, problem.message)
}

fn id(from: &str, to: &str) -> &'static str {
    the_problem(from, to).1
}

#[test]
fn the_section_loads_with_paths_from_the_files_directory() {
    let loaded = load(&[]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mdm = loaded.config.verify.mdm.unwrap();
    assert_eq!(mdm.certificate, Path::new("/etc/countersign/tls/mdm.pem"));
    assert_eq!(mdm.key.to_string(), "file:/etc/countersign/tls/mdm.key");
    assert_eq!(mdm.client_ca.as_deref(), Some(Path::new("/etc/countersign/tls/clients.pem")));
    assert_eq!(mdm.longest_ttl_seconds, 3600);
    assert_eq!(mdm.page["/certsrv/mscep_admin/"].encoding, PageEncoding::Utf16le);
    let CredentialProof::Basic(basic) = &mdm.credential["jamf"].authentication else {
        panic!("{:?}", mdm.credential["jamf"]);
    };
    let PasswordHash::Secret(reference) = &basic.password_hash else { panic!("{basic:?}") };
    assert_eq!(reference.to_string(), "file:/etc/countersign/tls/jamf.hash");
}

#[test]
fn row_65_there_is_no_way_to_write_the_listener_without_tls() {
    assert_eq!(id("certificate = \"tls/mdm.pem\"\n", ""), "missing-key");
    assert_eq!(id("key = \"file:tls/mdm.key\"\n", ""), "missing-key");
    assert_eq!(id("client-ca", "tls = \"off\"\nclient-ca"), "unknown-key");
    assert_eq!(id("192.0.2.7:8443", "unix:/run/mdm.sock"), "bad-address");
    assert_eq!(id("192.0.2.7:8443", "http://192.0.2.7"), "bad-address");
}

#[test]
fn row_51_each_credential_has_profiles_that_are_there_a_quota_and_a_proof_of_its_own() {
    assert_eq!(
        the_problem(
            "profiles = [\"wifi\"]\nquota-per-hour = 500\nauthentication.basic",
            "profiles = []\nquota-per-hour = 500\nauthentication.basic"
        )
        .1,
        "credential-without-profile"
    );
    assert_eq!(id("profiles = [\"wifi\"]", "profiles = [\"wlan\"]"), "unknown-profile");
    assert_eq!(id("quota-per-hour = 500\n", ""), "credential-without-quota");
    assert_eq!(id("quota-per-hour = 500", "quota-per-hour = 0"), "out-of-range");
    assert_eq!(id("client-ca = \"tls/clients.pem\"\n", ""), "client-certificate-without-authority");
    let twice = "authentication.client-certificate = { name = \"DNS:ws1.example.com\" }";
    let same = "authentication.basic = { user = \"jamf\", password-hash = \"file:tls/2.hash\" }";
    let (row, id_of_twice, _) = the_problem(twice, same);
    assert_eq!((row, id_of_twice), (Some(51), "one-proof-for-two-credentials"));
    assert_eq!(id("user = \"jamf\"", "user = \"ja:mf\""), "bad-user-name");
    assert_eq!(id("credential.jamf", "credential.\"ja mf\""), "bad-name");
}

#[test]
fn row_51_a_credential_posts_events_of_the_plug_ins_it_names_and_those_can_revoke() {
    let to = |events: &str| format!("events = [{events}]\nauthentication.basic");
    let from = "profiles = [\"wifi\"]\nquota-per-hour = 500\nauthentication.basic";
    assert_eq!(id(from, &to("\"jamf\"")), "unknown-plugin");
    let (row, found, message) = the_problem(from, &to("\"one-time-password\""));
    assert_eq!((row, found), (Some(38), "events-without-revocation"), "{message}");
    assert_eq!(id(from, &to("")), "credential-without-profile");
}

#[test]
fn a_secret_in_the_place_of_its_hash_is_refused_and_not_repeated() {
    let (_, id, message) = the_problem("file:tls/jamf.hash", "hunter2-in-clear");
    assert_eq!(id, "bad-password-hash");
    assert!(!message.contains("hunter2"), "{message}");
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
    let (_, id, message) = the_problem(digest, "token-in-clear");
    assert_eq!(id, "bad-token-digest");
    assert!(!message.contains("token-in-clear"), "{message}");
}

#[test]
fn row_60_there_is_no_ntlm_to_switch_on() {
    let basic =
        "authentication.basic = { user = \"jamf\", password-hash = \"file:tls/jamf.hash\" }";
    for scheme in ["ntlm", "negotiate", "kerberos"] {
        let scheme = format!("authentication.{scheme} = {{ user = \"jamf\" }}");
        assert!(load(&[(basic, scheme.as_str())]).is_err(), "{scheme}");
    }
}

#[test]
fn row_02_a_page_without_names_needs_a_verifier_that_knows_them() {
    let (row, id_of_page, _) = the_problem("require-names = true\n", "");
    assert_eq!((row, id_of_page), (Some(2), "page-vouches-for-no-names"));
    assert!(load(&[("require-names = true", "verifier-knows-names = true")]).is_ok());
    assert_eq!(id("profile = \"wifi\"\nrequire", "profile = \"wlan\"\nrequire"), "unknown-profile");
    for path in ["/challenge/wifi", "/event/x", "/", "certsrv", "/a?b", "/a/../b"] {
        assert_eq!(id("/certsrv/mscep_admin/", path), "bad-page-path", "{path}");
    }
}

#[test]
fn a_listener_that_nobody_may_use_is_a_mistake() {
    let (head, _) = MDM.split_once("[verify.mdm.credential.jamf]").unwrap();
    let text = format!("{EXAMPLE}\n{head}");
    let problems = Config::from_text(&text, Path::new("/etc/c.toml")).unwrap_err();
    assert_eq!(problems[0].id, "listener-without-credential");
}
