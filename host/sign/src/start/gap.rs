//! A ledger that cannot be what it was: an operator takes note, for everybody to see for ever.

use countersign_config::{Loaded, Mode};
use countersign_ledger::{CheckpointSettings, Ledger, LedgerError, OpenError};
use countersign_store::{Owner, Store};

use super::{ORIGIN, StartError, checkpoint_key, doors, state_directory};
use crate::clock::Clock;
use crate::digest::sha256;
use crate::schema::MIGRATIONS;

/// What an operator says to a gap.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// Who takes note: a person, as others know them.
    pub who: String,
    /// What happened, in their words.
    pub reason: String,
    /// The word that the first call gave: whoever repeats it has read what is lost.
    pub confirm: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Nothing is lost; nothing was written.
    None,
    /// This is lost. Nothing was written: to accept it, call again with the word.
    Found {
        /// What.
        problem: String,
        /// Belongs to this loss and no other.
        word: String,
    },
    /// It is in the ledger; `sign` will start.
    Accepted {
        /// What.
        problem: String,
    },
}

/// Looks what keeps the ledger from being opened, and records it as a gap where the operator
/// confirmed it. `sign` must not run. Damaged entries, a bad checkpoint and a foreign file are never
/// accepted. Blocks.
///
/// # Errors
/// [`StartError`]: what cannot be read, or cannot be accepted.
pub fn accept_gap(loaded: &Loaded, clock: &Clock, said: &Acceptance) -> Result<Gap, StartError> {
    let config = &loaded.config;
    // The same user that `sign` runs as, or its files would be another's afterwards.
    doors(config)?;
    let lab = config.mode == Mode::Lab;
    let state = state_directory(&config.sign.state, config.mode)?;
    let store = Store::open(&state.join("sign.db"), Owner::Sign, MIGRATIONS)?;
    let settings = || -> Result<_, StartError> {
        Ok(CheckpointSettings {
            path: config.sign.checkpoint.file.clone(),
            origin: ORIGIN.to_owned(),
            key: checkpoint_key(config)?,
            older_keys: Vec::new(),
        })
    };
    let now = clock.now();
    let error = match Ledger::open(&store, settings()?, now) {
        Ok(_) => return Ok(Gap::None),
        Err(error) => error,
    };
    let problem = error.to_string();
    let word = match &error {
        OpenError::Truncated { size, entries, .. } => {
            word(&["truncated", &size.to_string(), &entries.to_string()])
        }
        OpenError::Differs { size, found, .. } => {
            word(&["differs", &size.to_string(), &found.to_string()])
        }
        OpenError::CheckpointsMissing { entries, .. } => {
            word(&["checkpoints", &entries.to_string()])
        }
        OpenError::Ledger(LedgerError::ClockBackwards { last, .. }) => {
            word(&["clock", &last.to_string()])
        }
        _ => return Err(error.into()),
    };
    if said.confirm.as_deref() != Some(word.as_str()) {
        return Ok(Gap::Found { problem, word });
    }
    Ledger::open_after_gap(&store, settings()?, &said.who, &said.reason, lab, now)?;
    Ok(Gap::Accepted { problem })
}

/// Eight characters that stand for this loss.
fn word(parts: &[&str]) -> String {
    let mut word = hex::encode(sha256(parts.join("\n").as_bytes()));
    word.truncate(8);
    word
}
