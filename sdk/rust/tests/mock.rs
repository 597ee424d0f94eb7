//! The mock keeps to the contract where a verifier could tell the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may state what they know")]

use std::fs;
use std::time::Duration;

use countersign_sdk::{
    Approval, Context, DenialCode, Description, Host, HttpError, HttpRequest, HttpResponse,
    KvError, Level, Name, NoSettings, NotApproved, Power, RedeemError, Request, RequestKind,
    SecretError, Verdict, Verifier, deny, mock, pending,
};

/// Does what the path suffix says.
struct Script;

impl Verifier for Script {
    type Settings = NoSettings;

    fn describe() -> Description {
        Description::new("script", "1.0.0", "tests")
            .wants(Power::Kv, "to count")
            .wants(Power::Challenges, "to redeem")
            .wants(Power::Host("api.example".into()), "to ask")
            .wants(Power::Secret("key".into()), "to compare")
    }

    fn verify(_: &NoSettings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let kv = host.kv();
        match request.path_suffix.as_str() {
            "write-and-approve" => kv.set("key", b"value", Some(Duration::from_secs(10)))?,
            "write-and-deny" => {
                kv.set("key", b"value", None)?;
                assert_eq!(kv.get("key")?.as_deref(), Some(&b"value"[..]), "reads its own writes");
                return Err(deny(DenialCode::DeviceUnknown, "scripted"));
            }
            "compare" => {
                assert!(!kv.compare_and_set("key", Some(b"other"), b"x", None)?);
                assert!(kv.compare_and_set("key", Some(b"value"), b"new", None)?);
            }
            "delete" => kv.delete("key")?,
            "bad-key" => kv.set("", b"value", None)?,
            "redeem" | "redeem-and-wait" => {
                let challenge = request.challenge.as_ref().unwrap();
                let names = host.challenges().redeem(challenge)?.names;
                if request.path_suffix == "redeem-and-wait" {
                    return Err(pending(Duration::from_secs(60), "an admin decides"));
                }
                return Ok(Approval::of_names(names));
            }
            "ask" => {
                let request = HttpRequest::get("https://api.example/").auth("key");
                assert_eq!(host.http().send(request)?.status, 200);
            }
            "ask-in-clear" => {
                host.http().send(HttpRequest::get("http://api.example/"))?;
            }
            "match" => assert!(host.secrets().matches("key", b"s3cret")?),
            "mac" => assert!(host.secrets().verify_mac("key", b"message", b"tag")?),
            "foreign-secret" => {
                host.secrets().matches("foreign", b"s3cret")?;
            }
            other => panic!("no script `{other}`"),
        }
        host.log().info("done");
        Ok(Approval::of_names([]))
    }
}

fn request(suffix: &str) -> Request {
    mock::request("laptops").path_suffix(suffix).build()
}

fn run(host: &mock::Host, suffix: &str) -> Verdict {
    host.verify::<Script>(&NoSettings {}, &request(suffix))
}

#[test]
fn writes_come_true_with_an_approval_only() {
    let host = mock::Host::new();
    assert!(run(&host, "write-and-deny").is_err());
    assert_eq!(host.kv("key"), None);

    let asked = request("write-and-approve");
    assert!(host.verify_beside_a_denial::<Script>(&NoSettings {}, &asked).is_ok());
    assert_eq!(host.kv("key"), None, "another verifier denied");

    assert!(run(&host, "write-and-approve").is_ok());
    assert_eq!(host.kv("key").unwrap(), b"value");
    host.advance(Duration::from_secs(10));
    assert_eq!(host.kv("key"), None, "its time is over");
}

#[test]
fn values_are_compared_and_deleted() {
    let host = mock::Host::new();
    host.set_kv("key", "value");
    assert!(run(&host, "compare").is_ok());
    assert_eq!(host.kv("key").unwrap(), b"new");
    assert!(run(&host, "delete").is_ok());
    assert_eq!(host.kv("key"), None);
}

#[test]
fn what_the_store_refuses_is_unavailable_to_the_device() {
    let host = mock::Host::new();
    assert!(matches!(run(&host, "bad-key"), Err(NotApproved::Unavailable(_))));
}

#[test]
fn a_pending_request_holds_its_challenge() {
    let host = mock::Host::new();
    host.keep(mock::challenge("OPEN").name("CN=a"));
    let ask = |suffix: &str, name: &str| {
        let request = mock::request("laptops").common_name(name).challenge("OPEN");
        host.verify::<Script>(&NoSettings {}, &request.path_suffix(suffix).build())
    };
    assert!(matches!(ask("redeem-and-wait", "a"), Err(NotApproved::Pending(_))));
    assert!(matches!(
        ask("redeem", "b"),
        Err(NotApproved::Deny(denial)) if denial.code == DenialCode::ChallengeUsed
    ));
    assert!(ask("redeem", "a").is_ok());
}

#[test]
fn a_challenge_ends_for_the_request_that_holds_it_too() {
    let host = mock::Host::new();
    let end = host.now() + Duration::from_secs(60);
    host.keep(mock::challenge("OPEN").name("CN=a").expires(end));
    let request = mock::request("laptops").challenge("OPEN").path_suffix("redeem").build();
    assert!(host.verify::<Script>(&NoSettings {}, &request).is_ok());
    host.advance(Duration::from_secs(60));
    assert!(host.verify::<Script>(&NoSettings {}, &request).is_err());
}

#[test]
fn requests_over_http_are_answered_and_kept() {
    let host = mock::Host::new();
    assert!(matches!(run(&host, "ask"), Err(NotApproved::Unavailable(_))), "no answer was set");
    host.answer_http(|_| Ok(HttpResponse::new(200, "")));
    assert!(run(&host, "ask").is_ok());
    assert!(run(&host, "ask-in-clear").is_err(), "only https");
    assert_eq!(host.http_requests().len(), 3);
}

#[test]
fn secrets_are_used_by_name() {
    let host = mock::Host::new();
    assert!(run(&host, "match").is_err(), "no value was set");
    host.set_secret("key", "s3cret");
    host.set_mac("key", "message", "tag");
    assert!(run(&host, "match").is_ok());
    assert!(run(&host, "mac").is_ok());
    assert!(run(&host, "foreign-secret").is_err(), "not asked for in describe()");
}

#[test]
fn lines_of_the_log_are_kept() {
    let host = mock::Host::new();
    assert!(run(&host, "delete").is_ok());
    let [line] = host.log().try_into().unwrap();
    assert_eq!((line.level, line.message.as_str()), (Level::Info, "done"));
}

/// Asks for no power and tries all.
struct Powerless;

impl Verifier for Powerless {
    type Settings = NoSettings;

    fn describe() -> Description {
        Description::new("powerless", "1.0.0", "tests")
    }

    fn verify(_: &NoSettings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let challenge = request.challenge.as_ref().unwrap();
        let redeemed = host.challenges().redeem(challenge);
        assert!(matches!(redeemed, Err(RedeemError::Denied(_))));
        assert!(matches!(host.kv().get("key"), Err(KvError::Denied(_))));
        assert!(matches!(host.secrets().matches("key", b""), Err(SecretError::Denied(_))));
        let sent = host.http().send(HttpRequest::get("https://api.example/"));
        assert!(matches!(sent, Err(HttpError::Denied(_))));
        Ok(Approval::of_names([]))
    }
}

#[test]
fn a_power_that_describe_does_not_ask_for_is_denied() {
    let host = mock::Host::new();
    host.keep(mock::challenge("OPEN"));
    let request = mock::request("laptops").challenge("OPEN").build();
    assert!(host.verify::<Powerless>(&NoSettings {}, &request).is_ok());
}

#[test]
fn renewals_and_names_can_be_built() {
    let certificate = mock::certificate("2a").name(Name::common_name("device-17")).build();
    let request = mock::request("laptops")
        .name(Name::common_name("device-17"))
        .name(Name::Dns("device-17.example".into()))
        .renewal_of(certificate, true)
        .build();
    assert_eq!(request.kind, RequestKind::Renewal);
    assert!(request.current_certificate.as_ref().unwrap().host_validated);
    let names: Vec<_> = request.names().map(|name| name.to_string()).collect();
    assert_eq!(names, ["CN=device-17", "DNS:device-17.example"]);
}

#[test]
fn requests_for_different_things_differ_in_their_digest() {
    let digest = |name: &str| mock::request("p").common_name(name).build().csr_sha256;
    assert_eq!(digest("a"), digest("a"));
    assert_ne!(digest("a"), digest("b"));
    assert_eq!(digest("a").len(), 32);
}

#[test]
fn cases_that_fail_are_named_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let empty = mock::run_cases::<Script>(folder.path()).unwrap_err();
    assert!(empty.to_string().contains("holds no case"), "{empty}");

    for (name, text) in [
        (
            "good",
            r#"{"summary":"", "host":{"kv":{"key":"value"}},
                "request":{"profile":"p","path-suffix":"compare"},
                "expect":{"verdict":"approve","vouched":[]}}"#,
        ),
        (
            "other-verdict",
            r#"{"summary":"", "request":{"profile":"p","path-suffix":"delete"},
                "expect":{"verdict":"deny","code":"device-unknown"}}"#,
        ),
        (
            "other-code",
            r#"{"summary":"", "request":{"profile":"p","path-suffix":"write-and-deny"},
                "expect":{"verdict":"deny","code":"name-mismatch"}}"#,
        ),
        (
            "other-names",
            r#"{"summary":"", "request":{"profile":"p","path-suffix":"delete"},
                "expect":{"verdict":"approve","vouched":["CN=a"]}}"#,
        ),
        (
            "other-detail",
            r#"{"summary":"", "request":{"profile":"p","path-suffix":"write-and-deny"},
                "expect":{"verdict":"deny","code":"device-unknown","detail":"nonsense"}}"#,
        ),
        ("misspelt", r#"{"summary":"", "expects":{"verdict":"pending"}}"#),
        (
            "wrong-settings",
            r#"{"summary":"", "settings":{"surplus":1}, "request":{"profile":"p"},
                "expect":{"verdict":"pending"}}"#,
        ),
        ("no-request", r#"{"summary":"", "expect":{"verdict":"pending"}}"#),
    ] {
        fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    let failures = mock::run_cases::<Script>(folder.path()).unwrap_err().to_string();
    let line = |name: &str| {
        failures.lines().find(|line| line.contains(&format!("{name}.json"))).map(str::to_owned)
    };
    assert_eq!(line("good"), None, "{failures}");
    for (name, expected) in [
        ("other-verdict", "expected deny device-unknown, found Ok"),
        ("other-code", r#"code: expected "name-mismatch", found "device-unknown""#),
        ("other-names", r#"vouched: expected Some(["CN=a"]), found Some([])"#),
        ("other-detail", "expected `nonsense` in the detail, found `scripted`"),
        ("misspelt", "is no case: /expects unknown field `expects`"),
        ("wrong-settings", "settings /surplus: unknown field `surplus`"),
        ("no-request", "no request"),
    ] {
        let line = line(name).unwrap();
        assert!(line.contains(expected), "{line}");
    }
}
