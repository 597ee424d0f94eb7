//! What one person proposed and another must confirm within a quarter of an hour, to the letter. A
//! restart forgets it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_config::Person;

/// How long a proposal waits for the second person.
pub(super) const PROPOSAL: Duration = Duration::from_secs(900);

/// Proposals that wait at once; the oldest gives way.
const MOST: usize = 64;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Proposals(Mutex<Vec<Proposal>>);

#[derive(Debug)]
struct Proposal {
    what: String,
    person: Person,
    at: Instant,
}

/// What asking did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nobody else has asked for it yet.
    Proposed,
    /// This person did before, and asked for the very same.
    Confirmed(Person),
}

impl Proposals {
    /// Asks for `what`, which says everything that will be done.
    pub(super) fn ask(&self, what: &str, person: &Person, now: Instant) -> Asked {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|proposal| now.duration_since(proposal.at) < PROPOSAL);
        let other =
            waiting.iter().position(|proposal| proposal.what == what && proposal.person != *person);
        if let Some(index) = other {
            let first = waiting.remove(index);
            waiting.retain(|proposal| proposal.what != what);
            return Asked::Confirmed(first.person);
        }
        waiting.retain(|proposal| proposal.what != what);
        if waiting.len() >= MOST {
            waiting.remove(0);
        }
        waiting.push(Proposal { what: what.to_owned(), person: person.clone(), at: now });
        Asked::Proposed
    }
}

#[cfg(test)]
mod tests {
    use countersign_config::{AdminSettings, Mode};

    use super::*;

    fn person(name: &str) -> Person {
        AdminSettings::default().person(Mode::Lab, 1, Some(name)).unwrap()
    }

    #[test]
    fn another_person_confirms_the_very_same_in_time() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let (anna, berta) = (person("anna"), person("berta"));
        assert_eq!(proposals.ask("a", &anna, now), Asked::Proposed);
        assert_eq!(proposals.ask("a", &anna, now), Asked::Proposed);
        assert_eq!(proposals.ask("b", &berta, now), Asked::Proposed);
        assert_eq!(proposals.ask("a", &berta, now), Asked::Confirmed(anna.clone()));
        assert_eq!(proposals.ask("a", &berta, now), Asked::Proposed);
        let later = now + PROPOSAL;
        assert_eq!(proposals.ask("a", &anna, later), Asked::Proposed);
    }
}
