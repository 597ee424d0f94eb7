//! Every checkpoint, against each other and against the database.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{Collector, Fault};
use super::{Report, Witness};
use crate::checkpoint_file::{Item, read_all};
use crate::{Checkpoint, Digest, Gap, Lost};

/// A valid checkpoint and where it stands.
pub(super) struct Found {
    pub(super) checkpoint: Checkpoint,
    file: Arc<PathBuf>,
    number: u64,
}

/// Reads all files; keeps what is signed and of one origin.
pub(super) fn read(witness: &Witness, report: &mut Report, faults: &mut Collector) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for path in &witness.files {
        let file = Arc::new(path.clone());
        let read = read_all(path, &witness.keys, |item| match item {
            Item::Torn => report.torn.push(path.clone()),
            Item::Note { number, checkpoint: Err(problem) } => {
                let (file, problem) = (path.clone(), problem.to_string());
                faults.add(Fault::BadCheckpoint { file, number, problem });
            }
            Item::Note { number, checkpoint: Ok(checkpoint) } => match all.first() {
                Some(first) if first.checkpoint.origin != checkpoint.origin => {
                    faults.add(Fault::ForeignOrigin {
                        file: path.clone(),
                        number,
                        expected: first.checkpoint.origin.clone(),
                        found: checkpoint.origin,
                    });
                }
                _ => all.push(Found { checkpoint, file: Arc::clone(&file), number }),
            },
        });
        if let Err(error) = read {
            let problem = format!("{}: {error}", path.display());
            faults.add(Fault::Unreadable { problem });
        }
    }
    all
}

/// Holds `checkpoints` against the roots that the database has at their sizes.
pub(super) fn compare(
    checkpoints: Vec<Found>,
    roots: &BTreeMap<u64, Digest>,
    report: &mut Report,
    faults: &mut Collector,
) {
    let (fitting, others): (Vec<_>, Vec<_>) = checkpoints
        .into_iter()
        .partition(|found| roots.get(&found.checkpoint.size) == Some(&found.checkpoint.root));
    report.checkpoints = fitting.len() as u64;
    report.covered = fitting.iter().map(|found| found.checkpoint.size).max().unwrap_or(0);

    let mut at_size: BTreeMap<u64, &Found> = BTreeMap::new();
    for found in &fitting {
        at_size.entry(found.checkpoint.size).or_insert(found);
    }
    for found in &others {
        let Checkpoint { size, root, time, .. } = found.checkpoint;
        if report.gaps.iter().any(|gap| explains(gap, size, report.covered)) {
            report.explained += 1;
            continue;
        }
        match at_size.get(&size) {
            Some(other) if other.checkpoint.root != root => {
                faults.add(Fault::Fork {
                    size,
                    first_file: other.file.to_path_buf(),
                    first: other.checkpoint.root,
                    second_file: found.file.to_path_buf(),
                    second: root,
                });
            }
            Some(_) => {}
            None => {
                at_size.insert(size, found);
            }
        }
        let file = found.file.to_path_buf();
        let number = found.number;
        faults.add(match roots.get(&size) {
            Some(root_found) => {
                Fault::Differs { file, number, size, time, expected: root, found: *root_found }
            }
            None => Fault::Truncated { file, number, size, time, entries: report.entries },
        });
    }
}

/// Whether an operator recorded that what a checkpoint of `size` entries says is lost, in an entry
/// that a later checkpoint covers.
fn explains((index, gap): &(u64, Gap), size: u64, covered: u64) -> bool {
    match gap.lost {
        // Either entries from the gap's index on were cut off, and those before must still fit, or
        // the database had as many entries, but others.
        Lost::Entries { size: lost, .. } => {
            (*index < size || lost <= *index) && size <= lost && *index < covered
        }
        Lost::Checkpoints | Lost::Clock { .. } => false,
    }
}
