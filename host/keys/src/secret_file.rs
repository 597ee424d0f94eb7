//! Secrets in files: made with mode 0600, read only where nobody else can read them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// Length of a secret made by [`create_random`], in bytes.
pub const RANDOM_SECRET_LENGTH: usize = 32;

/// No secret or key file is longer than this.
const LONGEST: u64 = 64 * 1024;

/// Who besides the owner may read a secret file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: mode 0600 or less, owned by this process's user or root.
    OwnerOnly,
    /// One group may read (mode 0640 or less): for the approval key that `verify` and `sign`,
    /// two users, share.
    OwnerAndGroup,
}

/// Why a secret file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The operating system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Others may read or write it.
    #[error(
        "{path} has mode {mode:04o}: others than its owner can read or change this secret; \
         expected {expected}. Run `chmod {expected} {path}`, and replace the secret if it may \
         have been read"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The widest that is accepted.
        expected: &'static str,
    },
    /// Someone else owns it.
    #[error("{path} belongs to uid {owner}; expected root or uid {expected}, who reads it")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// This process's user.
        expected: u32,
    },
    /// Not a plain file.
    #[error("{path} is not a regular file; expected a file with the secret in it")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Empty or unreasonably long.
    #[error("{path} holds {length} bytes; expected 1 to {LONGEST}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Reads a secret that `readers` may read.
///
/// The checks are made on the opened file, not on its path, so nobody can swap it in between.
///
/// # Errors
/// Missing, not a regular file, owned by another user, readable by more than `readers`, empty,
/// or longer than 64 KiB.
pub fn read(path: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let (mut file, length) = open_checked(path, readers)?;
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    // Room for all at once: a growing vector would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    (&mut file).take(length).read_to_end(&mut bytes).map_err(io)?;
    if bytes.is_empty() {
        return Err(SecretFileError::Length { path: path.to_owned(), length: 0 });
    }
    Ok(bytes)
}

/// Makes a new file of mode 0600 with these bytes, durable when this returns.
///
/// # Errors
/// The file exists (a secret is never overwritten) or cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(io)?;
    }
    Ok(())
}

/// Makes a new file of mode 0600 with 32 random bytes, and returns them.
///
/// # Errors
/// As [`create`]; or the system gives no random bytes.
pub fn create_random(
    path: &Path,
) -> Result<Zeroizing<[u8; RANDOM_SECRET_LENGTH]>, SecretFileError> {
    let mut secret = Zeroizing::new([0u8; RANDOM_SECRET_LENGTH]);
    rand::fill(secret.as_mut_slice()).map_err(|_| SecretFileError::Random)?;
    create(path, secret.as_slice())?;
    Ok(secret)
}

fn open_checked(path: &Path, readers: Readers) -> Result<(File, u64), SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    // Non-blocking, so that a named pipe put in the file's place does not hang the start.
    let non_blocking = rustix::fs::OFlags::NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(non_blocking).unwrap_or(0))
        .open(path)
        .map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile { path: path.to_owned() });
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != me {
        return Err(SecretFileError::Owner {
            path: path.to_owned(),
            owner: metadata.uid(),
            expected: me,
        });
    }
    let mode = metadata.mode() & 0o7777;
    let (forbidden, expected) = match readers {
        Readers::OwnerOnly => (0o077, "0600"),
        Readers::OwnerAndGroup => (0o037, "0640"),
    };
    if mode & forbidden != 0 {
        return Err(SecretFileError::Mode { path: path.to_owned(), mode, expected });
    }
    let length = metadata.len();
    if length == 0 || length > LONGEST {
        return Err(SecretFileError::Length { path: path.to_owned(), length });
    }
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file_with_mode(directory: &tempfile::TempDir, mode: u32) -> PathBuf {
        let path = directory.path().join(format!("secret-{mode:o}"));
        write(&path, b"the secret").unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_new_secret_is_random_and_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let one = create_random(&directory.path().join("one")).unwrap();
        let two = create_random(&directory.path().join("two")).unwrap();
        assert_ne!(*one, *two);
        let mode = metadata(directory.path().join("one")).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        let again = read(&directory.path().join("one"), Readers::OwnerOnly).unwrap();
        assert_eq!(again.as_slice(), one.as_slice());
    }

    #[test]
    fn a_secret_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one");
        let one = create_random(&path).unwrap();
        assert!(matches!(create_random(&path), Err(SecretFileError::Io { .. })));
        assert_eq!(read(&path, Readers::OwnerOnly).unwrap().as_slice(), one.as_slice());
    }

    #[test]
    fn a_secret_that_group_or_world_can_read_or_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o644, 0o660, 0o602, 0o777] {
            let refused = read(&file_with_mode(&directory, mode), Readers::OwnerOnly);
            assert!(
                matches!(refused, Err(SecretFileError::Mode { mode: found, .. }) if found == mode),
                "mode {mode:o}"
            );
        }
        for mode in [0o600, 0o400] {
            assert!(read(&file_with_mode(&directory, mode), Readers::OwnerOnly).is_ok());
        }
    }

    #[test]
    fn a_shared_secret_may_be_read_by_its_group_and_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(&file_with_mode(&directory, 0o640), Readers::OwnerAndGroup).is_ok());
        for mode in [0o660, 0o644, 0o641] {
            assert!(read(&file_with_mode(&directory, mode), Readers::OwnerAndGroup).is_err());
        }
    }

    #[test]
    fn the_refusal_says_what_to_do_and_not_what_the_secret_is() {
        let directory = tempfile::tempdir().unwrap();
        let text =
            read(&file_with_mode(&directory, 0o644), Readers::OwnerOnly).unwrap_err().to_string();
        assert!(text.contains("chmod 0600"), "{text}");
        assert!(!text.contains("the secret\""), "{text}");
    }

    #[test]
    fn directories_and_empty_and_endless_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            read(directory.path(), Readers::OwnerOnly),
            Err(SecretFileError::NotAFile { .. })
        ));
        let path = directory.path().join("long");
        create(&path, &vec![0u8; LONGEST as usize + 1]).unwrap();
        assert!(matches!(read(&path, Readers::OwnerOnly), Err(SecretFileError::Length { .. })));
        let path = directory.path().join("empty");
        create(&path, b"").unwrap();
        assert!(matches!(
            read(&path, Readers::OwnerOnly),
            Err(SecretFileError::Length { length: 0, .. })
        ));
    }
}
