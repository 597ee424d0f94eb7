//! SoftHSM2 for tests: tokens in a folder of their own.
//!
//! SoftHSM2 finds its tokens through the environment variable `SOFTHSM2_CONF` and keeps one state
//! for a process, so whoever uses a token is a process of its own: one of our programs, the helper
//! `countersign-softhsm-init`, or a test that starts itself again with [`in_a_process`].
//!
//! PINs go to the helper over its standard input, never on a command line. Production code never
//! links this crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code: it panics where something is not as it says"
)]

mod process;
mod token;

pub use process::in_a_process;
pub use token::{import_public_rsa, init_token};

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The environment variable by which SoftHSM2 finds its configuration.
pub const ENVIRONMENT: &str = "SOFTHSM2_CONF";

/// Where Debian, Fedora and the source put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A folder of tokens and the configuration that names it.
#[derive(Debug, Clone)]
pub struct SoftHsm {
    config: PathBuf,
}

impl SoftHsm {
    /// Makes an empty one in `folder`.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn create(folder: &Path) -> Self {
        let tokens = folder.join("tokens");
        fs::create_dir(&tokens).expect("the folder of the tokens is new");
        let config = folder.join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(&config, text).expect("the configuration is written");
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("mode 0600");
        Self { config }
    }

    /// The value of [`ENVIRONMENT`] for a process that is to see these tokens.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Makes a token, through the helper.
    ///
    /// # Panics
    /// The helper is not built, or SoftHSM2 refuses.
    pub fn init_token(&self, label: &str, so_pin: &str, pin: &str) {
        self.order(&["init", label, so_pin, pin]);
    }

    /// Puts the public half of an RSA key of exponent 65537 onto a token, under the label
    /// `imported`, through the helper.
    ///
    /// # Panics
    /// The helper is not built, or SoftHSM2 refuses.
    pub fn import_public_rsa(&self, label: &str, pin: &str, modulus: &[u8]) {
        let modulus: String = modulus.iter().map(|octet| format!("{octet:02x}")).collect();
        self.order(&["import", label, pin, &modulus]);
    }

    fn order(&self, lines: &[&str]) {
        let mut child = Command::new(helper())
            .env(ENVIRONMENT, &self.config)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let mut orders = child.stdin.take().expect("standard input is piped");
        writeln!(orders, "{}", lines.join("\n")).expect("the helper listens");
        drop(orders);
        let status = child.wait().expect("the helper ends");
        // Not the lines after the first two: they hold PINs.
        assert!(status.success(), "{:?}: {status}", lines.get(..2));
    }
}

/// The module of SoftHSM2.
///
/// # Panics
/// It is not installed.
#[must_use]
pub fn module() -> PathBuf {
    let found = MODULES.into_iter().map(PathBuf::from).find(|path| path.is_file());
    found.expect("SoftHSM2 is installed (Debian: `libsofthsm2`)")
}

/// Where cargo put the helper: beside a program, or above a test (`target/debug/deps`).
fn helper() -> PathBuf {
    let this = std::env::current_exe().expect("where this program lies");
    let file = "countersign-softhsm-init";
    let mut folders = this.ancestors().skip(1).take(2).map(|folder| folder.join(file));
    let found = folders.find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {file} near {}: build the workspace", this.display()))
}
