//! From `[plugin.NAME]` to what the sandbox grants: hosts with the settings put in, secrets read
//! from where they are, and refusals that say what to mend.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use countersign_catalog::plugin_settings;
use countersign_config::PluginSettings;
use serde_json::{Value, json};

/// A secret file of a mode.
fn secret(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    format!("file:{}", path.display())
}

fn section(folder: &Path) -> Value {
    fs::write(folder.join("roots.pem"), "roots").unwrap();
    json!({
        "component": "webhook.wasm",
        "digest": format!("sha256:{}", "0".repeat(64)),
        "settings": { "url": "https://hooks.example.com:8443/scep" },
        "grants": {
            "log": true,
            "hosts": ["{/url}", "*.example.com"],
            "addresses": ["10.20.0.0/16"],
            "secrets": ["key"],
        },
        "http": { "roots": folder.join("roots.pem"), "timeout-ms": 1234 },
        "secrets": {
            "key": { "value": secret(folder, "key", "aHVudGVyMg==\n", 0o600), "encoding": "base64" },
        },
        "credentials": {
            "api": {
                "hosts": ["{/url}"],
                "authentication": { "bearer": { "token": secret(folder, "token", "s3cret\n", 0o600) } },
            },
        },
    })
}

fn read(section: Value) -> PluginSettings {
    serde_json::from_value(section).unwrap()
}

#[test]
fn what_is_granted_is_resolved_and_read_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = plugin_settings("hook", &read(section(folder.path()))).unwrap();
    let http = settings.http.as_ref().unwrap();
    let hosts: Vec<_> = http.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["hooks.example.com:8443", "*.example.com"]);
    assert!(http.addresses[0].contains("10.20.1.1".parse().unwrap()));
    assert_eq!(http.limits.time.as_millis(), 1234);
    assert_eq!(http.credentials["api"].hosts[0].to_string(), "hooks.example.com:8443");
    assert_eq!(settings.secrets.names().collect::<Vec<_>>(), ["key"]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn without_hosts_and_secrets_nothing_of_the_kind_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let mut section = section(folder.path());
    section["grants"] = json!({ "log": true });
    let settings = plugin_settings("hook", &read(section)).unwrap();
    assert!(settings.http.is_none() && settings.secrets.is_empty());
}

#[test]
fn a_secret_that_others_can_read_or_that_is_not_there_is_named_by_its_section() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |section: Value| {
        let error = plugin_settings("hook", &read(section)).unwrap_err().to_string();
        assert!(!error.contains("s3cret") && !error.contains("aHVudGVyMg"), "{error}");
        error
    };
    let mut open = section(folder.path());
    open["secrets"]["key"]["value"] = secret(folder.path(), "open", "aHVudGVyMg==", 0o644).into();
    assert!(refused(open).contains("[plugin.hook.secrets.key]"));
    let mut wrong = section(folder.path());
    wrong["secrets"]["key"]["value"] = secret(folder.path(), "wrong", "s3cret!", 0o600).into();
    assert!(refused(wrong).contains("base64"));
    let mut missing = section(folder.path());
    missing["credentials"]["api"]["authentication"]["bearer"]["token"] = "file:/nowhere".into();
    assert!(refused(missing).contains("[plugin.hook.credentials.api]"));
    let mut no_roots = section(folder.path());
    no_roots["http"]["roots"] = "/nowhere.pem".into();
    assert!(refused(no_roots).contains("/nowhere.pem"));
    let mut ungranted = section(folder.path());
    ungranted["secrets"] = json!({});
    assert!(refused(ungranted).contains("the secret `key`"));
}
