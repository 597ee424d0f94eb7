//! The CA's answer to a request.

use countersign_authority::read_wstep_answer;

/// The message that the recorded answers relate to.
const ASKED: &str = "urn:uuid:b5d1a601-5091-4a7d-b34b-5204c18b5919";

pub(crate) fn run(bytes: &[u8]) -> bool {
    read_wstep_answer(bytes, ASKED).is_ok()
}
