//! The plug-in `ndes-otp`: a device management reads a password from the page as it reads NDES's, and a
//! real client enrols with it. Rows 2, 61 and 62 of the founding checklist.

use std::path::Path;
use std::process::Command;

use countersign_stubs::{Answer, Client};
use countersign_tests::openssl::{openssl, output, run};
use countersign_tests::{Device, Installation, Plugin, Profile, Program, component};

use crate::guests::Guest;
use crate::mdm_caller;

const PROFILE: &str = "ndes";
const BESIDE: &str = "beside";
const NAMES: [&str; 2] = ["CN=strong-device", "DNS:strong-device.example"];
const UTF16: &str = "/certsrv/mscep_admin/";
const UTF8: &str = "/utf8/mscep_admin/";

/// `device-id=17;CN=strong-device;DNS:strong-device.example`, as a URL has it.
const PARAMS: &str = "Params=device-id%3D17%3BCN%3Dstrong-device%3BDNS%3Astrong-device.example";

const PLUGIN: &str = "[grants]\nlog = true\nchallenges = true\nkv = true\n\
                      secrets = [\"password-key\"]\n\
                      [secrets.password-key]\nvalue = \"file:secrets/password.key\"\n\
                      encoding = \"raw\"\n";

/// A profile that only passwords verify, and one with a second verifier beside them; a page for each.
async fn prepare(settings: &str) -> Installation {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second.wasm");
    // Approves, and vouches for a name that no test asks for.
    std::fs::write(&second, Guest::default().build()).unwrap();
    let sections = format!(
        "{}\n[verify.mdm.page.\"{UTF16}\"]\nprofile = \"{PROFILE}\"\nrequire-names = true\n\n\
         [verify.mdm.page.\"{UTF8}\"]\nprofile = \"{BESIDE}\"\nencoding = \"utf-8\"\n",
        mdm_caller::section("ws1", &[PROFILE, BESIDE])
    );
    let plugin = format!("{settings}{PLUGIN}");
    let installation = Installation::builder()
        .plugin(Plugin::new("ndes-otp", component("ndes-otp"), &plugin))
        .plugin(Plugin::new("second", second, ""))
        .profile(Profile::named(PROFILE).verifiers(&["ndes-otp"]))
        .profile(Profile::named(BESIDE).verifiers(&["ndes-otp", "second"]))
        .sections(&sections)
        .prepare()
        .await;
    // The config names the component by its digest; it must still be there at start.
    std::mem::forget(folder);
    let key = installation.file("secrets/password.key");
    std::fs::write(&key, [7; 32]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    mdm_caller::identity(&installation);
    installation
}

async fn start() -> (Installation, Client) {
    let mut installation = prepare("").await;
    installation.start_all().await;
    let client = mdm_caller::client(&mut installation, "ws1").await;
    (installation, client)
}

/// The text of a page: UTF-16LE without a mark and without a charset, as NDES sends it, or UTF-8.
fn text(answer: &Answer) -> String {
    if answer.body.get(1) != Some(&0) {
        return answer.text();
    }
    let units = answer.body.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(Result::unwrap).collect()
}

/// As the known readers do: the label without regard to case, a bold element after it, and its content
/// up to white space; some want a blank after `<B>`, some take it where it is.
fn password_on(answer: &Answer) -> Option<String> {
    let page = text(answer);
    let lower = page.to_ascii_lowercase();
    let label = "the enrollment challenge password is:";
    let after = lower.find(label)? + label.len();
    let bold = after + lower[after..].find("<b>")? + "<b>".len();
    assert!(page[bold..].starts_with(' '), "a blank after <B>, for those who want it");
    page[bold..].split_whitespace().next().map(str::to_owned)
}

fn is_of_ndes_form(password: &str) -> bool {
    password.len() == 16
        && password.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_from_the_page_enrols_its_device_and_no_other() {
    let (installation, client) = start().await;
    let page = client.get(&format!("{UTF16}?{PARAMS}")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    let words = text(&page);
    assert!(words.contains("thumbprint (hash value) for the CA certificate is: <B> "), "{words}");
    assert!(words.contains("will expire within 60 minutes"), "{words}");
    let password = password_on(&page).unwrap();
    assert!(is_of_ndes_form(&password), "{password}");

    // Another device that has got hold of it burns nothing.
    let thief = Device::new(&["CN=other-device"], Some(&password));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    // Nor is it good at another profile.
    let elsewhere = Device::new(&NAMES, Some(&password));
    assert!(installation.enrol(BESIDE, &elsewhere).await.is_refused_without_reason());

    enrol_with_strongswan(&installation, &password);

    // Spent: another key gets nothing for it.
    let late = Device::new(&NAMES, Some(&password));
    assert!(installation.enrol(PROFILE, &late).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 1);
    let denied = installation.wait_for_ledger("denied", 3).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    assert_eq!(codes, ["otp_identity_mismatch", "challenge-unknown", "challenge-used"]);
    assert!(!installation.logs().contains(&password), "no password in a log");
}

/// strongSwan's `pki --scep`, which knows nothing of us.
fn enrol_with_strongswan(installation: &Installation, password: &str) {
    let folder = installation.file("strongswan");
    std::fs::create_dir_all(&folder).unwrap();
    let url = installation.url(PROFILE);
    let pki = |arguments: &[&str]| {
        let mut command = Command::new("pki");
        command.current_dir(&folder).args(arguments);
        command
    };
    run(pki(&["--scepca", "--url", &url, "--caout", "ca.pem", "--raout", "ra.pem"]).args([
        "--outform",
        "pem",
        "--force",
    ]));
    let mut certificates: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("ra"))
        .collect();
    certificates.sort();
    let ra = |usage: &str| {
        let shown =
            |file: &Path| run(openssl(&["x509", "-noout", "-ext", "keyUsage", "-in"]).arg(file));
        certificates.iter().find(|file| shown(file).contains(usage)).unwrap()
    };
    run(openssl(&["genrsa", "-out"]).arg(folder.join("key.pem")).arg("2048"));
    let enrolled = output(
        pki(&["--scep", "--url", &url, "--in", "key.pem", "--dn", "CN=strong-device"])
            .args(["--san", "strong-device.example", "--password", password])
            .args(["--outform", "pem", "--cacert", "ca.pem"])
            .arg("--cacert-enc")
            .arg(ra("Key Encipherment"))
            .arg("--cacert-sig")
            .arg(ra("Digital Signature")),
    );
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let issued = folder.join("issued.pem");
    std::fs::write(&issued, &enrolled.stdout).unwrap();
    run(openssl(&["verify", "-CAfile"]).arg(installation.file("ca/ca.pem")).arg(&issued));
    let shown = run(openssl(&["x509", "-noout", "-text", "-in"]).arg(&issued));
    assert!(shown.contains("DNS:strong-device.example"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_name_nobody_get_passwords_for_which_another_verifier_must_vouch() {
    let (installation, client) = start().await;
    let page = client.get(UTF8).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let password = password_on(&page).unwrap();
    assert!(is_of_ndes_form(&password), "{password}");
    // Row 2: neither the password nor the verifier beside it knows this name.
    let device = Device::new(&NAMES, Some(&password));
    assert!(installation.enrol(BESIDE, &device).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 0);
    // The page of the profile without a second verifier gives none out.
    let bare = client.get(UTF16).await;
    assert_eq!((bare.status, password_on(&bare)), (400, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_a_policy_module_are_answered_plainly() {
    let (installation, client) = start().await;
    let path = format!("{UTF16}?operation=NDESGenerateChallenge&keyUsage=a0&{PARAMS}");
    let challenge = client.get(&path).await;
    assert_eq!(challenge.header("content-type"), Some("text/plain; charset=utf-8"));
    let password = challenge.text();
    assert!(is_of_ndes_form(&password), "{password}");
    let device = Device::new(&NAMES, Some(&password));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let thumbprint = client.get(&format!("{UTF16}?operation=NDESGetCACertThumbprint")).await;
    assert!(thumbprint.text().bytes().all(|byte| byte.is_ascii_hexdigit()));
    // Params that nobody understands tie a password to nothing: there is none.
    let opaque = client.get(&format!("{UTF16}?Params=PFJlcXVlc3Q%2B")).await;
    assert_eq!(password_on(&opaque), None);
    let words = "You do not have sufficient permission to enroll with SCEP.";
    assert!(text(&opaque).contains(words), "{}", text(&opaque));
}

/// Rows 61 and 62: what would weaken passwords stops the process, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn rows_61_and_62_settings_that_weaken_passwords_stop_the_start_with_the_reason() {
    for setting in ["EnforcePassword", "UseSinglePassword"] {
        let mut installation = prepare(&format!("[settings]\n{setting} = 1\n")).await;
        let ended = installation.refused_start(Program::Verify).await;
        assert_eq!(ended.status.code(), Some(3), "{setting}: {}", ended.stderr);
        let reason = format!("`{setting}`: there is no such option; in NDES");
        assert!(ended.stderr.contains(&reason), "{setting}: {}", ended.stderr);
    }
}
