//! Ids under which Microsoft's support finds a call.

use std::fmt::Write as _;

use countersign_sdk::Host;

/// A random GUID (RFC 9562 §5.4), as `client-request-id` wants it.
pub(crate) fn request_id(host: &Host) -> String {
    let mut octets = host.random::<16>();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut octets;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    octets.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, octet)| {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
