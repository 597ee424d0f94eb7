use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request over HTTP and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exchange {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Header fields that the request has, among others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Members that the request's JSON body has, among others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// The credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Whether nothing may be approved without this answer; true unless it says else. `plugin check`
    /// spoils the answers that decide.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub decides: bool,
    /// What comes back.
    pub answer: Answered,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_true(decides: &bool) -> bool {
    *decides
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Answered {
    /// A response.
    #[serde(rename_all = "kebab-case")]
    Response {
        /// Of HTTP.
        status: u16,
        /// Header fields.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// As text.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        body: String,
    },
    /// None.
    Error(NoAnswer),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are those of wit/http.wit, which explains them")]
pub enum NoAnswer {
    Dns,
    Connect,
    Tls,
    Timeout,
    TooLarge,
}

/// A request that a verifier made.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the words are those of wit/http.wit, which explains them")]
pub struct Sent<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    pub auth: Option<&'a str>,
}

impl Exchange {
    /// Whether a request is the one that was recorded.
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn fits(&self, sent: Sent<'_>) -> Result<(), String> {
        let differs = |what: &str, expected: &str, found: &str| {
            Err(format!("the request's {what}: expected `{expected}`, found `{found}`"))
        };
        if (self.method.as_str(), self.url.as_str()) != (sent.method, sent.url) {
            let expected = format!("{} {}", self.method, self.url);
            return differs("line", &expected, &format!("{} {}", sent.method, sent.url));
        }
        if self.auth.as_deref() != sent.auth {
            let expected = self.auth.as_deref().unwrap_or("none");
            return differs("credential", expected, sent.auth.unwrap_or("none"));
        }
        for (name, value) in &self.headers {
            let found = sent.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            let found = found.map_or("nothing", |(_, value)| value.as_str());
            if found != value {
                return differs(&format!("header field {name}"), value, found);
            }
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(sent.body)
            .map_err(|error| format!("the request's body is no JSON: {error}"))?;
        for (name, value) in &self.json {
            let found = body.get(name).unwrap_or(&Value::Null);
            if found != value {
                return differs(&format!("member {name}"), &value.to_string(), &found.to_string());
            }
        }
        Ok(())
    }
}

/// Exchanges that are played in their order, and what did not fit.
#[derive(Clone, Debug, Default)]
pub struct Script {
    left: VecDeque<Exchange>,
    wrong: Option<String>,
}

impl Script {
    /// Plays these.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        Self { left: exchanges.into(), wrong: None }
    }

    /// The recorded answer to a request.
    ///
    /// # Errors
    ///
    /// It is not the request that is recorded at this place.
    pub fn answer(&mut self, sent: Sent<'_>) -> Result<Answered, String> {
        let fits = match self.left.pop_front() {
            Some(exchange) => exchange.fits(sent).map(|()| exchange.answer),
            None => Err(format!("{} {} is not recorded", sent.method, sent.url)),
        };
        if let Err(wrong) = &fits {
            self.wrong.get_or_insert_with(|| wrong.clone());
        }
        fits
    }

    /// Whether everything was sent that is recorded, and nothing else.
    ///
    /// # Errors
    ///
    /// What was sent and not recorded, or recorded and not sent.
    pub fn check(&self) -> Result<(), String> {
        match (&self.wrong, self.left.front()) {
            (Some(wrong), _) => Err(wrong.clone()),
            (None, Some(left)) => {
                Err(format!("{} {} is recorded and was not sent", left.method, left.url))
            }
            (None, None) => Ok(()),
        }
    }
}
