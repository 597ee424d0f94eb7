//! The process that faces devices and the CA: listener, CEP and REP keys, the way of a request.
//!
//! It never approves, never sees an MDM's credential, never opens the Enrollment Agent's token, and
//! tells a device nothing about why it was refused before approval.
//!
//! | Module | Is |
//! |---|---|
//! | `start` | config → keys, stores, peers; everything that can refuse a start |
//! | `listener` | TCP, TLS, Unix socket; HTTP/1.0 and 1.1 with deadlines |
//! | `scep` | URLs, queries, bodies ⇄ the way of a request |
//! | `gate` | what must be true before a device is served; readiness |
//! | `admin` | questions of the command line |

mod admin;
mod gate;
mod listener;
mod logging;
mod profiles;
mod role_keys;
mod scep;
mod source;
mod start;
mod state;

pub use start::{StartError, run};
