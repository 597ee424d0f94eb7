//! What the admin says.

use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::address;

/// Of a text that is reported to Intune, in characters.
const LONGEST: usize = 255;
/// What Intune gives out at once.
const LARGEST_BATCH: u16 = 500;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where Microsoft Graph is, `https` and without a path: `https://graph.microsoft.com`, or the
    /// one of the tenant's sovereign cloud. Granted by `hosts = ["{/graph-url}"]`.
    pub graph_url: String,
    /// The domain under which Intune's services are: `manage.microsoft.com`, or that of the tenant's
    /// sovereign cloud. A service elsewhere is not spoken to, whoever says that it is there. Granted by
    /// `hosts = ["*.{/service-domain}"]`.
    pub service_domain: String,
    /// What Intune shall keep with each certificate and give back when it wants it revoked
    /// (`caConfiguration`).
    pub ca_configuration: Option<String>,
    /// The name of the CA that Intune shall keep with each certificate (`certificateAuthority`).
    pub certificate_authority: Option<String>,
    /// Only revocations of this issuer are fetched: its distinguished name as in RFC 4514, as it was
    /// reported with the certificates. All of the tenant where it is left out.
    pub revocation_issuer: Option<String>,
    /// How many revocations are fetched at once.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 500))]
    pub revocation_batch: u16,
}

impl Settings {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.graph_is_an_origin() {
            problems.push(Problem::new(
                "/graph-url",
                "expected an https URL of a host and nothing behind it: write \
                 `https://graph.microsoft.com`, or that of your tenant's cloud",
            ));
        }
        if !address::is_domain(&self.service_domain) {
            problems.push(Problem::new(
                "/service-domain",
                "expected a domain without scheme, star and path: write `manage.microsoft.com`, or \
                 that of your tenant's cloud",
            ));
        }
        let texts = [
            ("/ca-configuration", &self.ca_configuration),
            ("/certificate-authority", &self.certificate_authority),
            ("/revocation-issuer", &self.revocation_issuer),
        ];
        for (pointer, text) in texts {
            if text.as_ref().is_some_and(|text| !is_short_line(text)) {
                problems.push(Problem::new(
                    pointer,
                    "expected one line of 1 to 255 characters: shorten it, or remove the setting",
                ));
            }
        }
        if !(1..=LARGEST_BATCH).contains(&self.revocation_batch) {
            problems.push(Problem::new("/revocation-batch", "expected 1 to 500"));
        }
        problems
    }

    fn graph_is_an_origin(&self) -> bool {
        let behind = self.graph_url.split_once("://").map_or("", |(_, rest)| rest);
        let behind = behind.strip_suffix('/').unwrap_or(behind);
        address::host(&self.graph_url).is_some() && !behind.contains('/')
    }
}

fn is_short_line(text: &str) -> bool {
    (1..=LONGEST).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn hundred() -> u16 {
    100
}
