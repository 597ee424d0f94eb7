//! The process that runs verifiers: plug-ins, challenges, kv, and the key that seals approvals.
//!
//! It never holds a certificate key, never listens for devices, and never treats absence, a trap, a
//! time-out or an odd answer as approval.
//!
//! | Module | Is |
//! |---|---|
//! | `start` | config → plug-ins installed, sockets bound; everything that can refuse a start |
//! | `question` | a CSR as a plug-in sees it; no guest needs an ASN.1 parser |
//! | `decision` | all verifiers asked, their word intersected with the profile, committed, sealed |
//! | `challenges` | one-time challenges: issued, staged, bound to one request, spent |
//! | `clock` | how late it has been: nothing is decided before that |
//! | `abuse` | challenges that are refused again and again: counted, alarmed, locked |
//! | `issuing` | the one way to a challenge, for admins and device managements |
//! | `renewal` | renewals, validated here and nowhere else |
//! | `kv` | the plug-ins' key-value spaces |
//! | `outcome` | what became of approvals |
//! | `orders` | revocation orders, from whoever places them to the revoker that confirms |
//! | `devices` | which certificates a device has, and which plug-in reaches them |
//! | `tombstone` | devices that get no further certificate |
//! | `events` | what device managements say of devices, and what comes of it |
//! | `outbox` | verifiers are told what became of their approvals |
//! | `mdm` | where device managements fetch challenges and post events |
//! | `counters` | what metrics count |
//! | `admin` | questions of the command line |

mod abuse;
mod admin;
mod backend;
mod certificate;
mod challenges;
mod clock;
mod counters;
mod decision;
mod denials;
mod devices;
mod events;
mod issuing;
mod kv;
mod logging;
mod mdm;
mod names;
mod orders;
mod outbox;
mod outcome;
mod question;
mod renewal;
mod schema;
mod start;
mod tombstone;

pub use clock::accept_clock;
pub use start::{StartError, run};
