//! What the admin says.

use std::time::Duration;

use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where requests are posted, `https`. Its host is granted by `hosts = ["{/url}"]`.
    pub url: String,
    /// The id of this webhook at the receiver: `X-Smallstep-Webhook-ID`, or
    /// `Countersign-Webhook-Id`.
    pub id: String,
    /// How it is spoken to.
    pub format: Format,
    /// What an allowance vouches for.
    #[serde(default)]
    pub vouch: Vouch,
    /// Tell the end point how each enrolment ended.
    #[serde(default)]
    pub notify: bool,
    /// Where that is posted, if not at `url`. On another host, that host is granted too.
    pub notify_url: Option<String>,
    /// Have the host put the credential `webhook-credential` in.
    #[serde(default)]
    pub send_credential: bool,
    /// `provisionerName` of the request; the profile's name where this is left out.
    pub provisioner_name: Option<String>,
    /// How long one answer may take, in milliseconds.
    #[serde(default = "five_seconds")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u32,
}

/// How the end point is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As step-ca does: the signature covers the body, and the answer is believed because of TLS.
    StepCa,
    /// The signature covers address, time stamp, nonce and body, and the answer is signed for that
    /// nonce.
    Countersign,
}

/// What an allowance vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Vouch {
    /// The names in the answer (`data.names`), and none where there are none.
    #[default]
    Names,
    /// Every name in the request: only for an end point that judges the whole request. Needs the
    /// grant `exactly-as-requested`.
    ExactlyAsRequested,
}

impl Settings {
    /// Where outcomes go; nowhere unless the admin wants it.
    pub(crate) fn notice_url(&self) -> Option<&str> {
        self.notify.then(|| self.notify_url.as_deref().unwrap_or(&self.url))
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let urls = [("/url", Some(&self.url)), ("/notify-url", self.notify_url.as_ref())];
        for (pointer, url) in urls {
            if url.is_some_and(|url| !is_https(url)) {
                problems.push(Problem::new(
                    pointer,
                    "expected an absolute https URL without user, password and fragment: write \
                     https://host/path",
                ));
            }
        }
        let printable = |text: &str| {
            (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !printable(&self.id) {
            problems.push(Problem::new(
                "/id",
                "expected 1 to 255 printable ASCII characters without spaces: it is sent in a \
                 header field",
            ));
        }
        if self.notify_url.is_some() && !self.notify {
            problems.push(Problem::new(
                "/notify-url",
                "nothing is posted there: add `notify = true`, or remove it",
            ));
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            problems.push(Problem::new("/timeout-ms", "expected 100 to 60000 milliseconds"));
        }
        problems
    }
}

fn is_https(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        !authority.is_empty()
            && !authority.contains('@')
            && !url.contains('#')
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn five_seconds() -> u32 {
    5_000
}
