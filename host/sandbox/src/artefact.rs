//! Machine code made from components, kept between starts.
//!
//! Loading such code is trusting it with the whole process, so it is only loaded from a folder that
//! nobody else can write, and only with a MAC under a key that lies in there with it: what a back-up
//! brought back, what another version wrote, or what was copied in is made again from the component.

use std::{
    fs::{self, File, OpenOptions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{digest, hmac, rand};
use rustix::process::geteuid;
use wasmtime::Engine;
use zeroize::Zeroizing;

use crate::component::{Component, Digest};

const KEY_FILE: &str = "artefact.key";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// Machine code is up to four times the component.
const ARTEFACT_BYTES: u64 = 1 << 30;

/// The protected folder.
#[derive(Debug)]
pub struct Artefacts {
    folder: PathBuf,
    key: hmac::Key,
}

/// Why a folder of artefacts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// Something in there is open to others.
    #[error(
        "{path}: expected to be owned by user {expected_owner} and not accessible to others (mode \
         {expected_mode:o}), found owner {owner} and mode {mode:o}; compiled plug-ins are trusted \
         code, so check who changed this, then `chown` and `chmod` it or remove it"
    )]
    Unprotected {
        /// Which file or folder.
        path: PathBuf,
        /// This process's user.
        expected_owner: u32,
        /// 700 or 600.
        expected_mode: u32,
        /// Found.
        owner: u32,
        /// Found.
        mode: u32,
    },
    /// Not what it should be.
    #[error("{path}: expected {expected}; remove it, and it is made again")]
    Shape {
        /// Which.
        path: PathBuf,
        /// A folder, a key.
        expected: &'static str,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random numbers for a new key.
    #[error("no random numbers for the key of the artefacts")]
    Random,
}

impl Artefacts {
    /// Opens the folder, or makes it; the same for its key.
    pub fn open(folder: &Path) -> Result<Self, ArtefactError> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(ArtefactError::Io { path: folder.into(), source }),
        }
        // Of the link itself: a link could be turned elsewhere between two looks.
        let metadata = fs::symlink_metadata(folder)
            .map_err(|source| ArtefactError::Io { path: folder.into(), source })?;
        if !metadata.is_dir() {
            return Err(ArtefactError::Shape { path: folder.into(), expected: "a folder" });
        }
        check_protected(folder, &metadata, 0o700)?;
        let key = key(&folder.join(KEY_FILE))?;
        Ok(Self { folder: folder.into(), key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The component, if there is machine code of it for this engine that is ours. Whatever is wrong
    /// with the file means that there is none: it is made again.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(engine, digest);
        let bytes = match read_protected(&path) {
            Ok(bytes) => bytes,
            Err(ArtefactError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "a compiled plug-in is not usable and is made again");
                return None;
            }
        };
        let Some((mac, code)) = bytes.split_at_checked(MAC_BYTES) else {
            tracing::warn!(path = %path.display(), "a compiled plug-in is too short");
            return None;
        };
        if hmac::verify(&self.key, &message(engine, digest, code), mac).is_err() {
            tracing::warn!(
                path = %path.display(),
                "a compiled plug-in was not written by this installation and is made again"
            );
            return None;
        }
        match deserialize(engine, OurOwn(code)) {
            Ok(compiled) => Some(Component { digest, compiled }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled plug-in does not load");
                None
            }
        }
    }

    /// Keeps machine code that our own compiler made just now, and loads it.
    pub(crate) fn store(
        &self,
        engine: &Engine,
        digest: Digest,
        code: &[u8],
    ) -> Result<Component, StoreError> {
        let mac = hmac::sign(&self.key, &message(engine, digest, code));
        let path = self.path(engine, digest);
        write_whole(&path, &[mac.as_ref(), code])?;
        load_once(engine, digest, code)
    }

    fn path(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let compatibility = hex::encode(compatibility(engine));
        self.folder.join(format!("{}-{compatibility}.artefact", digest.hex()))
    }
}

/// Loads machine code that our own compiler made just now, without keeping it.
pub(crate) fn load_once(
    engine: &Engine,
    digest: Digest,
    code: &[u8],
) -> Result<Component, StoreError> {
    let compiled = deserialize(engine, OurOwn(code)).map_err(StoreError::Unusable)?;
    Ok(Component { digest, compiled })
}

/// Why machine code was not kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// What the compiler gave is none.
    #[error("what the compiler made does not load: {0}")]
    Unusable(wasmtime::Error),
}

/// Machine code that our own compiler made: just now, or before, as its MAC says.
struct OurOwn<'a>(&'a [u8]);

fn deserialize(
    engine: &Engine,
    code: OurOwn<'_>,
) -> wasmtime::Result<wasmtime::component::Component> {
    // SAFETY: `deserialize` must only see what `precompile_component` gave. `OurOwn` is made in this
    // module only: from the output of our compiler in `store` and `load_once`, and in `load` from a
    // file that bears a MAC over it under a key which never leaves a folder that only this user can
    // read.
    #[allow(unsafe_code, reason = "the only one; see the SAFETY comment")]
    unsafe {
        wasmtime::component::Component::deserialize(engine, code.0)
    }
}

/// What a MAC is about: this code, from this component, for this engine.
fn message(engine: &Engine, digest: Digest, code: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(code.len() + 96);
    message.extend_from_slice(b"countersign artefact 1\0");
    message.extend_from_slice(&digest.0);
    message.extend_from_slice(&compatibility(engine));
    message.extend_from_slice(code);
    message
}

/// wasmtime's own hash of everything that machine code depends on: version, settings, processor.
fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Sha256(digest::Context);
    impl Hasher for Sha256 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha256(digest::Context::new(&digest::SHA256));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    crate::engine::WASMTIME_VERSION.hash(&mut hasher);
    let mut hash = [0; 32];
    hash.copy_from_slice(hasher.0.finish().as_ref());
    hash
}

fn key(path: &Path) -> Result<Zeroizing<Vec<u8>>, ArtefactError> {
    let io = |source| ArtefactError::Io { path: path.into(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
            rand::fill(&mut key).map_err(|_| ArtefactError::Random)?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(io)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let key = Zeroizing::new(read_protected(path)?);
            if key.len() == KEY_BYTES {
                Ok(key)
            } else {
                Err(ArtefactError::Shape { path: path.into(), expected: "a key of 32 bytes" })
            }
        }
        Err(source) => Err(io(source)),
    }
}

fn read_protected(path: &Path) -> Result<Vec<u8>, ArtefactError> {
    let io = |source| ArtefactError::Io { path: path.into(), source };
    let file = open_unlinked(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() || metadata.len() > ARTEFACT_BYTES {
        return Err(ArtefactError::Shape { path: path.into(), expected: "a file below 1 GiB" });
    }
    check_protected(path, &metadata, 0o600)?;
    let mut bytes = Vec::new();
    file.take(ARTEFACT_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// Opens without following a link at the end.
fn open_unlinked(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(no_follow).open(path)
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), ArtefactError> {
    let mut suffix = [0; 8];
    rand::fill(&mut suffix).map_err(|_| ArtefactError::Random)?;
    let beside = path.with_extension(format!("{}.new", hex::encode(suffix)));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&beside);
        ArtefactError::Io { path: path.into(), source }
    })
}

fn check_protected(
    path: &Path,
    metadata: &fs::Metadata,
    expected_mode: u32,
) -> Result<(), ArtefactError> {
    let expected_owner = geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner == expected_owner && mode & 0o077 == 0 {
        return Ok(());
    }
    Err(ArtefactError::Unprotected {
        path: path.into(),
        expected_owner,
        expected_mode,
        owner,
        mode,
    })
}
