//! The bytes of a message, whatever form it was recorded in.

use countersign_scep::{Bounds, Query};

/// DER and BER begin with a SEQUENCE; base64 of one begins with `M`, like no query and no URL.
pub(super) fn message(recorded: &[u8]) -> Result<Vec<u8>, String> {
    if recorded.first() == Some(&0x30) {
        return Ok(recorded.to_vec());
    }
    let text = std::str::from_utf8(recorded)
        .map_err(|_| "neither DER nor text; expected DER, base64, or the URL of a GET".to_owned())?
        .trim();
    let raw = if let Some((_, after)) = text.split_once('?') {
        // A request line of a log ends in the version of HTTP.
        after.split_whitespace().next().unwrap_or_default().to_owned()
    } else if text.contains("message=") {
        text.to_owned()
    } else {
        let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        // `+` and `/` mean themselves in a raw query; line ends and PEM's frame are gone.
        format!("message={lines}")
    };
    Query::parse(&raw, &Bounds::with_size(Bounds::LARGEST_REQUEST))
        .and_then(|query| query.pki_message())
        .map_err(|error| format!("{error}; expected DER, base64, or the URL of a GET"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = &[0x30, 0xfb, 0xef, 0xbe, 0xff, 0xfe, 0x3f, 0x00];

    #[test]
    fn each_form_of_a_recording_gives_the_same_bytes() {
        assert_eq!(message(BYTES).unwrap(), BYTES);
        for text in [
            "MPvvvv/+PwA=",
            "MPvv\nvv/+\nPwA=\n",
            "-----BEGIN PKCS7-----\nMPvvvv/+PwA=\n-----END PKCS7-----\n",
            "operation=PKIOperation&message=MPvvvv%2F%2BPwA%3D",
            "http://ra.example/scep/wifi?operation=PKIOperation&message=MPvvvv%2F%2BPwA%3D\n",
            "GET /scep/wifi?operation=PKIOperation&message=MPvvvv_-PwA HTTP/1.1\n",
        ] {
            assert_eq!(message(text.as_bytes()).unwrap(), BYTES, "{text}");
        }
    }

    #[test]
    fn what_is_no_recording_says_what_was_expected() {
        for wrong in [&b"\xff\xfe"[..], b"hello*", b"", b"http://a/?operation=GetCACert"] {
            assert!(message(wrong).unwrap_err().contains("expected DER"), "{wrong:?}");
        }
    }
}
