//! A device is the one it was when it proves its current certificate.
//!
//! The proof is the host's work: it validates the message that the current certificate signed, the
//! certificate's chain, validity and revocation, and that it was delivered for this profile. This
//! plug-in says yes to exactly that, and vouches for the names in the current certificate. It knows
//! nothing of the device beside: where a device that was retired must not renew, take `managed-renewal`,
//! which asks, or name the verifier of its management next to this one.

mod proof;

use countersign_sdk::{Context, Description, Host, Problem, Request, Verdict, Verifier};
use schemars::JsonSchema;
use serde::Deserialize;

use self::proof::{Terms, renewed};

/// The verifier.
#[derive(Debug)]
pub struct Renewal;

/// The settings of the plug-in. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Renew only in the last so many days of the current certificate, 1 to 3650. Left out: at any
    /// time while it is valid.
    #[schemars(range(min = 1, max = 3650))]
    pub last_days: Option<u32>,
    /// Demand another key than the current certificate's. micromdm's scepclient keeps its key.
    pub new_key: bool,
}

impl Verifier for Renewal {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("renewal", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that prove the certificate which they got here")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.terms().problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, _: &Host) -> Verdict {
        settings.terms().proven(context, request).map(renewed)
    }
}

impl Settings {
    fn terms(&self) -> Terms {
        Terms { last_days: self.last_days, new_key: self.new_key }
    }
}

countersign_sdk::export!(Renewal);
