//! Where a database lies: file, directory and lock, and who else may touch them.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::StoreError;

/// Held as long as the database is open for writing; the kernel lets go of it when the process
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "held for the lock on it")] File);

/// Checks the directory, takes the lock, makes the file if it is missing, checks its mode.
pub(crate) fn prepare(path: &Path) -> Result<Lock, StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_directory(directory)?;
    let lock = take_lock(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => check_file(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            sync_directory(directory)?;
        }
        Err(error) => return Err(unreadable(path, &error)),
    }
    Ok(lock)
}

fn check_directory(directory: &Path) -> Result<(), StoreError> {
    let metadata = std::fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
    if !metadata.is_dir() {
        return Err(place(directory, "it is not a directory", "give a path inside a directory"));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(place(
            directory,
            format!("the directory belongs to uid {}, this process is uid {own}", metadata.uid()),
            "give the process a directory of its own (systemd: StateDirectory=)",
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(place(
            directory,
            format!(
                "the directory is writable for group or others (mode {:04o})",
                metadata.mode() & 0o7777
            ),
            format!("chmod 0700 {}", directory.display()),
        ));
    }
    Ok(())
}

fn check_file(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    if !metadata.is_file() {
        return Err(place(
            path,
            "it is not a regular file (a symbolic link counts as none)",
            "give the path of the file itself",
        ));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Err(place(
            path,
            format!("the file belongs to uid {}, this process is uid {own}", metadata.uid()),
            "start the process as the user that owns its database",
        ));
    }
    if metadata.mode() & 0o177 != 0 {
        return Err(place(
            path,
            format!("expected mode 0600, found {:04o}", metadata.mode() & 0o7777),
            format!("chmod 0600 {}", path.display()),
        ));
    }
    Ok(())
}

/// A lock file beside the database and not the database itself: closing any descriptor of the
/// database would drop SQLite's own (POSIX) locks in this process.
fn take_lock(path: &Path) -> Result<Lock, StoreError> {
    let beside = beside(path, ".lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow())
        .open(&beside)
        .map_err(|error| unreadable(&beside, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.into() }),
        Err(error) => Err(unreadable(&beside, &error.into())),
    }
}

/// SQLite gives `-wal` and `-shm` the mode of the database.
fn create(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| unreadable(path, &error))
}

pub(crate) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| unreadable(directory, &error))
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn no_follow() -> i32 {
    // The flags' bits fit: O_NOFOLLOW is a positive i32 on every Unix.
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "make the directory first, owned by this process, mode 0700",
        io::ErrorKind::PermissionDenied => "let this process's user own it",
        _ => "check the path and the file system",
    };
    place(path, error.to_string(), remedy)
}

fn place(path: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> StoreError {
    StoreError::Place { path: path.into(), problem: problem.into(), remedy: remedy.into() }
}
