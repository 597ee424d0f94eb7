//! What a call has written, seen over what is stored, until the caller commits it or drops it.

use std::collections::HashMap;

use crate::{
    backend::{KvChange, KvExpectation, KvWrite, Redeemed, Staged},
    model::{ChallengeBinding, Secret},
};

/// One call's writes.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    writes: Vec<KvWrite>,
    by_key: HashMap<String, usize>,
    redeemed: Vec<Redeemed>,
}

impl Staging {
    /// What this call sees under a key because of its own writes; none if it has not written there.
    pub(crate) fn seen(&self, key: &str) -> Option<Option<&[u8]>> {
        let write = self.writes.get(*self.by_key.get(key)?)?;
        Some(match &write.change {
            KvChange::Set { value, .. } => Some(value),
            KvChange::Delete => None,
        })
    }

    /// Keys written.
    pub(crate) fn written(&self) -> usize {
        self.writes.len()
    }

    /// Puts a change over what is there. The expectation is kept from the first write to the key:
    /// later ones were compared with what this call wrote itself.
    pub(crate) fn write(&mut self, key: &str, expected: KvExpectation, change: KvChange) {
        let known = self.by_key.get(key).and_then(|index| self.writes.get_mut(*index));
        match known {
            Some(write) => write.change = change,
            None => {
                self.by_key.insert(key.to_owned(), self.writes.len());
                self.writes.push(KvWrite { key: key.to_owned(), expected, change });
            }
        }
    }

    /// Notes a challenge that was found good.
    pub(crate) fn redeem(&mut self, text: &str, binding: ChallengeBinding) {
        if self.redeemed.iter().all(|earlier| earlier.text.expose() != text) {
            self.redeemed.push(Redeemed { text: Secret::new(text), binding });
        }
    }

    /// Hands everything to the caller.
    pub(crate) fn into_staged(self) -> Staged {
        Staged { kv_writes: self.writes, redeemed: self.redeemed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> KvChange {
        KvChange::Set { value: value.into(), ttl_seconds: None }
    }

    #[test]
    fn later_writes_to_a_key_replace_earlier_ones_but_keep_what_was_compared() {
        let mut staging = Staging::default();
        staging.write("a", KvExpectation::Nothing, set("1"));
        staging.write("a", KvExpectation::Anything, set("2"));
        assert_eq!(staging.seen("a"), Some(Some(b"2".as_slice())));
        let staged = staging.into_staged();
        assert_eq!(
            staged.kv_writes,
            [KvWrite { key: "a".into(), expected: KvExpectation::Nothing, change: set("2") }]
        );
    }

    #[test]
    fn a_deleted_key_is_seen_as_absent_and_an_untouched_one_not_at_all() {
        let mut staging = Staging::default();
        staging.write("a", KvExpectation::Anything, KvChange::Delete);
        assert_eq!(staging.seen("a"), Some(None));
        assert_eq!(staging.seen("b"), None);
    }
}
