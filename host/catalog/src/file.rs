//! Component files: bounded before they are read, and held to their digest.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use countersign_sandbox::{COMPONENT_BYTES, Digest, is_component};

/// Why a file is no component to go on with.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {source}; is the path right, and may this user read it?")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path}: a component has at most {COMPONENT_BYTES} bytes, this file is larger")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error(
        "{path}: expected a WebAssembly component, found {found}; build one with `cargo build \
         --target wasm32-wasip2`, or make one from a core module with `wasm-tools component new`"
    )]
    NoComponent {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// It is another component than the configuration names.
    #[error(
        "{path}: expected the component {expected}, found {found}; if you changed it on purpose, \
         look at it with `countersign plugin inspect {path}` and put its digest into the \
         configuration"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// From the configuration.
        expected: Digest,
        /// Of the file.
        found: Digest,
    },
}

/// Reads a component whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let fail = |source| FileError::Read { path: path.into(), source };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(COMPONENT_BYTES).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > COMPONENT_BYTES {
        return Err(FileError::TooLarge { path: path.into() });
    }
    if is_component(&bytes) {
        return Ok(bytes);
    }
    Err(FileError::NoComponent { path: path.into(), found: looks_like(&bytes) })
}

/// Reads a component, and only this one.
pub(crate) fn read_pinned(path: &Path, expected: Digest) -> Result<Vec<u8>, FileError> {
    let bytes = read(path)?;
    let found = Digest::of(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    Err(FileError::Digest { path: path.into(), expected, found })
}

fn looks_like(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"\0asm") {
        "a core WebAssembly module"
    } else if bytes.starts_with(b"\x7fELF") {
        "machine code (a `.cwasm`?)"
    } else if bytes.is_empty() {
        "an empty file"
    } else {
        "something else"
    }
}
