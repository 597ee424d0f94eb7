//! Where a PIN is while a token is in use, and where it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod softhsm;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use countersign_keys::pkcs11::{PinSource, Pkcs11Token};
use countersign_keys::{KeyPlace, Mode, TokenPlace, Tokens, TokensError};
use softhsm::{PIN, SoftHsm, alone, soon, uri};

fn place(hsm: &SoftHsm, label: &str, pin: PinSource) -> TokenPlace {
    TokenPlace { settings: hsm.settings(label), module_config: None, pin }
}

/// Fails when a PIN travels by an argument or a variable, or a type that holds it shows it.
#[test]
fn row_21_the_pin_is_in_no_command_line_no_environment_and_no_debug_output() {
    alone(|hsm| {
        hsm.token("pin");
        let place = place(hsm, "pin", PinSource::File(hsm.pin_file(PIN)));
        let key = KeyPlace::Pkcs11(uri("pin", "rep"));
        let tokens =
            Tokens::open(Mode::Production, std::slice::from_ref(&place), [&key], soon()).unwrap();
        assert!(!format!("{tokens:?} {place:?}").contains(PIN));
        let mut looked_at = 0;
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                // Processes come and go, and some are others'.
                let Ok(bytes) = std::fs::read(process.path().join(file)) else { continue };
                looked_at += 1;
                // `softhsm2-util` of another test has it as an argument: not ours.
                if bytes.starts_with(b"softhsm2-util") {
                    continue;
                }
                let found = bytes.windows(PIN.len()).any(|window| window == PIN.as_bytes());
                assert!(!found, "{:?} {file}", process.path());
            }
        }
        assert!(looked_at > 2);
    });
}

/// Fails when the PIN's file is read without looking at its mode.
#[test]
fn row_57_a_pin_file_that_others_can_read_opens_no_token() {
    alone(|hsm| {
        hsm.token("mode");
        let path = hsm.pin_file(PIN);
        let key = KeyPlace::Pkcs11(uri("mode", "rep"));
        let place = place(hsm, "mode", PinSource::File(path.clone()));
        for (mode, good) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let opened =
                Tokens::open(Mode::Production, std::slice::from_ref(&place), [&key], soon());
            assert_eq!(opened.is_ok(), good, "{mode:o}");
            if let Err(error) = opened {
                assert!(error.to_string().contains("chmod 0600"), "{error}");
            }
        }
    });
}

/// Fails when the module's configuration is not looked at.
#[test]
fn row_57_a_module_configuration_open_to_others_is_a_critical_finding() {
    alone(|hsm| {
        hsm.token("conf");
        let conf = hsm.directory().join("softhsm2.conf");
        let key = KeyPlace::Pkcs11(uri("conf", "rep"));
        let mut place = place(hsm, "conf", PinSource::File(hsm.pin_file(PIN)));
        place.module_config = Some(conf.clone());
        for (mode, expected) in [(0o644, vec!["module-config-open-to-others"]), (0o640, vec![])] {
            std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(mode)).unwrap();
            let tokens =
                Tokens::open(Mode::Production, std::slice::from_ref(&place), [&key], soon())
                    .unwrap();
            let ids: Vec<_> = tokens.findings().iter().map(|finding| finding.id).collect();
            assert_eq!(ids, expected, "{mode:o}");
        }
    });
}

#[test]
fn a_key_of_a_token_that_is_not_set_up_opens_nothing() {
    alone(|hsm| {
        hsm.token("one");
        let key = KeyPlace::Pkcs11(uri("two", "rep"));
        let place = place(hsm, "one", PinSource::File(hsm.pin_file(PIN)));
        let none = Tokens::open(Mode::Production, &[place], [&key], soon());
        assert!(matches!(none, Err(TokensError::NoToken(_))), "{none:?}");
    });
}

/// Everything that a terminal shows while `line` is typed at a command's question, and whether the
/// command was content. The terminal is `script`'s, which is on every Debian.
fn typed(command: &str, question: &str, line: &str) -> (String, bool) {
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux is there");
    let mut shown = Vec::new();
    let mut screen = script.stdout.take().unwrap();
    let mut some = [0; 256];
    while !String::from_utf8_lossy(&shown).contains(question) {
        let count = screen.read(&mut some).unwrap();
        assert!(count > 0, "never asked: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&some[..count]);
    }
    let mut keyboard = script.stdin.take().unwrap();
    keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    (String::from_utf8_lossy(&shown).into_owned(), script.wait().unwrap().success())
}

/// Fails when `ask` in `pin.rs` leaves the terminal's echo on, or off afterwards.
#[test]
fn row_21_a_pin_typed_at_a_terminal_is_not_shown_and_what_follows_is() {
    // What nobody hides, a terminal shows.
    let (shown, _) = typed("echo ready; read line", "ready", PIN);
    assert!(shown.contains(PIN), "{shown:?}");

    let this = std::env::current_exe().unwrap();
    let this = this.to_str().unwrap();
    let asks = format!("{this} types_its_pin --exact --ignored --nocapture; stty -a");
    let (shown, _) = typed(&asks, "PIN of the token `a label`: ", PIN);
    assert!(!shown.contains(PIN), "{shown:?}");
    assert!(shown.contains("1 passed"), "{shown:?}");
    assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown:?}");
    // Another PIN is another PIN.
    let (shown, _) = typed(&asks, "PIN of the token `a label`: ", "something else");
    assert!(shown.contains("1 failed") && !shown.contains("something else"), "{shown:?}");
}

/// Started by the test above, at a terminal.
#[test]
#[ignore = "part of another test"]
fn types_its_pin() {
    alone(|hsm| {
        hsm.token("typed");
        // A label is the token's own text, and moves no cursor.
        let pin = PinSource::Prompt.read("a\u{1b} label").unwrap();
        // Nothing shows a PIN, so a token has to tell whether it is the right one.
        let key = uri("typed", "rep");
        Pkcs11Token::open(&hsm.settings("typed"), pin, [&key], soon()).unwrap();
    });
}
