use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::KvError;

const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 64 * 1024;

/// A plug-in's store: what came true, and what the running call has written.
#[derive(Default)]
pub(super) struct Store {
    values: BTreeMap<String, Value>,
    written: BTreeMap<String, Option<Value>>,
}

#[derive(Clone)]
struct Value {
    bytes: Vec<u8>,
    expires: Option<SystemTime>,
}

impl Store {
    pub(super) fn put(&mut self, key: String, bytes: Vec<u8>) {
        self.values.insert(key, Value { bytes, expires: None });
    }

    pub(super) fn get(&self, key: &str, now: SystemTime) -> Option<Vec<u8>> {
        self.values.get(key).and_then(|value| value.at(now))
    }

    pub(super) fn read(&self, key: &str, now: SystemTime) -> Result<Option<Vec<u8>>, KvError> {
        check_key(key)?;
        Ok(match self.written.get(key) {
            Some(written) => written.as_ref().and_then(|value| value.at(now)),
            None => self.get(key, now),
        })
    }

    pub(super) fn write(
        &mut self,
        key: &str,
        bytes: &[u8],
        time_to_live: Option<Duration>,
        now: SystemTime,
    ) -> Result<(), KvError> {
        check_key(key)?;
        if bytes.len() > LONGEST_VALUE {
            return Err(KvError::Invalid(format!("{} bytes are over 64 KiB", bytes.len())));
        }
        if time_to_live.is_some_and(|duration| duration.is_zero()) {
            return Err(KvError::Invalid("a time to live is at least one second".into()));
        }
        let expires = time_to_live.and_then(|duration| now.checked_add(duration));
        self.written.insert(key.to_owned(), Some(Value { bytes: bytes.to_vec(), expires }));
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &str) -> Result<(), KvError> {
        check_key(key)?;
        self.written.insert(key.to_owned(), None);
        Ok(())
    }

    pub(super) fn commit(&mut self) {
        for (key, written) in std::mem::take(&mut self.written) {
            match written {
                Some(value) => self.values.insert(key, value),
                None => self.values.remove(&key),
            };
        }
    }

    pub(super) fn discard(&mut self) {
        self.written.clear();
    }
}

impl Value {
    fn at(&self, now: SystemTime) -> Option<Vec<u8>> {
        self.expires.is_none_or(|expires| now < expires).then(|| self.bytes.clone())
    }
}

fn check_key(key: &str) -> Result<(), KvError> {
    if (1..=LONGEST_KEY).contains(&key.len()) {
        Ok(())
    } else {
        Err(KvError::Invalid(format!("a key is 1 to 256 bytes, not {}", key.len())))
    }
}
