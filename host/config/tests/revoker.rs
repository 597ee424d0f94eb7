//! Rows 38, 39 and 49 of the founding checklist in the file: revocations have an agent of their own,
//! whose orders are signed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Config, Problem, RevokerKind};

const EXAMPLE: &str = include_str!("../example.toml");

fn problems(changes: &[(&str, &str)]) -> Vec<Problem> {
    let mut text = EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the example lacks {from:?}");
        text = text.replace(from, to);
    }
    Config::from_text(&text, Path::new("/etc/c.toml")).err().unwrap_or_default()
}

/// Row and id of the one problem of the example with these changes.
fn the_problem(changes: &[(&str, &str)]) -> (Option<u8>, &'static str) {
    let found = problems(changes);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].remedy.is_empty());
    (found[0].row, found[0].id)
}

/// A section of the example, from its heading to the next empty line.
fn section(heading: &str) -> String {
    let start = EXAMPLE.find(&format!("{heading}\n")).unwrap();
    let end = EXAMPLE[start..].find("\n\n").unwrap();
    EXAMPLE[start..=start + end].to_owned()
}

#[test]
fn the_fuse_has_small_numbers_where_nobody_says_others() {
    let text = EXAMPLE.replace(&section("[sign.revocation-fuse]"), "");
    let config = Config::from_text(&text, Path::new("/etc/c.toml")).unwrap().config;
    let fuse = &config.sign.revocation_fuse;
    assert_eq!((fuse.per_minute, fuse.per_hour, fuse.per_day), (10, 50, 200));
    assert_eq!(config.verify.revocation.alone_per_day, 5);
    assert_eq!(config.revoker["ad"].kind, RevokerKind::AdCs);
}

#[test]
fn a_revoker_needs_a_listener_and_an_order_key() {
    let without = |heading: &str| the_problem(&[(&section(heading), "")]);
    assert_eq!(without("[verify.revoker]"), (Some(38), "revoker-without-listener"));
    assert_eq!(without("[sign.order]"), (Some(38), "revoker-without-order-key"));
    assert_eq!(without("[revoker.ad]"), (None, "listener-without-revoker"));
}

#[test]
fn each_authority_has_one_revoker_that_is_there() {
    let authorities = "authorities = [\"ad\"]";
    let none = "authorities = []";
    assert_eq!(the_problem(&[(authorities, none)]), (None, "revoker-without-authority"));
    let other = "authorities = [\"ad\", \"other\"]";
    assert_eq!(the_problem(&[(authorities, other)]), (None, "unknown-authority"));
    let heading = "[revoker.ad]\n";
    let two = format!(
        "[revoker.second]\nkind = \"lab\"\nauthorities = [\"ad\"]\nclient = \"CN=second\"\n\n{heading}"
    );
    assert_eq!(the_problem(&[(heading, &two)]), (None, "authority-with-two-revokers"));
}

#[test]
fn row_38_a_plugin_that_revokes_is_refused_without_a_revoker() {
    let grant = ("exactly-as-requested = false", "exactly-as-requested = false\nrevocation = true");
    assert!(problems(&[grant]).is_empty());
    let found =
        the_problem(&[grant, (&section("[revoker.ad]"), ""), (&section("[verify.revoker]"), "")]);
    assert_eq!(found, (Some(38), "revocation-without-revoker"));
}

#[test]
fn row_39_whoever_enrols_does_not_revoke() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = directory.path().join("client.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-subj", "/CN=enrols", "-addext", "subjectAltName=DNS:revoker.example.com"])
        .args(["-keyout", "/dev/null", "-out"])
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let at = format!("certificate = {:?}", certificate.to_str().unwrap());
    let same = ("certificate = \"ca/client.pem\"", at.as_str());
    assert_eq!(the_problem(&[same]), (Some(39), "one-principal-in-two-roles"));
    let by_common_name = ("client = \"DNS:revoker.example.com\"", "client = \"CN=enrols\"");
    assert_eq!(the_problem(&[same, by_common_name]), (Some(39), "one-principal-in-two-roles"));
    let another = ("client = \"DNS:revoker.example.com\"", "client = \"DNS:other.example.com\"");
    assert!(problems(&[same, another]).is_empty());
}

#[test]
fn row_39_the_account_that_enrols_does_not_revoke() {
    let account = section("[authority.ad.authentication.client-certificate]");
    let token = "[authority.ad.authentication.username-token]\nusername = 'EXAMPLE\\ra'\n\
        password = \"credential:ca-password\"\n";
    let by_name = |client: &str| {
        let client = format!("client = \"{client}\"");
        problems(&[(&account, token), ("client = \"DNS:revoker.example.com\"", &client)])
    };
    assert_eq!(by_name("CN=ra")[0].id, "one-principal-in-two-roles");
    assert!(by_name("CN=revoker").is_empty());
}

#[test]
fn row_49_the_listener_and_the_order_key_share_no_key() {
    let shared = ("key = \"file:tls/revoker.key\"", "key = \"file:ca/client.key\"");
    assert_eq!(the_problem(&[shared]), (Some(49), "one-principal-in-two-roles"));
    let shared = ("key = \"file:secrets/order.key\"", "key = \"file:secrets/checkpoint.key\"");
    assert_eq!(the_problem(&[shared]), (None, "one-secret-for-two-uses"));
}

#[test]
fn row_38_neither_root_nor_a_process_is_a_person() {
    let persons = "persons = [\"anna\", \"berta\"]";
    for wrong in ["\"root\"", "0", "\"countersign-verify\""] {
        let with = format!("persons = [\"anna\", {wrong}]");
        assert_eq!(the_problem(&[(persons, &with)]), (Some(38), "not-a-person"), "{wrong}");
    }
}
