//! One sequence of octets for one body: sorted keys, no white space, no fractions.

use serde::Serialize;
use serde_json::Value;

use crate::LedgerError;
use crate::text::is_deceptive;

/// A body has at most so many octets. What strangers provoke is far smaller.
pub const MAX_BODY: usize = 64 * 1024;

/// Deepest nesting of objects and lists.
const MAX_DEPTH: u32 = 16;

/// The canonical JSON of `body`.
pub(crate) fn to_canonical<B: Serialize>(kind: &str, body: &B) -> Result<String, LedgerError> {
    let not_canonical =
        |problem: String| LedgerError::NotCanonical { kind: kind.to_owned(), problem };
    let value = serde_json::to_value(body).map_err(|error| not_canonical(error.to_string()))?;
    let mut text = String::with_capacity(512);
    write_value(&mut text, &value, MAX_DEPTH).map_err(|problem| not_canonical(problem.into()))?;
    if text.len() > MAX_BODY {
        return Err(LedgerError::TooLarge { kind: kind.to_owned(), octets: text.len() });
    }
    Ok(text)
}

/// Whether `text` is exactly what [`to_canonical`] would write for what it says.
pub(crate) fn check_canonical(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BODY {
        return Err(format!("{} octets, more than {MAX_BODY}", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut again = String::with_capacity(text.len());
    write_value(&mut again, &value, MAX_DEPTH)?;
    if !value.is_object() {
        return Err("not a JSON object".into());
    }
    if again == text { Ok(value) } else { Err("not in canonical form".into()) }
}

fn write_value(out: &mut String, value: &Value, depth: u32) -> Result<(), &'static str> {
    let depth = depth.checked_sub(1).ok_or("nested too deeply")?;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => out.push_str(&number.to_string()),
            (None, Some(number)) => out.push_str(&number.to_string()),
            (None, None) => return Err("a fraction or a number beyond 64 bits"),
        },
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_value(out, item, depth)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (place, (key, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, member, depth)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// RFC 8259 §7, and nothing in it that could deceive whoever prints the database raw.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_deceptive(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::{MAX_BODY, check_canonical, to_canonical};
    use crate::LedgerError;

    #[test]
    fn keys_are_sorted_and_nothing_is_between_them() {
        let body = serde_json::json!({"b": [1, -2, null, true], "a": {"z": "ü\"\\", "y": {}}});
        let text = to_canonical("test", &body).unwrap();
        assert_eq!(text, r#"{"a":{"y":{},"z":"ü\"\\"},"b":[1,-2,null,true]}"#);
        assert_eq!(check_canonical(&text).unwrap(), body);
    }

    #[test]
    fn deceptive_characters_are_escaped_and_read_back_the_same() {
        let body = serde_json::json!({"a": "\u{1b}\n\u{85}\u{202e}\u{e0041}"});
        let text = to_canonical("test", &body).unwrap();
        assert_eq!(text, r#"{"a":"\u001b\u000a\u0085\u202e\udb40\udc41"}"#);
        assert_eq!(check_canonical(&text).unwrap(), body);
    }

    #[test]
    fn fractions_depth_and_size_are_refused() {
        let refused = |body: serde_json::Value| to_canonical("test", &body).unwrap_err();
        assert!(matches!(refused(serde_json::json!({"a": 0.5})), LedgerError::NotCanonical { .. }));
        let deep = (0..40).fold(serde_json::json!({}), |deep, _| serde_json::json!({"a": deep}));
        assert!(matches!(refused(deep), LedgerError::NotCanonical { .. }));
        let large = serde_json::json!({"a": "x".repeat(MAX_BODY)});
        assert!(matches!(refused(large), LedgerError::TooLarge { .. }));
    }

    #[test]
    fn other_spellings_of_the_same_body_are_not_canonical() {
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"\u0041"}"#,
            r#"{"a":1}x"#,
            "[]",
            "",
        ] {
            assert!(check_canonical(text).is_err(), "{text}");
        }
    }
}
