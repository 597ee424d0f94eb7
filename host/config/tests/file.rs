//! The configuration file as an admin meets it: what loads, what is refused, and how it is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Authentication, Config, Listen, Loaded, Mode, Problem, Severity};

const EXAMPLE: &str = include_str!("../example.toml");

fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    Config::from_text(text, Path::new("/etc/countersign/countersign.toml"))
}

/// The example with each `from` replaced, which must stand in it.
fn example_with(changes: &[(&str, &str)]) -> String {
    let mut text = EXAMPLE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the example lacks {from:?}");
        text = text.replace(from, to);
    }
    text
}

fn problems(changes: &[(&str, &str)]) -> Vec<Problem> {
    match load(&example_with(changes)) {
        Ok(_) => panic!("accepted: {changes:?}"),
        Err(problems) => problems,
    }
}

fn ids(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(|problem| problem.id).collect()
}

/// The single problem of the example with these changes.
fn the_problem(changes: &[(&str, &str)]) -> Problem {
    let mut found = problems(changes);
    assert_eq!(found.len(), 1, "{:?}", ids(&found));
    let problem = found.remove(0);
    assert!(!problem.remedy.is_empty());
    problem
}

fn the_row(changes: &[(&str, &str)]) -> (Option<u8>, &'static str) {
    let problem = the_problem(changes);
    (problem.row, problem.id)
}

/// The line of the example that begins with `start`, counted from 1.
fn line_of(text: &str, start: &str) -> usize {
    text.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

// What loads.

#[test]
fn the_annotated_example_loads_and_its_paths_start_at_its_directory() {
    let loaded = load(EXAMPLE).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let config = &loaded.config;
    assert_eq!(config.mode, Mode::Lab);
    assert_eq!(config.sockets.verify(), Path::new("/etc/countersign/run/verify.sock"));
    assert_eq!(config.serve.listen, Listen::Tcp("127.0.0.1:8085".parse().unwrap()));
    assert_eq!(config.approval.key.to_string(), "file:/etc/countersign/secrets/approval.key");
    assert_eq!(config.profile["wifi"].verifiers.initial, ["one-time-password"]);
    assert!(config.plugin["one-time-password"].grants.challenges);
    let Authentication::ClientCertificate(client) = &config.authority["ad"].authentication else {
        panic!("{:?}", config.authority["ad"].authentication);
    };
    assert_eq!(client.certificate, Path::new("/etc/countersign/ca/client.pem"));
}

#[test]
fn the_digest_is_of_the_files_bytes() {
    let one = load(EXAMPLE).unwrap().digest;
    assert_eq!(one, load(EXAMPLE).unwrap().digest);
    assert_ne!(one, load(&format!("{EXAMPLE}\n# changed")).unwrap().digest);
}

#[test]
fn what_is_not_set_has_a_safe_default() {
    let text = EXAMPLE
        .split("\n[")
        .filter(|section| {
            ["serve.limits]", "verify.sandbox]", "sign.fuse]", "plugin.one-time-password.grants]"]
                .iter()
                .all(|start| !section.starts_with(start))
        })
        .collect::<Vec<_>>()
        .join("\n[");
    let config = load(&text).unwrap().config;
    assert_eq!(config.serve.limits.max_body_bytes, 65_536);
    assert_eq!(config.sign.fuse.per_minute, 120);
    let grants = &config.plugin["one-time-password"].grants;
    assert!(!grants.log && !grants.challenges && !grants.kv && !grants.exactly_as_requested);
}

#[test]
fn settings_reach_the_plugin_as_they_stand() {
    let settings = "[plugin.one-time-password.settings]";
    let changed = format!("{settings}\nlength = 8\nhosts = [\"a\", \"b\"]\ndeep = {{ on = true }}");
    let config = load(&example_with(&[(settings, &changed)])).unwrap().config;
    let json = serde_json::Value::Object(config.plugin["one-time-password"].settings.clone());
    assert_eq!(
        json,
        serde_json::json!({ "length": 8, "hosts": ["a", "b"], "deep": { "on": true } })
    );
}

// Spelling and shape.

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_key_that_was_meant() {
    let changes = [("max-in-flight = 256", "max-in-fligth = 256")];
    let problem = the_problem(&changes);
    assert_eq!(problem.id, "unknown-key");
    assert_eq!(problem.path, "serve.limits.max-in-fligth");
    assert_eq!(problem.line, line_of(&example_with(&changes), "max-in-fligth"));
    assert_eq!(problem.column, 1);
    let shown = problem.to_string();
    assert!(shown.contains("did you mean `max-in-flight`?"), "{shown}");
    assert!(shown.contains("max-in-fligth = 256\n"), "{shown}");
    assert!(shown.contains("^^^^^^^^^^^^^\n"), "{shown}");
}

#[test]
fn an_unknown_section_is_refused_at_every_depth() {
    for (section, id) in [
        ("[profile.wifi.limits.sans]", "profile.wifi.limits.sanss"),
        ("[serve.limits]", "serve.limitss"),
        ("[approval]", "approvall"),
    ] {
        let wrong = section.replace(']', "s]").replace("approvals", "approvall");
        let found = problems(&[(section, &wrong)]);
        assert!(
            found.iter().any(|problem| problem.id == "unknown-key" && problem.path == id),
            "{section}: {:?}",
            found.iter().map(|problem| (problem.id, &problem.path)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_key_set_twice_is_refused_at_its_second_place() {
    let changes = [("pending-days = 7", "pending-days = 7\npending-days = 8")];
    let problem = the_problem(&changes);
    assert_eq!(problem.id, "duplicate-key");
    assert_eq!(problem.line, line_of(&example_with(&changes), "pending-days") + 1);
    assert!(problem.message.contains("pending-days"), "{}", problem.message);
}

#[test]
fn a_section_that_stands_twice_is_refused() {
    let twice = format!("{EXAMPLE}\n[sockets]\ndirectory = \"other\"\n");
    let found = load(&twice).unwrap_err();
    assert!(found.iter().all(|problem| problem.id == "duplicate-key"));
    assert!(found[0].message.contains("`sockets`"), "{}", found[0].message);
}

#[test]
fn a_missing_key_is_named_with_what_it_is_for() {
    let problem = the_problem(&[("challenge-key = \"file:secrets/challenge.key\"\n", "")]);
    assert_eq!((problem.id, problem.path.as_str()), ("missing-key", "verify.challenge-key"));
    assert_eq!(problem.line, line_of(EXAMPLE, "[verify]"));
    assert!(problem.remedy.contains("challenges"), "{}", problem.remedy);
}

#[test]
fn wrong_types_and_numbers_out_of_range_are_named_with_what_is_expected() {
    for (from, to, id, expected) in [
        ("max-in-flight = 256", "max-in-flight = \"256\"", "wrong-type", "a whole number"),
        ("max-in-flight = 256", "max-in-flight = 0", "out-of-range", "1 to 65536"),
        ("max-in-flight = 256", "max-in-flight = 99999999999", "out-of-range", "65536"),
        ("resubmit-unknown = 0", "resubmit-unknown = 2", "out-of-range", "0 to 1"),
        (
            "log = true\nchallenges = true",
            "log = 1\nchallenges = true",
            "wrong-type",
            "true or false",
        ),
        ("mode = \"lab\"", "mode = \"labb\"", "bad-value", "`labb`"),
        ("kind = \"wstep\"", "kind = \"est\"", "bad-value", "`est`"),
        ("kinds = [\"rsa\", ", "kinds = [\"dsa\", ", "bad-value", "`dsa`"),
        ("state = \"sign\"", "state = []", "wrong-type", "text in quotes"),
        ("initial = [\"one-time-password\"]", "initial = \"x\"", "wrong-type", "a list"),
    ] {
        let problem = the_problem(&[(from, to)]);
        assert_eq!(problem.id, id, "{to}");
        assert!(problem.message.contains(expected), "{to}: {}", problem.message);
    }
}

#[test]
fn every_problem_is_reported_in_one_run_in_the_order_of_the_file() {
    let found = problems(&[
        ("max-in-flight = 256", "max-in-flite = 256"),
        ("listen = \"127.0.0.1:8085\"", "listen = \"everywhere\""),
        ("interval-seconds = 60", "interval-seconds = \"often\""),
        ("key = \"file:keys/ea.key\"\n", ""),
        ("url = \"https://", "url = \"ftp://"),
        ("pending-days = 7", "pending-days = 7\npending-days = 7"),
    ]);
    assert_eq!(
        ids(&found),
        [
            "bad-listen-address",
            "unknown-key",
            "wrong-type",
            "missing-key",
            "plaintext-authority",
            "duplicate-key"
        ]
    );
    assert!(found.windows(2).all(|pair| pair[0].line <= pair[1].line));
}

#[test]
fn every_bad_value_in_a_profiles_limits_is_reported_too() {
    let found = problems(&[
        ("ekus = [\"clientAuth\"]", "ekus = [\"clientAuth\", \"clientauth\", \"1.x\"]"),
        ("max-validity = \"398d\"", "max-validity = \"398\""),
        ("allowed = [\"dns\"]", "allowed = [\"dns\", \"phone\"]"),
    ]);
    assert_eq!(ids(&found), ["bad-value"; 4]);
    assert_eq!(found[0].path, "profile.wifi.limits.ekus[1]");
    assert!(found[2].message.contains("398d"), "{}", found[2].message);
}

#[test]
fn every_problem_of_meaning_is_reported_in_one_run_too() {
    let found = problems(&[
        ("authority = \"ad\"", "authority = \"nt\""),
        ("initial = [\"one-time-password\"]", "initial = [\"one-time-pasword\"]"),
        ("listen = \"127.0.0.1:8085\"", "listen = \"0.0.0.0:8085\""),
    ]);
    assert_eq!(ids(&found), ["plaintext-listener", "unknown-authority", "unknown-verifier"]);
}

#[test]
fn broken_toml_is_shown_at_its_place() {
    let problem = load("mode = \"lab\"\n[sockets\n").unwrap_err().remove(0);
    assert_eq!((problem.id, problem.line), ("syntax", 2));
    assert!(load("\u{0}\u{1}").is_err());
    assert!(load("").unwrap_err().iter().any(|problem| problem.path == "mode"));
}

#[test]
fn a_secret_in_place_of_its_reference_is_refused_and_shown_nowhere() {
    let problem = the_problem(&[("\"file:secrets/approval.key\"", "\"hunter2hunter2\"")]);
    assert_eq!(problem.id, "secret-not-a-reference");
    assert!(!format!("{problem}{problem:?}").contains("hunter2"), "{problem}");
    let token = "[authority.ad.authentication.username-token]\nusername = 'E\\c'\n\
                 password = \"hunter2\"\n";
    let client = "[authority.ad.authentication.client-certificate]\n\
                  certificate = \"ca/client.pem\"\nkey = \"file:ca/client.key\"\n";
    let problem = the_problem(&[(client, token)]);
    assert!(!format!("{problem}{problem:?}").contains("hunter2"), "{problem}");
}

#[test]
fn an_authority_takes_exactly_one_way_to_say_who_we_are() {
    let client = "[authority.ad.authentication.client-certificate]\n\
                  certificate = \"ca/client.pem\"\nkey = \"file:ca/client.key\"\n";
    let token = "[authority.ad.authentication.username-token]\nusername = 'EXAMPLE\\c'\n\
                 password = \"credential:ca-password\"\n";
    let loaded = load(&example_with(&[(client, token)])).unwrap();
    assert!(matches!(
        loaded.config.authority["ad"].authentication,
        Authentication::UsernameToken(_)
    ));
    let both = format!("{client}{token}");
    assert_eq!(the_problem(&[(client, &both)]).id, "not-exactly-one");
    let none = "[authority.ad.authentication]\n";
    assert_eq!(the_problem(&[(client, none)]).id, "not-exactly-one");
}

#[test]
fn a_date_in_a_plugins_settings_is_refused_because_json_has_none() {
    let settings = "[plugin.one-time-password.settings]";
    let dated = format!("{settings}\nsince = 2026-01-01");
    assert_eq!(the_problem(&[(settings, &dated)]).id, "date-in-settings");
}

// Meaning: names.

#[test]
fn every_name_that_is_used_must_be_there() {
    for (from, to, id) in [
        ("authority = \"ad\"", "authority = \"nt\"", "unknown-authority"),
        ("initial = [\"one-time-password\"]", "initial = [\"otp\"]", "unknown-verifier"),
        ("renewal = []", "renewal = [\"otp\"]", "unknown-verifier"),
        ("mscep.dll\" = \"wifi\"", "mscep.dll\" = \"lan\"", "unknown-profile"),
        ("template = \"CountersignDevice\"", "template = \" \"", "bad-template"),
    ] {
        assert_eq!(the_problem(&[(from, to)]).id, id, "{to}");
    }
    let twice = "initial = [\"one-time-password\", \"one-time-password\"]";
    assert_eq!(the_problem(&[("initial = [\"one-time-password\"]", twice)]).id, "verifier-twice");
}

#[test]
fn names_that_would_not_fit_into_a_url_are_refused() {
    for name in ["\"w i f i\"", "\"\"", "\"..\"", "\"a/b\"", "-x", "\"ä\""] {
        let found = problems(&[("[profile.wifi", &format!("[profile.{name}"))]);
        assert!(ids(&found).contains(&"bad-name"), "{name}: {:?}", ids(&found));
    }
}

#[test]
fn aliases_are_plain_url_paths() {
    for alias in ["certsrv", "/a?b", "/a/../b", "/a b", "/%2e"] {
        let changed = format!("\"{alias}\" = \"wifi\"");
        let found = the_problem(&[("\"/certsrv/mscep/mscep.dll\" = \"wifi\"", &changed)]);
        assert_eq!(found.id, "bad-alias", "{alias}");
    }
}

#[test]
fn a_component_is_pinned_by_a_whole_digest() {
    let zeros = "0".repeat(64);
    for digest in ["sha256:00", "sha512:00", zeros.as_str(), "latest"] {
        let changed = format!("digest = \"{digest}\"");
        let found = the_problem(&[(&format!("digest = \"sha256:{zeros}\""), &changed)]);
        assert_eq!(found.id, "bad-digest", "{digest}");
    }
    let missing = the_problem(&[(&format!("digest = \"sha256:{zeros}\"\n"), "")]);
    assert_eq!(missing.path, "plugin.one-time-password.digest");
}

#[test]
fn processes_and_uses_share_neither_directories_nor_secrets() {
    assert_eq!(
        the_problem(&[("state = \"verify\"", "state = \"serve\"")]).id,
        "shared-state-directory"
    );
    assert_eq!(
        the_problem(&[("file:secrets/sign-column.key", "file:secrets/approval.key")]).id,
        "one-secret-for-two-uses"
    );
}

// Meaning: the founding checklist.

#[test]
fn row_01_a_profile_without_a_verifier_is_refused() {
    let expected = (Some(1), "profile-without-verifier");
    assert_eq!(the_row(&[("initial = [\"one-time-password\"]", "initial = []")]), expected);
    assert_eq!(the_row(&[("initial = [\"one-time-password\"]\n", "")]), expected);
    let section = "[profile.wifi.verifiers]\ninitial = [\"one-time-password\"]\nrenewal = []\n";
    assert_eq!(the_row(&[(section, "")]), expected);
}

/// What must change in the example for production, the keys apart.
const PRODUCTION: [(&str, &str); 4] = [
    ("mode = \"lab\"", "mode = \"production\""),
    ("user = \"countersign-serve\"", "user = 9001"),
    ("user = \"countersign-verify\"", "user = 9002"),
    ("user = \"countersign-sign\"", "user = 9003"),
];

fn in_production(more: &[(&str, &str)]) -> Vec<(Option<u8>, &'static str)> {
    let mut found: Vec<_> = problems(&[&PRODUCTION, more].concat())
        .iter()
        .map(|problem| (problem.row, problem.id))
        .collect();
    found.dedup();
    found
}

const SOFTWARE_KEY: (Option<u8>, &str) = (Some(5), "software-key-in-production");

#[test]
fn row_05_keys_in_files_are_refused_in_production() {
    let found = problems(&PRODUCTION);
    assert!(found.iter().all(|problem| problem.row == Some(5)), "{:?}", ids(&found));
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["serve.keys.cep.key", "serve.keys.rep.key", "sign.keys.ea.key"]);
}

#[test]
fn row_05_the_lab_is_marked() {
    let findings = load(EXAMPLE).unwrap().findings;
    let lab = findings.iter().find(|finding| finding.id == "lab-mode").unwrap();
    assert_eq!((lab.row, lab.severity), (Some(5), Severity::Medium));
}

#[test]
fn row_35_a_ca_on_this_host_is_refused_outside_the_lab() {
    for host in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "ca.localhost"] {
        let url = format!("https://{host}/");
        let change = ("https://ca.example.com/", url.as_str());
        assert_eq!(
            in_production(&[change]),
            [SOFTWARE_KEY, (Some(35), "authority-on-this-host")],
            "{host}"
        );
        assert!(load(&example_with(&[change])).is_ok(), "{host} in the lab");
    }
}

#[test]
fn row_42_one_key_in_two_roles_is_refused() {
    assert_eq!(
        the_row(&[("file:keys/rep.key", "file:keys/cep.key")]),
        (Some(42), "one-key-in-two-roles")
    );
    assert_eq!(
        the_row(&[("file:keys/ea.key", "file:keys/rep.key")]),
        (Some(42), "one-key-in-two-roles")
    );
}

#[test]
fn row_46_purposes_that_make_a_device_more_than_a_device_are_refused() {
    for purpose in ["1.3.6.1.4.1.311.20.2.1", "2.5.29.37.0", "1.3.6.1.4.1.311.20.2.2"] {
        let ekus = format!("ekus = [\"clientAuth\", \"{purpose}\"]");
        let problem = the_problem(&[("ekus = [\"clientAuth\"]", &ekus)]);
        assert_eq!((problem.row, problem.id), (Some(46), "forbidden-purpose"), "{purpose}");
        assert_eq!(problem.path, "profile.wifi.limits.ekus[1]");
        let text = example_with(&[("ekus = [\"clientAuth\"]", &ekus)]);
        assert_eq!(problem.line, line_of(&text, "ekus = "), "{purpose}");
        assert_eq!(problem.column, "ekus = [\"clientAuth\", ".len() + 1);
    }
}

#[test]
fn row_50_no_process_runs_as_root() {
    for root in ["user = 0", "user = \"root\""] {
        assert_eq!(
            in_production(&[("user = 9003", root)]),
            [SOFTWARE_KEY, (Some(50), "runs-as-root"), SOFTWARE_KEY]
        );
    }
}

#[test]
fn row_58_each_process_has_a_user_of_its_own_outside_the_lab() {
    assert_eq!(
        in_production(&[("user = 9003", "user = 9001")]),
        [SOFTWARE_KEY, (Some(58), "shared-user"), SOFTWARE_KEY]
    );
    assert_eq!(
        in_production(&[("user = 9003\n", "")]),
        [SOFTWARE_KEY, (Some(58), "missing-user"), SOFTWARE_KEY]
    );
    let one_user = example_with(&[
        ("user = \"countersign-serve\"\n", ""),
        ("user = \"countersign-verify\"\n", ""),
        ("user = \"countersign-sign\"\n", ""),
    ]);
    assert!(load(&one_user).is_ok());
}

#[test]
fn row_61_the_switches_of_ndes_are_no_options_wherever_they_stand() {
    for (key, id) in [
        ("EnforcePassword", "enforce-password-is-no-option"),
        ("enforce-password", "enforce-password-is-no-option"),
        ("ENFORCE_PASSWORD", "enforce-password-is-no-option"),
        ("UseSinglePassword", "use-single-password-is-no-option"),
        ("use_single_password", "use-single-password-is-no-option"),
    ] {
        for section in [
            "[serve.limits]",
            "[plugin.one-time-password.settings]",
            "[profile.wifi.limits.sans]",
            "[profile.wifi]",
        ] {
            for value in ["0", "1", "true", "\"no\""] {
                let changed = format!("{section}\n{key} = {value}");
                let problem = the_problem(&[(section, &changed)]);
                assert_eq!((problem.row, problem.id), (Some(61), id), "{changed}");
                assert!(problem.message.contains("there is no such option"));
            }
        }
        let inline = format!("[plugin.one-time-password.settings]\nold = [{{ {key} = 0 }}]");
        let found = the_row(&[("[plugin.one-time-password.settings]", &inline)]);
        assert_eq!(found, (Some(61), id));
    }
}

#[test]
fn row_64_a_listener_without_tls_off_loopback_is_refused_in_the_lab_too() {
    for listen in ["0.0.0.0:8085", "[::]:8085", "192.0.2.7:80", "[::ffff:192.0.2.7]:80"] {
        let changed = format!("listen = \"{listen}\"");
        assert_eq!(
            the_row(&[("listen = \"127.0.0.1:8085\"", &changed)]),
            (Some(64), "plaintext-listener"),
            "{listen}"
        );
    }
    for listen in ["127.0.0.1:1", "127.3.4.5:1", "[::1]:1", "unix:scep.sock"] {
        let changed = format!("listen = \"{listen}\"");
        assert!(load(&example_with(&[("listen = \"127.0.0.1:8085\"", &changed)])).is_ok());
    }
}

#[test]
fn row_64_with_tls_the_listener_may_face_the_network_and_is_a_finding() {
    let tls = "[serve.tls]\ncertificate = \"tls.pem\"\nkey = \"file:tls.key\"\n[serve.aliases]";
    let text = example_with(&[
        ("listen = \"127.0.0.1:8085\"", "listen = \"0.0.0.0:443\""),
        ("[serve.aliases]", tls),
    ]);
    let findings = load(&text).unwrap().findings;
    let found = findings.iter().find(|finding| finding.id == "public-listener").unwrap();
    assert_eq!((found.row, found.severity), (Some(3), Severity::High));
}

#[test]
fn row_64_metrics_are_for_this_host_only() {
    assert_eq!(
        the_row(&[("metrics = \"127.0.0.1:9185\"", "metrics = \"0.0.0.0:9185\"")]),
        (Some(64), "metrics-off-loopback")
    );
}

#[test]
fn row_65_a_link_to_the_ca_without_tls_is_refused() {
    for scheme in ["http://", "HTTP://", "ldap://"] {
        assert_eq!(
            the_row(&[("url = \"https://ca", &format!("url = \"{scheme}ca"))]),
            (Some(65), "plaintext-authority"),
            "{scheme}"
        );
    }
    let credential = the_problem(&[("https://ca.example.com", "https://ra:pw@ca.example.com")]);
    assert_eq!(credential.id, "credential-in-url");
}

#[test]
fn who_asked_is_taken_from_a_header_only_behind_a_proxy_on_this_host() {
    let header = "# source-header = \"x-forwarded-for\"";
    let named = "source-header = \"X-Forwarded-For\"";
    let loaded = load(&example_with(&[(header, named)])).unwrap();
    assert_eq!(loaded.config.serve.source_header.unwrap().as_str(), "x-forwarded-for");

    // Fails when the rule `source_header` is gone: anyone could say to be anybody.
    let tls = "[serve.tls]\ncertificate = \"tls.pem\"\nkey = \"file:tls.key\"\n[serve.aliases]";
    let problem = the_problem(&[
        (header, named),
        ("listen = \"127.0.0.1:8085\"", "listen = \"0.0.0.0:8085\""),
        ("[serve.aliases]", tls),
    ]);
    assert_eq!(problem.id, "source-header-from-anyone");

    for bad in ["", "forwarded", "x forwarded for", "x-forwarded-for:"] {
        let named = format!("source-header = {bad:?}");
        assert_eq!(the_problem(&[(header, &named)]).id, "bad-source-header", "{bad}");
    }
}

#[test]
fn budgets_and_the_time_of_zone_a_stay_in_bounds_and_are_never_off() {
    for (from, to) in [
        ("zone-a-milliseconds = 250", "zone-a-milliseconds = 0"),
        ("zone-a-milliseconds = 250", "zone-a-milliseconds = 60000"),
        ("failures-per-source = 30", "failures-per-source = 0"),
        ("failures-per-key = 600", "failures-per-key = 0"),
        ("unwraps-per-key = 60000", "unwraps-per-key = 0"),
        ("messages-per-source = 1200", "messages-per-source = 0"),
        ("sources = 16384", "sources = 0"),
    ] {
        assert!(the_problem(&[(from, to)]).path.starts_with("serve."), "{to}");
    }
}

#[test]
fn each_legacy_switch_is_off_and_a_finding_while_it_is_on() {
    const AT: &str = "[profile.wifi.denials]";
    let switches = [
        ("single-des", "accepts-single-des"),
        ("triple-des", "accepts-triple-des"),
        ("sha1-signatures", "accepts-sha1"),
        ("sha1-renewals", "accepts-sha1-renewals"),
        ("triple-des-replies", "answers-in-triple-des"),
    ];
    let plain = load(EXAMPLE).unwrap();
    let accept = plain.config.profile["wifi"].accept;
    assert_eq!(accept, countersign_config::AcceptSettings::default());
    let has = |loaded: &Loaded, id: &str| loaded.findings.iter().any(|finding| finding.id == id);
    assert!(switches.iter().all(|(_, id)| !has(&plain, id)));

    let all: String = switches.iter().map(|(switch, _)| format!("{switch} = true\n")).collect();
    let on = load(&example_with(&[(AT, &format!("[profile.wifi.accept]\n{all}\n{AT}"))])).unwrap();
    // The `legacy_findings` of the rules.
    assert!(switches.iter().all(|(_, id)| has(&on, id)), "{:?}", on.findings);

    // One that does nothing is a misunderstanding; MD5 and unknown ones are no options.
    for (lines, id) in [
        ("sha1-renewals = true", "switch-without-effect"),
        ("triple-des-replies = true", "switch-without-effect"),
        ("md5 = true", "unknown-key"),
    ] {
        let section = format!("[profile.wifi.accept]\n{lines}\n\n{AT}");
        assert_eq!(the_problem(&[(AT, &section)]).id, id, "{lines}");
    }
}

#[test]
fn a_profile_that_renews_needs_the_place_of_the_revocation_list() {
    let renews = ("renewal = []", "renewal = [\"one-time-password\"]");
    assert!(load(&example_with(&[renews])).is_ok());
    // The rule `profile_renewals`: nobody could tell whether a certificate was revoked.
    let crl = ("crl-url = \"http://pki.example.com/issuing.crl\"\n", "");
    assert_eq!(the_problem(&[renews, crl]).id, "renewal-without-crl");
}
