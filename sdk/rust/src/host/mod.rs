//! What the host does for a plug-in, each grant by grant.

mod challenges;
#[cfg(target_arch = "wasm32")]
mod contract;
mod error;
mod http;
mod kv;
mod log;
mod secrets;

pub use self::challenges::{Binding, Challenges};
pub use self::error::{HttpError, IssueError, KvError, RedeemError, SecretError};
pub use self::http::{Http, HttpRequest, HttpResponse};
pub use self::kv::Kv;
pub use self::log::{Level, Log};
pub use self::secrets::Secrets;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::contract::Backend;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::mock::Backend;

/// The powers that a plug-in was granted, handed to every call that does work.
///
/// A power that the code never uses does not end up in the component, so it needs no grant. Outside
/// WebAssembly the host is always a [mock](crate::mock::Host).
#[derive(Debug)]
pub struct Host {
    backend: Backend,
}

impl Host {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend }
    }

    /// Lines in the host's log. Every component imports it, to report panics.
    pub fn log(&self) -> Log<'_> {
        Log(&self.backend)
    }

    /// One-time challenges that the host keeps.
    pub fn challenges(&self) -> Challenges<'_> {
        Challenges(&self.backend)
    }

    /// The plug-in's own small store.
    pub fn kv(&self) -> Kv<'_> {
        Kv(&self.backend)
    }

    /// Requests over HTTPS to the hosts that were granted.
    pub fn http(&self) -> Http<'_> {
        Http(&self.backend)
    }

    /// Random bytes, from the system's source; for nonces. In the [mock](crate::mock::Host), bytes
    /// that count up, so that recorded calls are repeatable. Needs no grant.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.backend.fill_random(&mut bytes);
        bytes
    }

    /// Keys used by reference.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(&self.backend)
    }
}
