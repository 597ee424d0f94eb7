//! Keys on SoftHSM2: EA on a token of its own, CEP and REP on another, each with its own PIN.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_lab_ca::{Algorithm, LabCa, Role};
use countersign_pkcs11_shim::{Script, Shim};
use countersign_softhsm::{ENVIRONMENT, SoftHsm, module};
use der::pem::{LineEnding, decode_vec, encode_string};

use crate::binaries::program;
use crate::keys::write_private;
use crate::openssl::run;
use crate::process::Program;

/// The tokens of an installation.
#[derive(Debug)]
pub struct Tokens {
    softhsm: SoftHsm,
    sign: Shim,
    serve: Shim,
    has_shims: bool,
}

impl Tokens {
    /// Makes the two tokens in the folder of an installation, and the files with their PINs.
    pub(crate) fn create(place: &Path, has_shims: bool) -> Self {
        let folder = place.join("tokens");
        fs::create_dir(&folder).expect("a new folder");
        let softhsm = SoftHsm::create(&folder);
        let forwarding = Script::forwarding_to(module());
        let tokens = Self {
            sign: Shim::install(&folder, "sign", &forwarding),
            serve: Shim::install(&folder, "serve", &forwarding),
            softhsm,
            has_shims,
        };
        for program in [Program::Sign, Program::Serve] {
            let (name, pin) = (program.name(), random_pin());
            tokens.softhsm.init_token(&format!("countersign {name}"), &random_pin(), &pin);
            write_private(&place.join(format!("secrets/{name}.pin")), pin.as_bytes());
        }
        tokens
    }

    /// The module between a process and its token; does something where the installation was made
    /// with [`Builder::shims`](crate::Builder::shims).
    ///
    /// # Panics
    /// `verify` has no token.
    #[must_use]
    pub fn shim(&self, program: Program) -> &Shim {
        match program {
            Program::Sign => &self.sign,
            Program::Serve => &self.serve,
            Program::Verify => panic!("verify has no token"),
        }
    }

    /// Puts the public half of somebody else's RSA key onto a process's token.
    ///
    /// # Panics
    /// SoftHSM2 refuses.
    pub fn import_public_rsa(&self, program: Program, modulus: &[u8]) {
        let label = format!("countersign {}", program.name());
        let pin = fs::read_to_string(self.pin_file(program)).expect("the PIN");
        self.softhsm.import_public_rsa(&label, &pin, modulus);
    }

    fn pin_file(&self, program: Program) -> PathBuf {
        let tokens = self.softhsm.config().parent().expect("a file lies in a folder");
        tokens.with_file_name(format!("secrets/{}.pin", program.name()))
    }

    /// What a process needs in its environment to find its token.
    pub(crate) fn environment(&self) -> (&'static str, &Path) {
        (ENVIRONMENT, self.softhsm.config())
    }

    /// The sections of the config, for a file in the installation's folder.
    pub(crate) fn toml(&self) -> String {
        [Program::Sign, Program::Serve]
            .into_iter()
            .map(|program| {
                let name = program.name();
                let config = self.softhsm.config();
                let module =
                    if self.has_shims { self.shim(program).path().into() } else { module() };
                format!(
                    "\n[token.{name}]\nmodule = {module:?}\nmodule-config = {config:?}\nlabel = \"countersign {name}\"\n\
                     pin = \"file:secrets/{name}.pin\"\n"
                )
            })
            .collect()
    }

    /// `countersign keys init`, and a certificate of the lab CA for each role.
    pub(crate) fn make_keys(&self, ca: &LabCa, place: &Path, config: &Path, algorithm: Algorithm) {
        let ea_key = match algorithm {
            Algorithm::Rsa2048 => "rsa-2048",
            Algorithm::Rsa3072 => "rsa-3072",
            Algorithm::P256 => "p-256",
        };
        let requests = place.join("csr");
        let (variable, tokens) = self.environment();
        // One process makes the keys of all roles, and a module has one owner in a process: not
        // through the two modules before it.
        let text = fs::read_to_string(config).expect("the config was written");
        let direct = [Program::Sign, Program::Serve].iter().fold(text, |text, &program| {
            text.replace(&format!("{:?}", self.shim(program).path()), &format!("{:?}", module()))
        });
        let config = &place.join("keys-init.toml");
        write_private(config, direct.as_bytes());
        run(Command::new(command_line())
            .args(["keys", "init", "--ea-key", ea_key, "--organisation", "Lab"])
            .arg("--config")
            .arg(config)
            .arg("--out")
            .arg(&requests)
            .env(variable, tokens));
        for (name, role) in [("ea", Role::Ea), ("cep", Role::Cep), ("rep", Role::Rep)] {
            let request = fs::read(requests.join(format!("{name}.csr"))).expect("a CSR");
            let (_, request) = decode_vec(&request).expect("a CSR in PEM");
            let der = ca.issue_role_certificate(&request, role).expect("the lab CA issues");
            let pem = encode_string("CERTIFICATE", LineEnding::LF, &der).expect("a PEM form");
            fs::write(place.join(format!("keys/{name}.pem")), pem).expect("it is written");
        }
    }
}

/// The key of a role as the config names it.
pub(crate) fn key_uri(program: Program, key: &str) -> String {
    format!("pkcs11:token=countersign%20{};object={key}", program.name())
}

/// `countersign`.
fn command_line() -> PathBuf {
    program("serve").with_file_name("countersign")
}

fn random_pin() -> String {
    let mut octets = [0u8; 16];
    aws_lc_rs::rand::fill(&mut octets).expect("random octets");
    hex::encode(octets)
}
