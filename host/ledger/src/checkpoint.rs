use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use thiserror::Error;

use crate::{CheckpointKey, Digest, KeyError, Text, VerifyingKey};

/// A note has at most so many octets: what is longer is none.
pub(crate) const MAX_NOTE: usize = 1024;

/// Lines of a note: four of text, one empty, one signature, one empty that ends it.
pub(crate) const NOTE_LINES: usize = 7;

/// The state of a ledger at one moment, as it is signed.
///
/// As text it is a note in the manner of C2SP's `signed-note` and `tlog-checkpoint`: origin, size,
/// root in base64, `time` and seconds since 1970 UTC, an empty line, and a signature line with the
/// first four octets of the SHA-256 of the key's SubjectPublicKeyInfo before the signature (ECDSA
/// P-256 with SHA-256, DER). The root is the head of a hash chain, not of a Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// Which ledger: a name without white space.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Hash of the last entry; zeros for an empty ledger.
    pub root: Digest,
    /// When, seconds since 1970 UTC.
    pub time: u64,
}

/// Why a text is no checkpoint of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// Signed by none of the keys given.
    #[error("signed by the key {0}, which is none of those given")]
    UnknownKey(String),
    /// The signature does not fit the text.
    #[error("its signature is not valid: altered or forged")]
    BadSignature,
}

impl Checkpoint {
    /// What an origin must be, to stand in a line of its own and before a signature.
    pub(crate) fn is_origin(origin: &str) -> bool {
        (1..=128).contains(&origin.len())
            && origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+')
    }

    /// The signed note, seven lines.
    ///
    /// # Errors
    /// [`KeyError::Sign`], in theory.
    pub fn to_note(&self, key: &CheckpointKey) -> Result<String, KeyError> {
        let text = self.to_string();
        let mut signature = key.verifying_key().id().to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes())?);
        let signature = STANDARD.encode(signature);
        Ok(format!("{text}\n— {} {signature}\n\n", self.origin))
    }

    /// Reads a note and checks its signature by one of `keys`.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn from_note(note: &str, keys: &[VerifyingKey]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Malformed("too long"));
        }
        let (text, signature) =
            note.split_once("\n\n").ok_or(NoteError::Malformed("no empty line after the text"))?;
        let checkpoint = Self::from_text(text)?;

        let signature = signature
            .strip_prefix("— ")
            .and_then(|rest| rest.strip_prefix(checkpoint.origin.as_str()))
            .and_then(|rest| rest.strip_prefix(' '))
            .and_then(|rest| rest.strip_suffix("\n\n"))
            .and_then(|rest| STANDARD.decode(rest).ok())
            .ok_or(NoteError::Malformed("no signature line of its origin"))?;
        let (id, signature) = signature
            .split_first_chunk::<4>()
            .ok_or(NoteError::Malformed("the signature is too short"))?;
        let mut known = keys.iter().filter(|key| key.id() == *id).peekable();
        if known.peek().is_none() {
            return Err(NoteError::UnknownKey(hex::encode(id)));
        }
        let signed = format!("{text}\n");
        if known.any(|key| key.verify(signed.as_bytes(), signature)) {
            Ok(checkpoint)
        } else {
            Err(NoteError::BadSignature)
        }
    }

    fn from_text(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let mut line = || lines.next().ok_or(NoteError::Malformed("fewer than four lines"));
        let origin = line()?;
        if !Self::is_origin(origin) {
            return Err(NoteError::Malformed("the first line is not an origin"));
        }
        let size = line()?.parse().map_err(|_| NoteError::Malformed("no size"))?;
        let root = STANDARD
            .decode(line()?)
            .ok()
            .and_then(|root| <[u8; 32]>::try_from(root).ok())
            .ok_or(NoteError::Malformed("no root of 32 octets"))?;
        let time = line()?
            .strip_prefix("time ")
            .and_then(|time| time.parse().ok())
            .ok_or(NoteError::Malformed("no time"))?;
        let checkpoint = Self { origin: origin.to_owned(), size, root: Digest(root), time };
        // One text for one state: no leading zeros, no signs, no further lines.
        if checkpoint.to_string().strip_suffix('\n') == Some(text) {
            Ok(checkpoint)
        } else {
            Err(NoteError::Malformed("not in canonical form"))
        }
    }
}

/// The text that is signed, with the line break that ends it.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, time } = self;
        writeln!(f, "{}\n{size}\n{}\ntime {time}", Text::new(origin), STANDARD.encode(root.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, NoteError};
    use crate::{CheckpointKey, Digest};

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "ra.example/ledger".into(),
            size: 7,
            root: Digest([9; 32]),
            time: 1_700_000_000,
        }
    }

    #[test]
    fn a_note_reads_back_as_what_was_signed() {
        let key = CheckpointKey::generate().unwrap();
        let note = checkpoint().to_note(&key).unwrap();
        assert!(note.starts_with("ra.example/ledger\n7\nCQkJ"), "{note}");
        assert_eq!(note.matches('\n').count(), super::NOTE_LINES);
        let keys = [key.verifying_key().clone()];
        assert_eq!(Checkpoint::from_note(&note, &keys).unwrap(), checkpoint());
    }

    #[test]
    fn any_altered_octet_is_noticed() {
        let key = CheckpointKey::generate().unwrap();
        let note = checkpoint().to_note(&key).unwrap();
        let keys = [key.verifying_key().clone()];
        for place in 0..note.len() {
            let mut altered = note.clone().into_bytes();
            altered[place] ^= 1;
            if let Ok(altered) = String::from_utf8(altered) {
                assert!(Checkpoint::from_note(&altered, &keys).is_err(), "octet {place}");
            }
        }
    }

    #[test]
    fn another_key_is_named() {
        let note = checkpoint().to_note(&CheckpointKey::generate().unwrap()).unwrap();
        let keys = [CheckpointKey::generate().unwrap().verifying_key().clone()];
        assert!(matches!(Checkpoint::from_note(&note, &keys), Err(NoteError::UnknownKey(_))));
    }
}
