//! A device may renew when it proves its current certificate and its management still has it.
//!
//! The proof is that of the plug-in `renewal`, word for word. This one asks the management's HTTP API
//! too, about the device that the current certificate names: a device that was retired or wiped renews
//! no more, also where nobody revoked its certificate. It is a component of its own, so that whoever
//! needs no question needs no grant for one.

mod device;
#[path = "../../renewal/src/proof.rs"]
mod proof;
mod settings;

use std::time::Duration;

use countersign_device_api::ask;
use countersign_sdk::{
    Context, DenialCode, Description, Host, NotApproved, Power, Problem, Request, Verdict,
    Verifier, deny, unavailable,
};
use serde_json::{Map, Value};

use self::proof::renewed;
pub use self::settings::Settings;

/// The name of the credential for the management's API.
pub const CREDENTIAL: &str = "device-api";
const RETRY: Duration = Duration::from_secs(60);

/// The verifier.
#[derive(Debug)]
pub struct ManagedRenewal;

impl Verifier for ManagedRenewal {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("managed-renewal", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that prove the certificate which they got here and are still managed")
            .wants(Power::Host("{/url}".into()), "To ask whether the device is still managed")
            .wants(Power::Secret(CREDENTIAL.into()), "The credential of that API")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        let current = settings.terms().proven(context, request)?;
        let url = device::address(settings, current)?;
        let credential = settings.credential.then_some(CREDENTIAL);
        let record = ask(host, url, credential, settings.timeout())?;
        let approval = renewed(current);
        Ok(match managed(settings, &record)? {
            Some(state) => approval.evidence("managed-state", state),
            None => approval.evidence("managed-state", "there is a record"),
        })
    }
}

/// The state that says so, where the settings name one.
fn managed(
    settings: &Settings,
    record: &Map<String, Value>,
) -> Result<Option<String>, NotApproved> {
    let Some(pointer) = &settings.pointer else {
        return Ok(None);
    };
    let mut steps = pointer.split('/').skip(1).map(unescaped);
    let first = steps.next().and_then(|step| record.get(&step));
    let found = steps.fold(first, |value, step| match value? {
        Value::Object(members) => members.get(&step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    match found {
        // A record without it is not the record that the settings describe.
        None => Err(unavailable(
            RETRY,
            format!("the device management's answer has nothing at `{pointer}`"),
        )),
        Some(value) if settings.expected.contains(value) => Ok(Some(value.to_string())),
        Some(Value::Object(_) | Value::Array(_)) => Err(unavailable(
            RETRY,
            format!("the device management's answer has no single value at `{pointer}`"),
        )),
        Some(value) => {
            let found: String = value.to_string().chars().take(64).collect();
            Err(deny(
                DenialCode::DeviceNotPermitted,
                format!("the device management has {found} at `{pointer}`, none of `expected`"),
            ))
        }
    }
}

/// RFC 6901 §4.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

countersign_sdk::export!(ManagedRenewal);
