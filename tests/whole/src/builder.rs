//! What an installation is to be like, and making it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use countersign_keys::{KeySpec, secret_file};
use countersign_lab_ca::{Algorithm, LabCa, Options, Role, Template};
use countersign_ledger::CheckpointKey;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::config::{Parts, Plugin, Profile};
use crate::installation::Installation;
use crate::keys;
use crate::process::Program;
use crate::tokens::{Tokens, key_uri};

/// Says what an [`Installation`] is to be like.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    algorithm: Algorithm,
    templates: Vec<Template>,
    parts: Parts,
    binaries: BTreeMap<Program, PathBuf>,
    has_own_profiles: bool,
    keys: KeyPlace,
}

/// Where the keys of the roles are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum KeyPlace {
    #[default]
    Files,
    SoftHsm,
    SoftHsmBehindShims,
}

impl Builder {
    /// The algorithm of CA and EA; CEP and REP are always RSA.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Adds a template to the CA, or replaces the one of that name.
    #[must_use]
    pub fn template(mut self, template: Template) -> Self {
        self.templates.push(template);
        self
    }

    /// Adds a profile; the first one takes the place of the usual one.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        if !std::mem::replace(&mut self.has_own_profiles, true) {
            self.parts.profiles.clear();
        }
        self.parts.profiles.push(profile);
        self
    }

    /// Adds a plug-in beside `one-time-password`.
    #[must_use]
    pub fn plugin(mut self, plugin: Plugin) -> Self {
        self.parts.plugins.push(plugin);
        self
    }

    /// `mode` of the config: `lab` unless said.
    #[must_use]
    pub fn mode(mut self, mode: &str) -> Self {
        self.parts.mode = mode.to_owned();
        self
    }

    /// Where `serve` listens: `127.0.0.1:0` unless said.
    #[must_use]
    pub fn listen(mut self, listen: &str) -> Self {
        self.parts.listen = listen.to_owned();
        self
    }

    /// Lines directly under `[serve]`.
    #[must_use]
    pub fn serve(mut self, toml: &str) -> Self {
        self.parts.serve.push_str(toml);
        self.parts.serve.push('\n');
        self
    }

    /// Lines directly under `[verify]`.
    #[must_use]
    pub fn verify(mut self, toml: &str) -> Self {
        self.parts.verify.push_str(toml);
        self.parts.verify.push('\n');
        self
    }

    /// Lines directly under `[authority.lab]`.
    #[must_use]
    pub fn authority(mut self, toml: &str) -> Self {
        self.parts.authority.push_str(toml);
        self.parts.authority.push('\n');
        self
    }

    /// Lines directly under `[approval]`.
    #[must_use]
    pub fn approval(mut self, toml: &str) -> Self {
        self.parts.approval.push_str(toml);
        self.parts.approval.push('\n');
        self
    }

    /// Whole sections at the end of the file, such as `[sign.fuse]`.
    #[must_use]
    pub fn sections(mut self, toml: &str) -> Self {
        self.parts.sections.push_str(toml);
        self.parts.sections.push('\n');
        self
    }

    /// `chain` of the authority, relative to the installation's directory; the file is made by
    /// [`Builder::prepare`]'s caller.
    #[must_use]
    pub fn chain(mut self, file: &str) -> Self {
        self.parts.ca_chain = file.to_owned();
        self
    }

    /// Keys on SoftHSM2, for all roles: EA on a token of its own.
    #[must_use]
    pub fn softhsm(mut self) -> Self {
        self.keys = KeyPlace::SoftHsm;
        self
    }

    /// The same, with a module of ours before each token that misbehaves as tests tell it
    /// ([`Tokens::shim`]).
    #[must_use]
    pub fn shims(mut self) -> Self {
        self.keys = KeyPlace::SoftHsmBehindShims;
        self
    }

    /// Starts this binary in the place of the delivered one.
    #[must_use]
    pub fn binary(mut self, program: Program, path: &Path) -> Self {
        self.binaries.insert(program, path.to_owned());
        self
    }

    /// Makes everything and starts everything; returns when it is ready and the CA is proven.
    pub async fn start(self) -> Installation {
        let mut installation = self.prepare().await;
        installation.start_all().await;
        installation
    }

    /// Makes everything, with the CA serving, and starts none of the three processes.
    pub async fn prepare(mut self) -> Installation {
        let directory = TempDir::new().expect("a temporary directory");
        let place = directory.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o700)).expect("mode 0700");
        for folder in ["keys", "secrets", "serve", "verify", "sign", "checkpoints", "run"] {
            fs::DirBuilder::new().mode(0o700).create(place.join(folder)).expect("a new folder");
        }
        let options = Options { algorithm: self.algorithm, ..Options::default() };
        let ca = LabCa::create(&place.join("ca"), options).expect("the lab CA is made");
        for template in self.templates.drain(..) {
            ca.set_template(template).expect("the template is set");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let serving = ca.serve(listener).await.expect("the lab CA serves");
        self.parts.ca_url = serving.certificate_url();
        if self.parts.profiles.iter().any(|profile| !profile.renewal.is_empty()) {
            let line = format!("crl-url = \"{}\"\n", serving.crl_url());
            self.parts.authority.push_str(&line);
            self.parts.plugins.push(Plugin::renewal());
        }
        keys::make(&ca, &place.join("keys"), "client", KeySpec::EcP256, Role::TlsClient);
        make_secrets(place);
        let tokens = match self.keys {
            KeyPlace::Files => None,
            KeyPlace::SoftHsm => Some(Tokens::create(place, false)),
            KeyPlace::SoftHsmBehindShims => Some(Tokens::create(place, true)),
        };
        if let Some(tokens) = &tokens {
            self.parts.ea_key = key_uri(Program::Sign, "ea");
            self.parts.cep_key = key_uri(Program::Serve, "cep");
            self.parts.rep_key = key_uri(Program::Serve, "rep");
            self.parts.sections.push_str(&tokens.toml());
        }
        let config = place.join("countersign.toml");
        keys::write_private(&config, self.parts.toml().as_bytes());
        match &tokens {
            None => make_keys(&ca, place, self.algorithm),
            Some(tokens) => tokens.make_keys(&ca, place, &config, self.algorithm),
        }
        Installation::new(directory, config, ca, serving, self.binaries, tokens)
    }
}

fn make_keys(ca: &LabCa, place: &Path, algorithm: Algorithm) {
    let folder = place.join("keys");
    let ea = match algorithm {
        Algorithm::Rsa2048 => KeySpec::Rsa2048,
        Algorithm::Rsa3072 => KeySpec::Rsa3072,
        Algorithm::P256 => KeySpec::EcP256,
    };
    keys::make(ca, &folder, "ea", ea, Role::Ea);
    keys::make(ca, &folder, "cep", KeySpec::Rsa2048, Role::Cep);
    keys::make(ca, &folder, "rep", KeySpec::Rsa2048, Role::Rep);
}

fn make_secrets(place: &Path) {
    for secret in ["approval", "challenge", "serve-column", "verify-column", "sign-column"] {
        secret_file::create_random(&place.join(format!("secrets/{secret}.key")))
            .expect("a secret is made");
    }
    CheckpointKey::create_file(&place.join("secrets/checkpoint.key"))
        .expect("the checkpoint key is made");
}
