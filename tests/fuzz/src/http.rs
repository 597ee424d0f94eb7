//! The query of a URL: an operation, and for GET a whole message in it.

use countersign_scep::{Bounds, Query};

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(query) = Query::parse(text, &Bounds::REQUEST) else { return false };
    query.pki_message().is_ok_and(|message| crate::messages::signed(&message))
}
