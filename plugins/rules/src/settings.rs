//! What the admin says.

use std::time::Duration;

use countersign_device_api::Address;
use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::expression::{Expression, ExpressionError, Shape};
use crate::scope::Known;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What must be true of a request, rule by rule; all must be.
    #[schemars(length(min = 1, max = 64))]
    pub rules: Vec<Rule>,
    /// The challenge that the host issued: redeemed, and then known to rules as `challenge`.
    #[serde(default)]
    pub challenge: ChallengeUse,
    /// Where more is known about the device: known to rules as `device`.
    #[serde(default)]
    pub look_up: Option<LookUp>,
    /// The names that are vouched for: an expression for a list of texts such as `CN=device-17`, over
    /// `challenge`, `current` and `device`. Without it none are, and another verifier must.
    #[serde(default)]
    pub names: Option<String>,
    /// Vouch for every name that a permitted request asks for. Whoever passes the rules gets any
    /// name that the profile allows: only for rules that judge the names themselves. Needs the grant
    /// `exactly-as-requested`.
    #[serde(default)]
    pub exactly_as_requested: bool,
    /// The device in the words of its management, for revocations: an expression for a text or null,
    /// over `challenge`, `current` and `device`. Without it, the challenge's device id.
    #[serde(default)]
    pub device_id: Option<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// How denials call it; its number where this is left out.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub name: Option<String>,
    /// An expression that is true for requests that are permitted, over `request`, `challenge`,
    /// `current`, `device` and `now`.
    pub permit: String,
    /// What the ledger says where it is false. The device never sees it.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub deny_message: Option<String>,
}

/// What is made of the challenge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeUse {
    /// A request without one is denied.
    #[default]
    Required,
    /// One that is there must be good; without one, `challenge` is null.
    IfPresent,
    /// Nothing: rules do not know it. Name another verifier that does.
    Ignored,
}

/// Where more is known about the device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LookUp {
    /// What the device is looked up by: an expression for a text, over `challenge` and `current`.
    /// Not over `request`: whoever could name the device would get its names.
    pub by: String,
    /// Records by that text.
    #[serde(default)]
    pub table: Option<Map<String, Value>>,
    /// An API that answers a GET with a JSON object, in the place of `table`: an `https` URL with
    /// `{id}` for that text. Its host is granted by `hosts = ["{/look-up/url}"]`.
    #[serde(default)]
    pub url: Option<String>,
    /// Have the host put the credential `device-api` in.
    #[serde(default)]
    pub credential: bool,
    /// How long the API may take, in milliseconds.
    #[serde(default = "five_seconds")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u32,
}

/// Reads an expression for a place in the settings.
pub(crate) fn parse(text: &str, known: Known) -> Result<Expression, ExpressionError> {
    Expression::parse(text, known)
}

impl LookUp {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }
}

impl Settings {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.rules.is_empty() {
            problems.push(Problem::new(
                "/rules",
                "expected at least one rule: `permit = \"true\"` permits everything that the other \
                 settings let through",
            ));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let pointer = format!("/rules/{index}/permit");
            self.expression(&mut problems, &pointer, &rule.permit, Known::RULE, Shape::Truth);
        }
        if let Some(look_up) = &self.look_up {
            self.expression(&mut problems, "/look-up/by", &look_up.by, Known::LOOK_UP, Shape::Text);
            problems.extend(look_up.problems());
        }
        if let Some(text) = &self.names {
            self.expression(&mut problems, "/names", text, Known::VOUCHED, Shape::Names);
            if self.exactly_as_requested {
                problems.push(Problem::new(
                    "/exactly-as-requested",
                    "expected either `names` or this: remove one of them",
                ));
            }
        }
        if let Some(text) = &self.device_id {
            self.expression(&mut problems, "/device-id", text, Known::VOUCHED, Shape::Text);
        }
        problems
    }

    fn expression(
        &self,
        problems: &mut Vec<Problem>,
        pointer: &str,
        text: &str,
        known: Known,
        shape: Shape,
    ) {
        let checked = parse(text, known.of(self)).and_then(|parsed| parsed.check_shape(shape));
        if let Err(error) = checked {
            problems.push(Problem::new(pointer, error.to_string()));
        }
    }
}

impl LookUp {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match (&self.table, &self.url) {
            (None, None) => problems.push(Problem::new(
                "/look-up",
                "expected `table` with the records, or `url` with an API that has them",
            )),
            (Some(_), Some(_)) => problems.push(Problem::new(
                "/look-up/url",
                "expected either `table` or `url`: remove one of them",
            )),
            (Some(_), None) if self.credential => problems.push(Problem::new(
                "/look-up/credential",
                "a table needs no credential: remove it",
            )),
            (Some(_), None) => {}
            (None, Some(url)) => match Address::parse(url) {
                Err(error) => problems.push(Problem::new("/look-up/url", error.to_string())),
                Ok(address) => {
                    let mut places = address.places();
                    if places.next() != Some("id") || places.any(|place| place != "id") {
                        problems.push(Problem::new(
                            "/look-up/url",
                            "expected `{id}` where the text of `by` belongs, and no other braces",
                        ));
                    }
                }
            },
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            problems
                .push(Problem::new("/look-up/timeout-ms", "expected 100 to 60000 milliseconds"));
        }
        problems
    }
}

fn five_seconds() -> u32 {
    5_000
}
