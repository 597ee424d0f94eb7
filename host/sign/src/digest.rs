//! SHA-256, as an array.

use aws_lc_rs::digest;

/// SHA-256 of `octets`.
pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    out
}
