use std::time::Duration;

use super::{Backend, KvError};

/// A small store of the plug-in's own: no other plug-in sees it. See
/// [`Host::kv`](super::Host::kv).
///
/// A key is 1 to 256 bytes, a value at most 64 KiB, a time to live at least one second. Reads see
/// what this call has written. Writes made in `verify` come true in one step together with the
/// approval, when all verifiers have approved; they are lost otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a>(pub(super) &'a Backend);

impl Kv<'_> {
    /// The value of a key, if there is one that has not expired.
    ///
    /// # Errors
    ///
    /// [`KvError`], also for a key that cannot be one.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        self.0.kv_get(key)
    }

    /// Sets a value. Without a time to live it stays until it is deleted.
    ///
    /// # Errors
    ///
    /// [`KvError`]; nothing is set.
    pub fn set(
        &self,
        key: &str,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), KvError> {
        self.0.kv_set(key, value, time_to_live)
    }

    /// Sets a value if the present one is `expected` (`None`: if there is none). False, and nothing
    /// is set, if it is not.
    ///
    /// # Errors
    ///
    /// [`KvError`]; nothing is set.
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, KvError> {
        self.0.kv_compare_and_set(key, expected, value, time_to_live)
    }

    /// Removes a value. It is no error if there is none.
    ///
    /// # Errors
    ///
    /// [`KvError`]; nothing is removed.
    pub fn delete(&self, key: &str) -> Result<(), KvError> {
        self.0.kv_delete(key)
    }
}
