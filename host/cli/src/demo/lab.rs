//! A throw-away installation: CA, keys, secrets and one config file, all in one directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use countersign_keys::{
    Deadline, DevelopmentToken, KeyName, KeySpec, Mode, RoleKind, csr_signed_by, generate_key,
    secret_file,
};
use countersign_ledger::CheckpointKey;

use super::verifier::Verifier;
use crate::failure::Failure;
use crate::processes::beside;

/// The profile that the demo enrols at.
pub(crate) const PROFILE: &str = "devices";

/// Algorithm of EA and CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Algorithm {
    /// RSA-2048.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// ECDSA on P-256. REP and CEP stay RSA: SCEP needs it.
    #[value(name = "p-256")]
    P256,
}

/// Where everything lies.
#[derive(Debug, Clone)]
pub(crate) struct Lab {
    directory: PathBuf,
}

/// What the lab is made of.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) algorithm: Algorithm,
    pub(crate) listen: String,
    pub(crate) component: PathBuf,
    pub(crate) digest: String,
    /// Beside one-time-password, each with a profile of its name.
    pub(crate) verifiers: Vec<Verifier>,
}

impl Lab {
    /// A lab in `directory`, which must be empty or absent.
    pub(crate) fn new(directory: &Path) -> Result<Self, Failure> {
        let directory = std::path::absolute(directory).map_err(about(directory))?;
        let is_used =
            std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            return Err(Failure::new(format!(
                "{} is not empty; name another --directory",
                directory.display()
            )));
        }
        Ok(Self { directory })
    }

    /// The config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("countersign.toml")
    }

    /// The lab CA's directory.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("ca")
    }

    /// The lab CA's certificate, PEM.
    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.ca().join("ca.pem")
    }

    /// The file into which the lab CA writes its port.
    pub(crate) fn port_file(&self) -> PathBuf {
        self.directory.join("ca.port")
    }

    /// Where all of it lies.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file inside.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the CA.
    pub(crate) fn make_ca(&self, choices: &Choices) -> Result<(), Failure> {
        for folder in ["", "keys", "secrets", "serve", "verify", "sign", "checkpoints", "run"] {
            make_private(&self.directory.join(folder))?;
        }
        let algorithm = match choices.algorithm {
            Algorithm::Rsa2048 => "rsa-2048",
            Algorithm::P256 => "p-256",
        };
        lab_ca(&["init", "--directory", text(&self.ca())?, "--algorithm", algorithm])
    }

    /// Makes the keys of the roles, has the CA sign them, makes every secret.
    pub(crate) fn make_keys(&self, choices: &Choices) -> Result<(), Failure> {
        let ea = match choices.algorithm {
            Algorithm::Rsa2048 => KeySpec::Rsa2048,
            Algorithm::P256 => KeySpec::EcP256,
        };
        self.make_key("ea", RoleKind::Ea, ea, "ea")?;
        self.make_key("cep", RoleKind::Cep, KeySpec::Rsa2048, "cep")?;
        self.make_key("rep", RoleKind::Rep, KeySpec::Rsa2048, "rep")?;
        self.make_key("client", RoleKind::Rep, KeySpec::EcP256, "tls-client")?;
        for secret in ["approval", "challenge", "serve-column", "verify-column", "sign-column"] {
            let path = self.file(&format!("secrets/{secret}.key"));
            secret_file::create_random(&path).map_err(about(&path))?;
        }
        let path = self.file("secrets/checkpoint.key");
        CheckpointKey::create_file(&path).map_err(about(&path))?;
        Ok(())
    }

    fn make_key(
        &self,
        name: &str,
        role: RoleKind,
        spec: KeySpec,
        lab_role: &str,
    ) -> Result<(), Failure> {
        let key = self.file(&format!("keys/{name}.key"));
        generate_key(spec).map_err(about(&key))?.write_pem(&key).map_err(about(&key))?;
        let key_name = KeyName::new(name);
        let token = DevelopmentToken::open(Mode::Lab, [(key_name.clone(), key.as_path())])
            .map_err(about(&key))?;
        let subject = format!("CN=Countersign lab {name}");
        let deadline = Deadline::after(Duration::from_secs(10));
        let csr =
            csr_signed_by(&token, &key_name, role, &subject, deadline).map_err(about(&key))?;
        let request = self.file(&format!("keys/{name}.csr"));
        std::fs::write(&request, csr).map_err(about(&request))?;
        let certificate = self.file(&format!("keys/{name}.pem"));
        lab_ca(&[
            "sign-csr",
            "--directory",
            text(&self.ca())?,
            "--role",
            lab_role,
            "--csr",
            text(&request)?,
            "--out",
            text(&certificate)?,
        ])
    }

    /// Writes the config; `ca_port` is where the lab CA listens.
    pub(crate) fn write_config(&self, choices: &Choices, ca_port: u16) -> Result<(), Failure> {
        let path = self.config();
        std::fs::write(&path, config(choices, ca_port)?).map_err(about(&path))
    }
}

/// The config of a lab: the shape that an admin would write, with this lab's files.
fn config(choices: &Choices, ca_port: u16) -> Result<String, Failure> {
    let component = text(&choices.component)?;
    let mut toml = String::new();
    // Writing to a String does not fail.
    let _ = write!(
        toml,
        r#"# A throw-away lab of Countersign. Never use its keys for anything else.
mode = "lab"

[sockets]
directory = "run"

[serve]
state = "serve"
listen = "{listen}"
column-key = "file:secrets/serve-column.key"

[serve.keys.cep]
certificate = "keys/cep.pem"
key = "file:keys/cep.key"

[serve.keys.rep]
certificate = "keys/rep.pem"
key = "file:keys/rep.key"

[verify]
state = "verify"
challenge-key = "file:secrets/challenge.key"
column-key = "file:secrets/verify-column.key"

[sign]
state = "sign"
column-key = "file:secrets/sign-column.key"

[sign.checkpoint]
key = "file:secrets/checkpoint.key"
file = "checkpoints/ledger.checkpoints"

[sign.keys.ea]
certificate = "keys/ea.pem"
key = "file:keys/ea.key"

[approval]
key = "file:secrets/approval.key"

[authority.lab]
kind = "wstep"
url = "https://127.0.0.1:{ca_port}/Countersign-Lab-CA_CES_Certificate/service.svc/CES"
roots = "ca/ca.pem"
issuing-certificate = "ca/ca.pem"
chain = "ca/ca.pem"

[authority.lab.authentication.client-certificate]
certificate = "keys/client.pem"
key = "file:keys/client.key"

[plugin.one-time-password]
component = {component:?}
digest = "{digest}"

[plugin.one-time-password.grants]
log = true
challenges = true

[profile.{PROFILE}]
authority = "lab"
template = "CountersignDevice"

[profile.{PROFILE}.verifiers]
initial = ["one-time-password"]

[profile.{PROFILE}.limits.sans]
allowed = ["dns"]
"#,
        listen = choices.listen,
        digest = choices.digest,
    );
    for verifier in &choices.verifiers {
        let _ = write!(
            toml,
            r#"
{fragment}
[profile.{name}]
authority = "lab"
template = "CountersignDevice"

[profile.{name}.verifiers]
initial = ["{name}"]

[profile.{name}.limits.sans]
allowed = ["dns"]
"#,
            fragment = verifier.toml,
            name = verifier.name,
        );
    }
    Ok(toml)
}

fn make_private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(about(path))
}

fn lab_ca(arguments: &[&str]) -> Result<(), Failure> {
    let binary = beside("countersign-lab-ca")?;
    let output = Command::new(&binary)
        .args(arguments)
        .env("RUST_LOG", "warn")
        .output()
        .map_err(about(&binary))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{} {}: {}",
            binary.display(),
            arguments.first().unwrap_or(&""),
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::new(format!("{} is not UTF-8", path.display())))
}

fn about<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::new(format!("{path}: {error}"))
}
