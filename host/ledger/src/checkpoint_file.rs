//! The file of checkpoints: notes one after another, only ever appended to.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use countersign_fail_points::{Point, reached};

use crate::checkpoint::{MAX_NOTE, NOTE_LINES};
use crate::{Checkpoint, LedgerError, NoteError, OpenError, VerifyingKey};

/// Enough of the end of a file to hold one whole note and a torn one.
const TAIL: u64 = 4 * MAX_NOTE as u64;

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    file: File,
    /// Octets up to the end of the last whole note.
    length: u64,
    /// The last append failed and may have left a part of a note.
    torn: bool,
}

impl CheckpointFile {
    /// Opens or makes the file and reads its last checkpoint.
    ///
    /// A note that a power failure cut short was never acknowledged to anybody: it is removed.
    pub(crate) fn open(
        path: &Path,
        keys: &[VerifyingKey],
    ) -> Result<(Self, Option<Checkpoint>), OpenError> {
        let unusable = |error: std::io::Error| OpenError::File {
            path: path.into(),
            problem: error.to_string(),
            remedy: "give a path in a directory that `sign` may write, outside its database's",
        };
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(no_follow)
            .open(path)
            .map_err(unusable)?;
        sync_directory(path).map_err(unusable)?;
        let metadata = file.metadata().map_err(unusable)?;
        if !metadata.is_file() || metadata.mode() & 0o022 != 0 {
            return Err(OpenError::File {
                path: path.into(),
                problem: format!(
                    "expected a regular file that only its owner may write, found mode {:04o}",
                    metadata.mode() & 0o7777
                ),
                remedy: "chmod 0644, and look who wrote to it",
            });
        }

        let length = metadata.len();
        let begin = length.saturating_sub(TAIL);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(begin)).map_err(unusable)?;
        (&mut file).take(TAIL).read_to_end(&mut tail).map_err(unusable)?;
        let (note, torn) = last_note(&tail);
        let last = match note {
            None if begin > 0 => {
                let problem = NoteError::Malformed("its last 4 KiB hold no whole note");
                return Err(OpenError::BadCheckpoint { path: path.into(), problem });
            }
            None => None,
            Some(note) => Some(
                std::str::from_utf8(note)
                    .map_err(|_| NoteError::Malformed("not UTF-8"))
                    .and_then(|note| Checkpoint::from_note(note, keys))
                    .map_err(|problem| OpenError::BadCheckpoint { path: path.into(), problem })?,
            ),
        };
        if torn > 0 {
            tracing::warn!(path = %path.display(), octets = torn, "removing a checkpoint cut short");
            file.set_len(length - torn as u64).and_then(|()| file.sync_all()).map_err(|error| {
                OpenError::File {
                    path: path.into(),
                    problem: format!("its last {torn} octets are a checkpoint cut short, and they cannot be removed: {error}"),
                    remedy: "remove them by hand (chattr -a first, where it is set)",
                }
            })?;
        }
        let length = length - torn as u64;
        Ok((Self { path: path.into(), file, length, torn: false }, last))
    }

    /// Appends one note; durable when this returns.
    pub(crate) fn append(&mut self, note: &str) -> Result<(), LedgerError> {
        self.try_append(note).map_err(|error| LedgerError::CheckpointFile {
            path: self.path.clone(),
            problem: error.to_string(),
        })
    }

    /// A part of a note in the middle of the file would spoil the proof for ever.
    fn try_append(&mut self, note: &str) -> std::io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        // Two writes, so that a test can end the process between them.
        let (head, tail) = note.as_bytes().split_at(note.len() / 2);
        reached(Point::CheckpointNext);
        let written = self.file.write_all(head).and_then(|()| {
            reached(Point::CheckpointTorn);
            self.file.write_all(tail)?;
            self.file.sync_all()
        });
        reached(Point::CheckpointWritten);
        match written {
            Ok(()) => self.length += note.len() as u64,
            Err(_) => self.torn = self.file.set_len(self.length).is_err(),
        }
        written
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads every note of a file, in order, without trusting it. The last item may be
/// [`Item::Torn`].
pub(crate) fn read_all(
    path: &Path,
    keys: &[VerifyingKey],
    mut each: impl FnMut(Item),
) -> std::io::Result<()> {
    let mut input = BufReader::new(File::open(path)?);
    let mut number = 0;
    while let Some(note) = read_note(&mut input)? {
        match note {
            None => each(Item::Torn),
            Some(note) => {
                number += 1;
                each(Item::Note { number, checkpoint: Checkpoint::from_note(&note, keys) });
            }
        }
    }
    Ok(())
}

pub(crate) enum Item {
    /// The `number`-th note, from 1.
    Note { number: u64, checkpoint: Result<Checkpoint, NoteError> },
    /// The file ends within a note.
    Torn,
}

/// Lines up to a signature and the empty one after it; an inner none where the file ends before.
/// What has lost its shape is read on to the next signature, and kept only as far as a note goes.
fn read_note(input: &mut impl BufRead) -> std::io::Result<Option<Option<String>>> {
    let mut note = Vec::new();
    let mut line = Vec::new();
    let mut last = false;
    loop {
        line.clear();
        input.by_ref().take(MAX_NOTE as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok((!note.is_empty()).then_some(None));
        }
        if note.len() <= MAX_NOTE {
            note.extend_from_slice(&line);
        }
        if last {
            return Ok(Some(Some(String::from_utf8_lossy(&note).into_owned())));
        }
        last = is_signature(&line);
    }
}

/// The last whole note in `tail`, and how many octets after it belong to none.
fn last_note(tail: &[u8]) -> (Option<&[u8]>, usize) {
    let lines: Vec<&[u8]> = tail.split_inclusive(|octet| *octet == b'\n').collect();
    let ends = |place: usize| {
        lines.get(place).is_some_and(|line| is_signature(line))
            && lines.get(place + 1).is_some_and(|line| *line == b"\n")
    };
    let Some(signature) = (0..lines.len()).rev().find(|place| ends(*place)) else {
        return (None, tail.len());
    };
    let octets = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum::<usize>();
    let first = (signature + 2).saturating_sub(NOTE_LINES);
    let begin = octets(lines.get(..first).unwrap_or_default());
    let end = octets(lines.get(..signature + 2).unwrap_or_default());
    (tail.get(begin..end), tail.len() - end)
}

fn is_signature(line: &[u8]) -> bool {
    line.starts_with("— ".as_bytes()) && line.ends_with(b"\n")
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::{CheckpointFile, OpenOptions, read_all};
    use crate::{Checkpoint, CheckpointKey, Digest};

    #[test]
    fn what_a_failed_append_left_is_removed_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoints");
        let key = CheckpointKey::generate().unwrap();
        let keys = [key.verifying_key().clone()];
        let note = |size| {
            let checkpoint =
                Checkpoint { origin: "test".into(), size, root: Digest::default(), time: 0 };
            checkpoint.to_note(&key).unwrap()
        };
        let (mut file, _) = CheckpointFile::open(&path, &keys).unwrap();
        file.append(&note(0)).unwrap();

        // A full disk takes a part of the note; here the handle takes nothing, and the part is
        // put there by hand.
        let good = std::mem::replace(&mut file.file, File::open(&path).unwrap());
        file.append(&note(1)).unwrap_err();
        let part = note(1).split_at(20).0.to_owned();
        let mut by_hand = OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut by_hand, part.as_bytes()).unwrap();
        file.append(&note(1)).unwrap_err();

        file.file = good;
        file.append(&note(2)).unwrap();
        let mut sizes = Vec::new();
        read_all(&path, &keys, |item| match item {
            super::Item::Note { checkpoint, .. } => sizes.push(checkpoint.unwrap().size),
            super::Item::Torn => panic!("torn"),
        })
        .unwrap();
        assert_eq!(sizes, [0, 2]);
    }
}
