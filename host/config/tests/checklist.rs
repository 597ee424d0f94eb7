//! Rows of the founding checklist that a configuration file alone shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Config, Problem};

const EXAMPLE: &str = include_str!("../example.toml");
const SCHEMA: &str = include_str!("../schema.json");

const CLIENT_CERTIFICATE: &str = "[authority.ad.authentication.client-certificate]
certificate = \"ca/client.pem\"
key = \"file:ca/client.key\"
";

const ACCOUNT: &str = "[authority.ad.authentication.username-token]
username = 'EXAMPLE\\countersign'
password = \"credential:ca-password\"
";

/// A listener for device managements and one of them, after the example.
fn mdm(key: &str, user: &str) -> String {
    format!(
        "{EXAMPLE}\n[verify.mdm]\nlisten = \"192.0.2.7:8443\"\ncertificate = \"mdm.pem\"\n\
         key = \"{key}\"\n\n[verify.mdm.credential.jamf]\nprofiles = [\"wifi\"]\n\
         quota-per-hour = 100\n\n[verify.mdm.credential.jamf.authentication.basic]\n\
         user = '{user}'\npassword-hash = \"{HASH}\"\n"
    )
}

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    xMoLlJmDQT+yRZRpPcOOVyCdN8chVuYE39u7rGgMbBk";

fn problems(text: &str) -> Vec<Problem> {
    Config::from_text(text, Path::new("/etc/countersign/countersign.toml"))
        .err()
        .unwrap_or_default()
}

fn rows(text: &str) -> Vec<(Option<u8>, &'static str)> {
    problems(text).iter().map(|problem| (problem.row, problem.id)).collect()
}

fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "it lacks {from:?}");
    text.replacen(from, to, 1)
}

/// Fails without the rule `listener` of `rules/mod.rs`.
#[test]
fn row_25_plain_http_is_for_loopback_and_unix_sockets_only() {
    let listening = |at: &str| changed(EXAMPLE, "listen = \"127.0.0.1:8085\"", at);
    for open in ["listen = \"0.0.0.0:8085\"", "listen = \"[::]:8085\"", "listen = \"192.0.2.1:80\""]
    {
        let found = problems(&listening(open));
        assert_eq!(found.len(), 1, "{open}: {found:?}");
        assert!(found[0].to_string().contains("reverse proxy"), "{}", found[0]);
    }
    for local in ["listen = \"[::1]:8085\"", "listen = \"unix:/run/countersign/scep.sock\""] {
        assert_eq!(rows(&listening(local)), [], "{local}");
    }
}

/// Fails without `rules/principal.rs`.
#[test]
fn row_49_one_principal_in_two_roles_is_refused() {
    let apart = mdm("file:secrets/mdm.key", "jamf");
    assert_eq!(rows(&apart), []);

    // The key that shows the CA who we are is also the listener's.
    let one_key = mdm("file:ca/client.key", "jamf");
    assert_eq!(rows(&one_key), [(Some(49), "one-principal-in-two-roles")]);

    // The account that enrols at the CA is also a device management's, however it is written.
    for user in ["countersign", "COUNTERSIGN@example.com", "EXAMPLE\\Countersign"] {
        let account = changed(&mdm("file:secrets/mdm.key", user), CLIENT_CERTIFICATE, ACCOUNT);
        assert_eq!(rows(&account), [(Some(49), "one-principal-in-two-roles")], "{user}");
    }
    let other = changed(&mdm("file:secrets/mdm.key", "jamf"), CLIENT_CERTIFICATE, ACCOUNT);
    assert_eq!(rows(&other), []);
}

/// Fails once an option for Kerberos comes without the checks of keys in a keytab.
#[test]
fn row_53_no_option_takes_a_kerberos_keytab() {
    let schema = SCHEMA.to_lowercase();
    for word in ["keytab", "kerberos", "rc4", "enctype", "gssapi"] {
        assert!(!schema.contains(word), "the config knows `{word}`");
    }
    for section in ["kerberos]\nkeytab = \"file:ra.keytab\"", "keytab]\nfile = \"ra.keytab\""] {
        let section = format!("[authority.ad.authentication.{section}\n");
        let found = problems(&changed(EXAMPLE, CLIENT_CERTIFICATE, &section));
        assert!(!found.is_empty(), "{section}");
    }
}
