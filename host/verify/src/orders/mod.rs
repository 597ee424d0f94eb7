//! Revocation orders: from whoever wants a certificate revoked to the revoker that does it.
//!
//! Every order is a row of one table, whoever placed it. A certificate has at most one, so placing
//! twice changes nothing.
//!
//! ```text
//! placed ─▶ signed ─▶ carried-out | nothing-to-do
//!    │        ▲  │
//!    ▼        │  └──▶ failed ─▶ (served again until the revoker confirms) ─▶ carried-out | …
//!   held ─────┘              └▶ failed for good: for a person
//!    └──▶ withdrawn
//! ```
//!
//! `held` is the word of `sign`: its revocation fuse has blown, and waits for two people.
//!
//! | Module | Is |
//! |---|---|
//! | `place` | the one way into the table |
//! | `signing` | placed orders go to `sign`; ends go to its ledger |
//! | `listener` | where revokers connect: TLS, with a client certificate each |
//! | `answer` | what they may ask: a page of signed orders; and tell: results |
//! | `result` | what became of orders, by the revoker's word |
//! | `by_hand` | people revoke, alone up to a number, and take back what is held |
//! | `list` | open orders, and what came to nothing |

mod answer;
mod by_hand;
mod list;
mod listener;
mod place;
mod proposal;
mod reason;
mod result;
mod signing;
mod source;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use countersign_config::{AdminSettings, Config, Mode};
use countersign_ipc::{Client, SignReply, SignRequest};
use countersign_profile::Name;
use countersign_store::Store;

pub(crate) use self::by_hand::Target;
pub(crate) use self::listener::Listener;
pub(crate) use self::place::{NewOrder, Placed, place};
use self::proposal::Proposals;
pub(crate) use self::reason::Reason;
pub(crate) use self::signing::run;
pub(crate) use self::source::Source;
pub(crate) use self::state::State;

/// Everything that orders need beside their table.
#[derive(Debug)]
pub(crate) struct Orders {
    store: Store,
    sign: Client<SignRequest, SignReply>,
    /// Without an order key orders stay placed.
    are_signed: bool,
    revokers: Vec<Revoker>,
    /// The authority of each profile.
    authorities: BTreeMap<String, String>,
    mode: Mode,
    people: AdminSettings,
    /// Certificates that one person may order revoked in a day.
    alone_per_day: u32,
    proposals: Proposals,
}

/// One revoker of the config.
#[derive(Debug)]
struct Revoker {
    name: String,
    client: Name,
    authorities: Vec<String>,
}

impl Orders {
    pub(crate) fn new(config: &Config, store: Store, sign: Client<SignRequest, SignReply>) -> Self {
        let revokers = config.revoker.iter().map(|(name, revoker)| Revoker {
            name: name.clone(),
            client: revoker.client.clone(),
            authorities: revoker.authorities.clone(),
        });
        Self {
            store,
            sign,
            are_signed: config.sign.order.is_some(),
            revokers: revokers.collect(),
            authorities: config
                .profile
                .iter()
                .map(|(name, profile)| (name.clone(), profile.authority.clone()))
                .collect(),
            mode: config.mode,
            people: config.admin.clone(),
            alone_per_day: config.verify.revocation.alone_per_day,
            proposals: Proposals::default(),
        }
    }

    /// The revoker whose certificate carries these names. A certificate that carries the names of
    /// two is nobody's.
    fn revoker(&self, names: &[Name]) -> Option<&Revoker> {
        let mut found = self.revokers.iter().filter(|revoker| names.contains(&revoker.client));
        found.next().filter(|_| found.next().is_none())
    }
}

/// SQLite's numbers have a sign; a number or a time beyond 63 bits is none of ours.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
