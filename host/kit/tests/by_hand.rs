//! One request by hand over a real connection, kept as a case, and played again without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::fs;
use std::path::Path;

use countersign_kit::{Asking, Fragment, Workshop, csr_request, record, replay, run, say};
use countersign_profile::Csr;
use countersign_sandbox::{Compiler, rehearsal::Random};
use countersign_stubs::{Identity, Reply, Server};

// The same guests as the sandbox's own tests use.
#[path = "../../sandbox/tests/guests/mod.rs"]
mod guests;

use guests::{APPROVE, DENY, Guest, SCRATCH};

/// Asks `https://AUTHORITY/`, and approves if there is an answer.
fn asking(authority: &str) -> Guest {
    let url = format!("https://{authority}/");
    let verify = format!(
        "(call $send (i32.const 0x680) (i32.const 3) (i32.const 0x6a0) (i32.const {length})
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {SCRATCH}))
         (if (i32.load8_u (i32.const {SCRATCH})) (then (return (i32.const {DENY}))))
         (i32.const {APPROVE})",
        length = url.len()
    );
    let wants: String = [2, 0x6a8, u32::try_from(authority.len()).unwrap(), 0x680, 3]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .map(|octet| format!("\\{octet:02x}"))
        .collect();
    Guest {
        fields: format!(
            "(data (i32.const 0x600) \"{wants}\")
             (data (i32.const 0x680) \"GET\")
             (data (i32.const 0x6a0) \"{url}\")"
        ),
        describe: "(i32.store (i32.const 0x428) (i32.const 0x600))
                   (i32.store (i32.const 0x42c) (i32.const 1))"
            .into(),
        ..Guest::verifying(verify)
    }
    .importing(
        "http",
        "send",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
    )
}

fn a_request() -> Asking {
    let csr =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../profile/tests/data/openssl-p256-sha256.csr");
    let csr = Csr::parse(&fs::read(csr).unwrap()).unwrap();
    let mut asking =
        Asking { request: csr_request(&csr, "laptops"), now: 1_800_000_000, kept: Vec::new() };
    asking.challenge("OPEN-SESAME");
    asking
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_said_is_kept_masked_and_played_again_offline() {
    let identity = Identity::new(&["IP:127.0.0.1"]);
    let server = Server::start(&identity, |_| {
        let body = serde_json::json!({ "allowed": true, "access_token": "TOP-SECRET" });
        Reply::json(200, &body).header("set-cookie", "session=TOP-SECRET")
    })
    .await;
    let authority = server.address().to_string();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("guest.wasm"), asking(&authority).build()).unwrap();
    fs::write(at("roots.pem"), identity.certificate_pem()).unwrap();
    let fragment = format!(
        "[plugin.mine.grants]\nhosts = [\"{authority}\"]\naddresses = [\"127.0.0.1/32\"]\n\
         [plugin.mine.http]\nroots = {:?}\n",
        at("roots.pem").display().to_string()
    );
    fs::write(at("plugin.toml"), fragment).unwrap();

    let workshop = Workshop::open(&at("guest.wasm"), &Compiler::InThisProcess).await.unwrap();
    let fragment = Fragment::read(&at("plugin.toml")).unwrap();
    let asked = a_request();
    let ran = run(&workshop, &fragment, &asked, Random::counting()).await.unwrap();
    assert_eq!(say(&ran.answer), "approve: DNS:host.example");
    assert_eq!((ran.exchanges.len(), server.received().len()), (1, 1));

    let case = record("Seen", &fragment.settings, &asked, &ran).unwrap();
    let text = serde_json::to_string_pretty(&case).unwrap();
    assert!(!text.contains("TOP-SECRET") && !text.contains("OPEN-SESAME"), "{text}");
    fs::write(at("seen.json"), text).unwrap();
    let (_, played, compared) = replay(&workshop, &at("seen.json")).await.unwrap();
    assert_eq!(compared, Ok(()));
    assert_eq!(played.sent.len(), 1);
    assert_eq!(server.received().len(), 1, "nothing was sent the second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_the_line_that_grants_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, asking("127.0.0.1:1").build()).unwrap();
    let workshop = Workshop::open(&path, &Compiler::InThisProcess).await.unwrap();
    let bare = Fragment { name: None, settings: Default::default(), plugin: None };
    let refused = run(&workshop, &bare, &a_request(), Random::System).await.unwrap_err();
    assert!(refused.to_string().contains("hosts = [\"HOST\"]"), "{refused}");
}
