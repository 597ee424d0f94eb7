//! The module as a test has it: a copy in a folder, its script, and what was called.

use std::fs;
use std::path::{Path, PathBuf};

use crate::functions;
use crate::script::Script;

/// One copy of the module.
#[derive(Debug, Clone)]
pub struct Shim {
    path: PathBuf,
}

impl Shim {
    /// Puts a copy of the module, named `<name>.so`, into the folder, with its script beside it.
    ///
    /// # Panics
    /// Cargo has not built the module, or the folder cannot be written.
    #[must_use]
    #[expect(clippy::panic, reason = "a test is to be told")]
    pub fn install(folder: &Path, name: &str, script: &Script) -> Self {
        let built = built();
        let path = folder.join(format!("{name}.so"));
        if let Err(error) = fs::copy(&built, &path) {
            panic!("{} to {}: {error}", built.display(), path.display());
        }
        let shim = Self { path };
        shim.follow(script);
        shim
    }

    /// The module to load.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From the next call on, in every process that has loaded it.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[expect(clippy::panic, reason = "a test is to be told")]
    pub fn follow(&self, script: &Script) {
        let script_file = self.path.with_extension("so.script");
        let new = self.path.with_extension("so.script.new");
        // In one step: a call reads the old one or the new one.
        let done =
            fs::write(&new, script.to_string()).and_then(|()| fs::rename(&new, &script_file));
        if let Err(error) = done {
            panic!("{}: {error}", script_file.display());
        }
    }

    /// Every call so far: the function, and for `C_SignInit` and its like the mechanism after a
    /// space, as `0x1`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path.with_extension("so.calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// How often a function was called so far.
    ///
    /// # Panics
    /// PKCS#11 2.40 has no function of this name.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that misspells a function is to fail")]
    pub fn count(&self, function: &str) -> usize {
        let function = functions::named(function)
            .unwrap_or_else(|| panic!("PKCS#11 2.40 has no function `{function}`"));
        self.calls().iter().filter(|call| call.split(' ').next() == Some(function)).count()
    }
}

/// Where cargo put the module: beside a test (`target/debug/deps`), or in `deps` beside a program.
#[expect(clippy::panic, reason = "a test is to be told")]
fn built() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let folders =
        this.parent().into_iter().flat_map(|folder| [folder.to_owned(), folder.join("deps")]);
    let file = "libcountersign_pkcs11_shim.so";
    let found = folders.map(|folder| folder.join(file)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {file} beside {}: build the workspace", this.display()))
}
