//! The listener for device managements as somebody who calls it sees it: its certificate, a credential,
//! and a client.

use argon2::{Argon2, Params, PasswordHasher as _};
use countersign_lab_ca::Role;
use countersign_stubs::Client;
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{Installation, Program};

/// The password of every credential here.
pub(crate) const PASSWORD: &str = "correct horse";

/// `[verify.mdm]` with one credential, which is its own user.
pub(crate) fn section(credential: &str, profiles: &[&str]) -> String {
    format!(
        "[verify.mdm]\nlisten = \"127.0.0.1:0\"\ncertificate = \"keys/mdm.pem\"\n\
         key = \"file:keys/mdm.key\"\n\n\
         [verify.mdm.credential.{credential}]\nprofiles = {profiles:?}\nquota-per-hour = 100\n{}",
        login(credential)
    )
}

/// One more credential, which posts the events of a plug-in.
pub(crate) fn events(credential: &str, plugin: &str) -> String {
    format!("[verify.mdm.credential.{credential}]\nevents = [{plugin:?}]\n{}", login(credential))
}

fn login(user: &str) -> String {
    // argon2id with the least costs that the config takes.
    let argon2 = Argon2::from(Params::new(7168, 1, 1, None).unwrap());
    let hash = argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap();
    format!("authentication.basic = {{ user = \"{user}\", password-hash = \"{hash}\" }}\n")
}

/// The listener's key and certificate; before the start.
pub(crate) fn identity(installation: &Installation) {
    certificate(installation, "mdm", Role::TlsServer);
}

/// A key and a certificate of the lab CA in this role, `CN=<name>.example` at this machine.
pub(crate) fn certificate(installation: &Installation, name: &str, role: Role) {
    let key = installation.file(&format!("keys/{name}.key"));
    let csr = installation.file(&format!("{name}.csr"));
    run(openssl(&["req", "-new", "-nodes", "-newkey", "rsa:2048", "-outform", "DER"])
        .args(["-subj", &format!("/CN={name}.example")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&csr));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let csr = std::fs::read(csr).unwrap();
    let der = installation.ca().issue_role_certificate(&csr, role).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    std::fs::write(installation.file(&format!("keys/{name}.pem")), pem).unwrap();
}

/// Somebody who has logged in as `credential`.
pub(crate) async fn client(installation: &mut Installation, credential: &str) -> Client {
    let verify = installation.running(Program::Verify);
    let is_listening = |event: &serde_json::Value| event["message"] == "serving device managements";
    let event = verify.event("serving device managements", is_listening).await;
    let address = event["listen"].as_str().unwrap().to_owned();
    let roots = std::fs::read(installation.file("ca/ca.pem")).unwrap();
    Client::new(&address, &roots).basic(credential, PASSWORD)
}
