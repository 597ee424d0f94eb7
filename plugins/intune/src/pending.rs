//! Revocations that Intune waits to hear of. A result comes back with the id of its action, and Intune
//! wants its own words, the request's context: they are kept here in between.
//!
//! By the id's first digit they lie in sixteen places of the store, because one call may write few.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_sdk::Retry;
use serde::{Deserialize, Serialize};

use crate::upstream::Call;

/// How long a result is waited for. Intune asks again for what it was not told of.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Below the largest value of the store (64 KiB).
const FULL: usize = 60 * 1024;
/// How soon to try again where another call was there first.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A context, and when it came.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Waiting {
    context: String,
    since: u64,
}

/// One place of the store.
struct Place {
    key: String,
    before: Option<Vec<u8>>,
    waiting: BTreeMap<String, Waiting>,
    octets: usize,
}

impl Place {
    fn open(call: Call<'_>, key: String) -> Result<Self, Retry> {
        let before = call.host.kv().get(&key)?;
        // What does not read as it was written is started anew: Intune asks again.
        let waiting = before.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        let mut waiting: BTreeMap<String, Waiting> = waiting.unwrap_or_default();
        let oldest = seconds(call.context.now).saturating_sub(KEPT.as_secs());
        waiting.retain(|_, one| one.since >= oldest);
        let octets = waiting.iter().map(|(id, one)| size(id, &one.context)).sum();
        Ok(Self { key, before, waiting, octets })
    }

    /// What an id stands for, if it is the one that is waited for.
    fn of(&self, id: &str) -> Option<&Waiting> {
        let waiting = self.waiting.get(digest(id))?;
        (id == format!("{}-{}", digest(id), waiting.since)).then_some(waiting)
    }

    fn close(self, call: Call<'_>) -> Result<(), Retry> {
        let kv = call.host.kv();
        if self.waiting.is_empty() {
            return Ok(kv.delete(&self.key)?);
        }
        let after = serde_json::to_vec(&self.waiting).unwrap_or_default();
        if kv.compare_and_set(&self.key, self.before.as_deref(), &after, Some(KEPT))? {
            return Ok(());
        }
        Err(Retry::new(AT_ONCE, "another call changed the revocations that are waited for"))
    }
}

/// Keeps requests by the digests of their contexts, and gives the ids of those that are kept: there
/// is room for many, not for any number.
///
/// An id is the digest and the time when the request came first. As long as Intune waits, the same
/// request has the same id, and repeating it repeats nothing; once Intune was told and asks again all
/// the same, it has another one and is heard.
pub(crate) fn keep(
    call: Call<'_>,
    contexts: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Retry> {
    let mut kept = BTreeMap::new();
    for (key, digests) in by_place(contexts.keys().map(String::as_str)) {
        let mut place = Place::open(call, key)?;
        let now = seconds(call.context.now);
        for digest in digests {
            let Some(context) = contexts.get(digest) else { continue };
            let more = size(digest, context);
            let is_known = place.waiting.contains_key(digest);
            if !is_known && place.octets.saturating_add(more) > FULL {
                continue;
            }
            let waiting = place.waiting.entry(digest.to_owned()).or_insert_with(|| {
                place.octets += more;
                Waiting { context: context.clone(), since: now }
            });
            kept.insert(digest.to_owned(), format!("{digest}-{}", waiting.since));
        }
        place.close(call)?;
    }
    Ok(kept)
}

/// The contexts of ids, as far as Intune still waits for them.
pub(crate) fn contexts<'i>(
    call: Call<'_>,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<BTreeMap<String, String>, Retry> {
    let mut found = BTreeMap::new();
    for (key, ids) in by_place(ids) {
        let place = Place::open(call, key)?;
        for id in ids {
            if let Some(waiting) = place.of(id) {
                found.insert(id.to_owned(), waiting.context.clone());
            }
        }
    }
    Ok(found)
}

/// Forgets ids that Intune was told of.
pub(crate) fn forget<'i>(
    call: Call<'_>,
    ids: impl IntoIterator<Item = &'i str>,
) -> Result<(), Retry> {
    for (key, ids) in by_place(ids) {
        let mut place = Place::open(call, key)?;
        for id in ids {
            if place.of(id).is_some() {
                place.waiting.remove(digest(id));
            }
        }
        place.close(call)?;
    }
    Ok(())
}

fn by_place<'i>(ids: impl IntoIterator<Item = &'i str>) -> BTreeMap<String, Vec<&'i str>> {
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for id in ids {
        let digit = id.chars().next().unwrap_or('0');
        places.entry(format!("revocations/{digit}")).or_default().push(id);
    }
    places
}

fn digest(id: &str) -> &str {
    id.split_once('-').map_or(id, |(digest, _)| digest)
}

/// About what an entry takes as JSON, its escapes included.
fn size(id: &str, context: &str) -> usize {
    id.len() + serde_json::to_string(context).map_or(usize::MAX / 2, |text| text.len()) + 64
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
