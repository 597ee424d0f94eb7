//! Where a token's PIN comes from: a file, a systemd credential, or a person at a terminal.
//! Never an argument or a variable of the environment, which other processes can read.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;

use cryptoki::types::AuthPin;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::secret_file::{self, Readers, SecretFileError};

/// PKCS#11 sets no limit; no token takes more.
const LONGEST_PIN: usize = 255;

/// Where a PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PinSource {
    /// A file of mode 0600 or 0400 that holds the PIN and at most one line end.
    File(PathBuf),
    /// A file of that name in `$CREDENTIALS_DIRECTORY`, which systemd sets.
    Credential(String),
    /// A person types it at the process's terminal: manual activation after each start.
    Prompt,
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Prompt => f.write_str("prompt"),
        }
    }
}

impl PinSource {
    /// Reads the PIN; `token` is the label that a prompt names.
    ///
    /// # Errors
    /// The file is missing or others can read it; there is no terminal; the PIN is empty, too
    /// long, or holds control characters.
    pub fn read(&self, token: &str) -> Result<Pin, PinError> {
        let bytes = match self {
            Self::File(path) => secret_file::read(path, Readers::OwnerOnly)?,
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| PinError::NoCredentials(name.clone()))?;
                // systemd shows credentials by an access list, whose mask stands where the
                // group's bits do (mode 0440); the directory itself is closed to others.
                secret_file::read(&PathBuf::from(directory).join(name), Readers::OwnerAndGroup)?
            }
            Self::Prompt => ask(token)?,
        };
        Pin::new(&bytes)
    }
}

/// A token's PIN. Zeroed when dropped, never shown.
pub struct Pin(AuthPin);

impl Pin {
    /// A PIN as its bytes; one line end after it is not part of it.
    ///
    /// # Errors
    /// Empty, longer than 255 bytes, no UTF-8 (PKCS#11 asks for it), or with control characters:
    /// a second line, say.
    pub fn new(bytes: &[u8]) -> Result<Self, PinError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| PinError::Form)?;
        if text.is_empty() || text.len() > LONGEST_PIN || text.chars().any(char::is_control) {
            return Err(PinError::Form);
        }
        Ok(Self(AuthPin::from(text)))
    }

    pub(super) fn expose(&self) -> &AuthPin {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The file is missing, or others can read it (row 57).
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// systemd passed no credentials.
    #[error(
        "`credential:{0}` needs $CREDENTIALS_DIRECTORY, which systemd sets; add \
         `LoadCredentialEncrypted={0}` to the unit, or use `file:/path` or `prompt`"
    )]
    NoCredentials(String),
    /// Nobody can be asked.
    #[error(
        "the PIN is to be typed, and there is no terminal ({0}); start this process at a terminal, \
         or use `file:/path` or `credential:NAME`"
    )]
    NoTerminal(std::io::Error),
    /// No PIN.
    #[error("the PIN is not one line of 1 to 255 bytes of UTF-8 text")]
    Form,
}

/// Asks at the controlling terminal, with the echo off.
fn ask(token: &str) -> Result<Zeroizing<Vec<u8>>, PinError> {
    let terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(PinError::NoTerminal)?;
    // The label is the token's own text: no control characters reach the terminal.
    let token: String = token.chars().filter(|character| !character.is_control()).collect();
    let failed = |error: rustix::io::Errno| PinError::NoTerminal(error.into());
    let before = tcgetattr(&terminal).map_err(failed)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(failed)?;
    let answer = prompt(&terminal, &token);
    // The terminal is the person's: it echoes again whatever came of the question.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = (&terminal).write_all(b"\n");
    restored.map_err(failed)?;
    answer.map_err(PinError::NoTerminal)
}

fn prompt(mut terminal: &File, token: &str) -> std::io::Result<Zeroizing<Vec<u8>>> {
    write!(terminal, "PIN of the token `{token}`: ")?;
    terminal.flush()?;
    // Room for all at once, and read byte by byte: no copy of the PIN stays in a buffer.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_PIN + 2));
    let mut byte = Zeroizing::new([0u8]);
    while line.len() < LONGEST_PIN + 1 {
        if terminal.read(byte.as_mut_slice())? == 0 {
            break;
        }
        if byte.first() == Some(&b'\n') {
            break;
        }
        line.extend_from_slice(byte.as_slice());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_pin_and_a_second_line_is_no_pin() {
        use cryptoki::types::AuthPin;
        fn text(pin: &Pin) -> &AuthPin {
            pin.expose()
        }
        for bytes in [&b"1234"[..], b"1234\n", b"1234\r\n"] {
            let pin = Pin::new(bytes).unwrap();
            assert_eq!(format!("{:?}", text(&pin)), format!("{:?}", AuthPin::from("1234")));
        }
        for bytes in [&b""[..], b"\n", b"12\n34\n", b"12\0", &[0xff], &[b'1'; 256]] {
            assert!(matches!(Pin::new(bytes), Err(PinError::Form)), "{bytes:?}");
        }
    }

    /// Fails when `Pin` derives `Debug`, or an error repeats what it read.
    #[test]
    fn row_21_a_pin_is_never_shown() {
        let pin = Pin::new(b"hunter2").unwrap();
        assert_eq!(format!("{pin:?}"), "Pin(..)");
        let refused = Pin::new(b"hunter2\nhunter2").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }

    /// Fails when `read` takes the file with `Readers::OwnerAndGroup`, or without its checks.
    #[test]
    fn row_57_a_pin_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        std::fs::write(&path, b"1234\n").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o644, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(PinSource::File(path.clone()).read("t").is_ok(), good, "{mode:o}");
        }
    }
}
