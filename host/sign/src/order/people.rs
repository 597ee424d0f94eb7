//! Two people reset the revocation fuse: one proposes, another confirms the very same within a
//! quarter of an hour. A restart forgets what was proposed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_config::Person;
use countersign_ipc::Peer;
use serde_json::{Value, json};

use crate::process::Process;

/// How long a proposal waits for the second person.
const PROPOSAL: Duration = Duration::from_secs(900);

/// Most orders that two people may let through at once.
const MOST_THROUGH: u32 = 1_000_000;

/// What was proposed and not confirmed yet: at most one thing.
#[derive(Debug, Default)]
pub(super) struct Proposals(Mutex<Option<Proposal>>);

#[derive(Debug, Clone)]
struct Proposal {
    person: Person,
    let_through: u32,
    at: Instant,
}

/// What asking did.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// The first person asked.
    Proposed,
    /// The second one did, for the same.
    Confirmed { first: Person },
}

impl Proposals {
    /// The first person, or the second one.
    fn ask(&self, person: &Person, let_through: u32, now: Instant) -> Result<Asked, String> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = pending.take().filter(|proposal| now.duration_since(proposal.at) < PROPOSAL);
        match fresh {
            Some(proposal) if proposal.person == *person => {
                *pending = Some(Proposal { let_through, at: now, ..proposal });
                Err(format!(
                    "{person} proposed it; another person must confirm with `countersign fuse reset \
                     --let-through {let_through}`"
                ))
            }
            Some(proposal) if proposal.let_through != let_through => {
                let message = format!(
                    "{} proposed to let {} orders through, not {let_through}; ask for the same to \
                     confirm it",
                    proposal.person, proposal.let_through
                );
                *pending = Some(proposal);
                Err(message)
            }
            Some(proposal) => Ok(Asked::Confirmed { first: proposal.person }),
            None => {
                *pending = Some(Proposal { person: person.clone(), let_through, at: now });
                Ok(Asked::Proposed)
            }
        }
    }

    fn facts(&self, now: Instant) -> Option<Value> {
        let pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let proposal = pending.as_ref()?;
        let left =
            PROPOSAL.checked_sub(now.duration_since(proposal.at)).filter(|left| !left.is_zero())?;
        Some(json!({
            "person": proposal.person.as_str(),
            "let-through": proposal.let_through,
            "seconds-left": left.as_secs(),
        }))
    }
}

impl Process {
    /// How the revocation fuse stands.
    pub(crate) async fn revocation_fuse(&self) -> Result<Value, String> {
        let limits = &self.orders.limits;
        let standing =
            self.book.revocation_fuse(limits.clone()).await.map_err(|error| error.to_string())?;
        Ok(json!({
            "blown-at": standing.blown_at,
            "blown-window": standing.blown_window,
            "let-through": standing.let_through,
            "windows": standing.fill,
            "proposal": self.orders.proposals.facts(Instant::now()),
        }))
    }

    /// One person's part in resetting it.
    pub(crate) async fn reset_revocation_fuse(
        &self,
        peer: Peer,
        let_through: u32,
        named: Option<&str>,
    ) -> Result<Value, String> {
        let person = self.orders.people.person(self.mode, peer.uid, named)?;
        if let_through > MOST_THROUGH {
            return Err(format!("at most {MOST_THROUGH} orders can be let through at once"));
        }
        let limits = self.orders.limits.clone();
        let standing =
            self.book.revocation_fuse(limits).await.map_err(|error| error.to_string())?;
        if standing.blown_at.is_none() && let_through == 0 {
            return Err("the revocation fuse has not blown; to let a planned mass revocation \
                        through, say how many with --let-through"
                .to_owned());
        }
        let asked = self.orders.proposals.ask(&person, let_through, Instant::now())?;
        let written = match &asked {
            Asked::Proposed => {
                let detail = format!("{let_through} orders to be let through");
                self.book.propose_fuse_reset(person.as_str().to_owned(), detail).await
            }
            Asked::Confirmed { first } => {
                let people = format!("{first} and {person}");
                self.book.reset_revocation_fuse(people, let_through).await
            }
        };
        written.map_err(|error| {
            self.notice(&error);
            error.to_string()
        })?;
        Ok(match asked {
            Asked::Proposed => json!({
                "state": "proposed",
                "person": person.as_str(),
                "seconds-left": PROPOSAL.as_secs(),
                "remedy": format!(
                    "another person must confirm with `countersign fuse reset --let-through {let_through}`"
                ),
            }),
            Asked::Confirmed { first } => {
                tracing::warn!(%first, second = %person, let_through, "the revocation fuse was reset");
                json!({
                    "state": "reset",
                    "persons": [first.as_str(), person.as_str()],
                    "let-through": let_through,
                })
            }
        })
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
    fn nobody_confirms_their_own_proposal() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let (anna, berta) = (person("anna"), person("berta"));
        assert_eq!(proposals.ask(&anna, 0, now), Ok(Asked::Proposed));
        assert!(proposals.ask(&anna, 0, now).unwrap_err().contains("another person"));
        assert_eq!(proposals.ask(&berta, 0, now), Ok(Asked::Confirmed { first: anna.clone() }));
        // What was confirmed is used up.
        assert_eq!(proposals.ask(&berta, 0, now), Ok(Asked::Proposed));
    }

    #[test]
    fn what_is_confirmed_is_what_was_proposed() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let (anna, berta) = (person("anna"), person("berta"));
        assert_eq!(proposals.ask(&anna, 10, now), Ok(Asked::Proposed));
        assert!(proposals.ask(&berta, 10_000, now).unwrap_err().contains("10 orders"));
        assert_eq!(proposals.ask(&berta, 10, now), Ok(Asked::Confirmed { first: anna }));
    }

    #[test]
    fn a_proposal_does_not_wait_for_ever() {
        let (proposals, now) = (Proposals::default(), Instant::now());
        let (anna, berta) = (person("anna"), person("berta"));
        assert_eq!(proposals.ask(&anna, 0, now), Ok(Asked::Proposed));
        let later = now + PROPOSAL;
        assert_eq!(proposals.facts(later), None);
        assert_eq!(proposals.ask(&berta, 0, later), Ok(Asked::Proposed));
    }
}
