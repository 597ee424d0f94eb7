/// What stands in for a PKCS#10 request in a case: a text in place of the DER, and in place of its
/// SHA-256 a digest, equal for requests that ask for the same and different for others. No
/// cryptography (FNV-1a, spread over 32 bytes).
pub fn stand_in(
    names: &[String],
    spki_sha256: &[u8],
    challenge: Option<&str>,
) -> (String, [u8; 32]) {
    let key: String = spki_sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{} key {key} challenge {}", names.join(" "), challenge.unwrap_or_default());
    let digest = stand_in_digest(text.as_bytes());
    (text, digest)
}

/// What stands in for the SHA-256 of octets.
pub fn stand_in_digest(octets: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (lane, part) in (0_u64..).zip(digest.chunks_exact_mut(8)) {
        let hash = octets.iter().fold(0xcbf2_9ce4_8422_2325 ^ lane, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
        part.copy_from_slice(&hash.to_be_bytes());
    }
    digest
}
