//! References to secrets. The file never holds a secret itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use countersign_keys::secret_file::{self, Readers, SecretFileError};
use zeroize::Zeroizing;

use crate::value::{BadValue, string_value};

/// Where a secret is: `file:/path`, or `credential:NAME` for one that systemd hands over
/// (`LoadCredential=`, `LoadCredentialEncrypted=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// A file of mode 0600 or less.
    File(PathBuf),
    /// A file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is missing, or others can read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// systemd passed no credentials.
    #[error(
        "`credential:{0}` needs $CREDENTIALS_DIRECTORY, which systemd sets; add \
         `LoadCredential={0}:/path` to the unit, or use `file:/path`"
    )]
    NoCredentials(String),
}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// Missing, owned by another user, readable by group or world, empty, or over 64 KiB.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        self.read_for(Readers::OwnerOnly)
    }

    /// Reads a secret that two processes share; its file may be readable by one group.
    ///
    /// # Errors
    /// As [`Self::read`], but mode 0640 is accepted.
    pub fn read_shared(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        self.read_for(Readers::OwnerAndGroup)
    }

    fn read_for(&self, readers: Readers) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        match self {
            Self::File(path) => Ok(secret_file::read(path, readers)?),
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read_credential(Path::new(&directory), name)
            }
        }
    }

    pub(crate) fn anchor(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&*path);
        }
    }
}

/// systemd shows a credential to its service by an access list, whose mask stands where the
/// group's bits do (mode 0440); the directory itself is closed to others.
fn read_credential(directory: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    Ok(secret_file::read(&directory.join(name), Readers::OwnerAndGroup)?)
}

impl FromStr for SecretRef {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("credential", name))
                if !name.is_empty()
                    && name.len() <= 255
                    && !name.starts_with('.')
                    && !name.contains(['/', '\0']) =>
            {
                Ok(Self::Credential(name.into()))
            }
            // The text may be the secret itself: it is not repeated.
            _ => Err(BadValue::new(
                "secret-not-a-reference",
                "expected a reference to a secret, found other text",
                "write `file:/path` (mode 0600) or `credential:NAME`; if the secret itself \
                 stood here, replace it, for it was in a file that others read",
            )),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

string_value!(SecretRef, "secret-reference", "`file:/path` or `credential:NAME`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_file_or_a_credential_and_nothing_else() {
        assert_eq!("file:/a/b".parse(), Ok(SecretRef::File("/a/b".into())));
        assert_eq!("credential:mac".parse(), Ok(SecretRef::Credential("mac".into())));
        for text in [
            "",
            "hunter2",
            "file:",
            "credential:",
            "credential:../shadow",
            "credential:.",
            "env:PIN",
            "FILE:/a",
        ] {
            assert!(text.parse::<SecretRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_written_into_the_file_is_refused_and_not_repeated() {
        let refused = "correct horse battery".parse::<SecretRef>().unwrap_err().to_string();
        assert!(!refused.contains("horse"), "{refused}");
    }

    #[test]
    fn a_secret_file_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, b"0123").unwrap();
        let reference = SecretRef::File(path.clone());
        for (mode, alone, shared) in
            [(0o600, true, true), (0o640, false, true), (0o644, false, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(reference.read().is_ok(), alone, "{mode:o}");
            assert_eq!(reference.read_shared().is_ok(), shared, "{mode:o}");
        }
    }

    #[test]
    fn a_credential_is_read_from_systemds_directory() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mac");
        std::fs::write(&path, b"0123").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert_eq!(read_credential(directory.path(), "mac").unwrap().as_slice(), b"0123");
        assert!(read_credential(directory.path(), "other").is_err());
    }
}
