//! What a plug-in is granted: what is refused, what is worth mending, and how it is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{
    Config, CredentialKind, GrantedHost, GrantedName, Loaded, Oauth2Client, Problem, SecretEncoding,
};

const EXAMPLE: &str = include_str!("../example.toml");

fn load(from: &str, to: &str) -> Result<Loaded, Vec<Problem>> {
    assert!(EXAMPLE.contains(from), "the example lacks {from:?}");
    let text = EXAMPLE.replacen(from, to, 1);
    Config::from_text(&text, Path::new("/etc/countersign/countersign.toml"))
}

fn ids(from: &str, to: &str) -> Vec<&'static str> {
    match load(from, to) {
        Ok(_) => panic!("accepted: {to}"),
        Err(problems) => problems.iter().map(|problem| problem.id).collect(),
    }
}

const HOSTS: &str = "hosts = [\"{/url}\"]\n# Private";
const BEARER: &str = "[plugin.webhook.credentials.webhook-credential.authentication.bearer]\n\
                      token = \"file:secrets/webhook.token\"";

#[test]
fn the_example_grants_what_it_says() {
    let loaded = load("log = true", "log = true").unwrap();
    let plugin = &loaded.config.plugin["webhook"];
    let host = plugin.grants.hosts[0].resolve(&plugin.settings);
    let name = GrantedName::Exact("hooks.example.com".into());
    assert_eq!(host, Ok(GrantedHost { name, port: 443 }));
    assert_eq!(plugin.grants.addresses[0].to_string(), "10.20.1.0/24");
    let http = plugin.http.as_ref().unwrap();
    assert_eq!(http.roots, Path::new("/etc/countersign/ca/hooks-roots.pem"));
    let key = &plugin.secrets["webhook-key"];
    assert_eq!(key.value.to_string(), "file:/etc/countersign/secrets/webhook.key");
    assert_eq!(key.encoding, SecretEncoding::Base64);
    let CredentialKind::Bearer(bearer) = &plugin.credentials["webhook-credential"].authentication
    else {
        panic!("a bearer token")
    };
    assert_eq!(bearer.token.to_string(), "file:/etc/countersign/secrets/webhook.token");
}

#[test]
fn every_way_to_log_in_is_read_and_there_is_exactly_one() {
    let section = "[plugin.webhook.credentials.webhook-credential.authentication";
    let oauth = format!(
        "{section}.oauth2]\ntoken-url = \"https://login.example.com/token\"\nclient-id = \"c\"\n"
    );
    for kind in [
        format!("{section}.basic]\nusername = \"ra\"\npassword = \"credential:p\""),
        format!("{section}.header]\nname = \"X-Api-Key\"\nvalue = \"file:k\""),
        format!("{oauth}client.secret = \"file:s\""),
        format!("{oauth}client.assertion = {{ key = \"file:k\", certificate = \"c.pem\" }}"),
    ] {
        let loaded = load(BEARER, &kind).unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        let credential = &loaded.config.plugin["webhook"].credentials["webhook-credential"];
        if let CredentialKind::Oauth2(oauth2) = &credential.authentication
            && let Oauth2Client::Assertion(assertion) = &oauth2.client
        {
            assert_eq!(assertion.key.to_string(), "file:/etc/countersign/k");
            let certificate = assertion.certificate.as_deref();
            assert_eq!(certificate, Some(Path::new("/etc/countersign/c.pem")));
        }
    }
    let two = format!("{BEARER}\n{section}.header]\nname = \"x\"\nvalue = \"file:k\"");
    assert_eq!(ids(BEARER, &two), ["not-exactly-one"]);
    assert_eq!(ids(BEARER, &oauth), ["missing-key"]);
    let plain = format!("{oauth}client.secret = \"file:s\"").replace("https:", "http:");
    assert_eq!(ids(BEARER, &plain).len(), 1, "a token end point is https");
}

#[test]
fn a_secret_in_the_file_itself_is_refused_and_not_repeated() {
    let problems = load("\"file:secrets/webhook.token\"", "\"hunter2\"").unwrap_err();
    assert_eq!(problems[0].id, "secret-not-a-reference");
    assert!(!problems[0].to_string().contains("hunter2"));
    let problems = load("\"file:secrets/webhook.key\"", "\"hunter2\"").unwrap_err();
    assert!(!problems[0].to_string().contains("hunter2"));
}

#[test]
fn a_host_that_is_none_is_named() {
    for host in ["*", "*.com", "https://api.example.com", "{/nothing}", "{url}", "a b"] {
        let found = ids(HOSTS, &format!("hosts = [{host:?}]\n# Private"));
        assert!(
            found.iter().all(|id| ["bad-host", "host-not-in-settings"].contains(id)),
            "{host}: {found:?}"
        );
    }
    assert_eq!(ids("\"10.20.1.0/24\"", "\"10.20.1.7/24\""), ["bad-address-range"]);
}

#[test]
fn a_grant_that_leads_nowhere_is_refused() {
    let http = "[plugin.webhook.http]\n# The only roots that are trusted; for public services \
                /etc/ssl/certs/ca-certificates.crt.\nroots = \"ca/hooks-roots.pem\"\n\
                timeout-ms = 5000";
    assert_eq!(ids(http, ""), ["http-without-roots"]);
    let found = ids(HOSTS, "# Private");
    assert_eq!(found, ["http-without-hosts"; 3], "http, addresses and credentials");
    assert_eq!(ids("secrets = [\"webhook-key\"]", ""), ["secret-not-granted"]);
    let unknown = "secrets = [\"webhook-key\", \"other\"]";
    assert_eq!(ids("secrets = [\"webhook-key\"]", unknown), ["unknown-secret"]);
}

#[test]
fn a_plug_in_that_reaches_this_host_is_a_finding() {
    let found = |range: &str| {
        let loaded = load("\"10.20.1.0/24\"", &format!("{range:?}")).unwrap();
        loaded.findings.iter().any(|finding| finding.id == "plugin-reaches-this-host")
    };
    assert!(!found("10.20.1.0/24") && !found("fd00:1::/32"));
    for range in ["127.0.0.1/32", "0.0.0.0/0", "169.254.169.254", "::1", "::/0", "fe80::/10"] {
        assert!(found(range), "{range}");
    }
}

#[test]
fn row_38_a_feed_needs_the_grant_of_what_it_leads_to() {
    assert_eq!(
        ids("[plugin.webhook.settings]", "schedule-seconds = 60\n[plugin.webhook.settings]"),
        ["events-without-revocation"]
    );
    assert_eq!(
        ids("[plugin.webhook.settings]", "schedule-seconds = 1\n[plugin.webhook.settings]"),
        ["out-of-range"]
    );
}
