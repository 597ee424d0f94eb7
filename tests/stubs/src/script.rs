//! What a device management answers where a serial number says how it is to behave.

use std::time::Duration;

use serde_json::Value;

use crate::Reply;

/// The answer in place of `whole`, for a device whose serial number begins with `DENIED`, `BUSY`,
/// `ERROR`, `BROKEN`, `HTML` or `SLOW`.
pub(crate) fn by_serial_number(serial_number: &str, whole: &Value) -> Option<Reply> {
    let text = whole.to_string();
    let json = |body: String| Reply::new(200, body).header("content-type", "application/json");
    let starts = |word: &str| serial_number.starts_with(word);
    if starts("DENIED") {
        Some(Reply::new(401, ""))
    } else if starts("BUSY") {
        Some(Reply::new(429, "").header("retry-after", "7"))
    } else if starts("ERROR") {
        Some(Reply::new(500, "<html>Unexpected error</html>"))
    } else if starts("BROKEN") {
        Some(json(text.chars().take(text.chars().count() / 2).collect()))
    } else if starts("HTML") {
        Some(Reply::new(200, "<html>Sign in</html>").header("content-type", "text/html"))
    } else if starts("SLOW") {
        Some(json(text.repeat(100)).dripping(Duration::from_millis(100)))
    } else {
        None
    }
}
