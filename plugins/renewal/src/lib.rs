//! A device is the one it was when it proves its current certificate.
//!
//! The proof is the host's work: it validates the message that the current certificate signed, the
//! certificate's chain, validity and revocation, and that it was delivered for this profile. This
//! plug-in says yes to exactly that, and vouches for the names in the current certificate. It knows
//! nothing of the device beside: where a device that was retired must not renew, name the verifier of
//! its management next to this one.

use std::time::{Duration, SystemTime};

use countersign_sdk::{
    Approval, Certificate, Context, DenialCode, Description, Host, Name, Request, RequestKind,
    Verdict, Verifier, deny,
};
use schemars::JsonSchema;
use serde::Deserialize;

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

    fn check_settings(settings: &Settings) -> Vec<countersign_sdk::Problem> {
        match settings.last_days {
            Some(0 | 3651..) => vec![countersign_sdk::Problem::new(
                "/last-days",
                "expected 1 to 3650 days; leave it out to renew at any time",
            )],
            _ => Vec::new(),
        }
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, _: &Host) -> Verdict {
        if request.kind != RequestKind::Renewal {
            return Err(deny(
                DenialCode::NotSupported,
                "not a renewal: name this plug-in in `verifiers.renewal` only",
            ));
        }
        let Some(current) = &request.current_certificate else {
            return Err(deny(DenialCode::NotSupported, "a renewal without a current certificate"));
        };
        if !current.host_validated {
            return Err(deny(
                DenialCode::NotSupported,
                "the host did not validate the current certificate, so it proves nothing",
            ));
        }
        let current = &current.certificate;
        in_time(settings, current, context.now)?;
        if settings.new_key && current.key.spki_sha256 == request.key.spki_sha256 {
            return Err(deny(
                DenialCode::Other("same-key".to_owned()),
                "the request is for the key of the current certificate, and the setting `new-key` \
                 demands another",
            ));
        }
        Ok(Approval::of_names(names(current))
            .evidence("current-serial-number", current.serial_number.as_str())
            .evidence("current-issuer", current.issuer.as_str()))
    }
}

fn in_time(
    settings: &Settings,
    current: &Certificate,
    now: SystemTime,
) -> Result<(), countersign_sdk::NotApproved> {
    let Some(days) = settings.last_days else {
        return Ok(());
    };
    let last = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let begins = current.not_after.checked_sub(last).unwrap_or(SystemTime::UNIX_EPOCH);
    if now < begins {
        return Err(deny(
            DenialCode::Other("too-early".to_owned()),
            format!("the current certificate may be renewed in its last {days} days"),
        ));
    }
    Ok(())
}

/// Every name that the current certificate says, and no others.
fn names(current: &Certificate) -> Vec<Name> {
    current
        .subject
        .iter()
        .flatten()
        .cloned()
        .map(Name::SubjectAttribute)
        .chain(current.subject_alternative_names.iter().cloned())
        .collect()
}

countersign_sdk::export!(Renewal);
