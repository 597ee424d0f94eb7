//! What a device management may say about the device, strictly read: a misspelt key would be a
//! challenge that is bound to less than was meant.

use countersign_profile::Name;
use serde::Deserialize;
use url::form_urlencoded;

/// The longest query.
const LONGEST_QUERY: usize = 8 * 1024;

/// The longest text of `Params` that a plug-in is given.
const LONGEST_PARAMS: usize = 4 * 1024;

/// The attribute under which a plug-in is given `Params` that are not JSON.
pub(super) const PARAMS: &str = "ndes-params";

/// The body of `/challenge/<profile>`, and `Params` where they are JSON.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Question {
    /// Names that the device will ask for.
    pub(super) names: Vec<Name>,
    /// What the device management calls it.
    pub(super) device_id: Option<String>,
    /// Seconds that the challenge shall live.
    pub(super) ttl_seconds: Option<u64>,
}

impl Question {
    /// Reads a body; nothing at all asks for a challenge without names.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let bad = |found: &str| {
            format!(
                "expected a JSON object with `names`, `device-id` and `ttl-seconds`, found: {found}"
            )
        };
        // A list would be read as the members in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(bad("something else"));
        }
        serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))
    }
}

/// What the page is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// The page for people and parsers.
    Page,
    /// `NDESGenerateChallenge`: the challenge alone.
    Challenge,
    /// `NDESGetCACertThumbprint`.
    Thumbprint,
}

/// A query of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    pub(super) operation: Operation,
    pub(super) question: Question,
    /// `Params` that are not ours, and `keyUsage`: for the plug-in.
    pub(super) attributes: Vec<(String, String)>,
}

impl PageQuery {
    /// Reads a query, in which nothing may stand twice and nothing unknown.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        if query.len() > LONGEST_QUERY {
            return Err(format!("expected a query of at most {LONGEST_QUERY} octets"));
        }
        let (mut operation, mut params, mut key_usage) = (None, None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match key.to_ascii_lowercase().as_str() {
                "operation" => &mut operation,
                "params" => &mut params,
                "keyusage" => &mut key_usage,
                _ => return Err(format!("unknown key `{}` in the query", key.escape_debug())),
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(format!("`{}` stands twice in the query", key.escape_debug()));
            }
        }
        let operation = match operation.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Operation::Page,
            Some("ndesgeneratechallenge") => Operation::Challenge,
            Some("ndesgetcacertthumbprint") => Operation::Thumbprint,
            Some(_) => {
                return Err(
                    "expected operation NDESGenerateChallenge or NDESGetCACertThumbprint".into()
                );
            }
        };
        let mut attributes = Vec::new();
        if let Some(usage) = key_usage.filter(|usage| !usage.is_empty()) {
            if usage.len() > 16 || !usage.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("expected keyUsage in hexadecimal".into());
            }
            attributes.push(("ndes-key-usage".to_owned(), usage));
        }
        let mut question = Question::default();
        match params.filter(|params| !params.trim().is_empty()) {
            None => {}
            Some(params) if params.trim_start().starts_with('{') => {
                question = Question::read(params.as_bytes())?;
            }
            Some(params) if params.len() > LONGEST_PARAMS => {
                return Err(format!("expected Params of at most {LONGEST_PARAMS} octets"));
            }
            Some(params) => attributes.push((PARAMS.to_owned(), params)),
        }
        Ok(Self { operation, question, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused_and_not_left_out() {
        let question =
            Question::read(br#"{"names":["DNS:a.example"],"device-id":"17","ttl-seconds":60}"#);
        let question = question.unwrap();
        assert_eq!(question.names, ["DNS:a.example".parse().unwrap()]);
        assert_eq!((question.device_id.as_deref(), question.ttl_seconds), (Some("17"), Some(60)));
        assert_eq!(Question::read(b" ").unwrap(), Question::default());
        for bad in [
            r#"{"name":["DNS:a.example"]}"#,
            r#"{"names":"DNS:a.example"}"#,
            r#"{"names":["a.example"]}"#,
            r#"{"names":[],"names":["DNS:a.example"]}"#,
            r#"{"ttl-seconds":-1}"#,
            "[]",
            "names=DNS:a.example",
            "{",
        ] {
            assert!(Question::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_of_ndes_is_read_and_others_are_refused() {
        let read = |query: &str| PageQuery::read(query).unwrap();
        assert_eq!(read("").operation, Operation::Page);
        assert_eq!(read("operation=NDESGetCACertThumbprint").operation, Operation::Thumbprint);
        let challenge = read(
            "operation=NDESGenerateChallenge&keyUsage=a0&Params=%7B%22names%22%3A%5B%22CN%3Da%22%5D%7D",
        );
        assert_eq!(challenge.operation, Operation::Challenge);
        assert_eq!(challenge.question.names, ["CN=a".parse().unwrap()]);
        assert_eq!(challenge.attributes, [("ndes-key-usage".to_owned(), "a0".to_owned())]);
        let opaque = read("operation=NDESGenerateChallenge&Params=id%3D17");
        assert_eq!(opaque.attributes, [("ndes-params".to_owned(), "id=17".to_owned())]);
        for bad in [
            "operation=GetCACert",
            "operation=&operation=NDESGenerateChallenge",
            "Params=a&params=b",
            "keyUsage=zz",
            "names=CN%3Da",
            "Params=%7B%22name%22%3A%5B%5D%7D",
        ] {
            assert!(PageQuery::read(bad).is_err(), "{bad}");
        }
        assert!(PageQuery::read(&"a".repeat(LONGEST_QUERY + 1)).is_err());
    }
}
