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

mod place;
mod reason;
mod source;
mod state;

pub(crate) use self::place::{NewOrder, Placed, place};
pub(crate) use self::reason::Reason;
pub(crate) use self::source::Source;
pub(crate) use self::state::State;
