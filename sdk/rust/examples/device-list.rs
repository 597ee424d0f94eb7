//! Everything that a plug-in can do, for a device management with a small JSON API:
//!
//! - `GET  /devices/<serial number>` → `{"id": "17", "name": "device-17", "state": "active"}`
//! - `POST /devices/<id>/certificate` takes `{"serial-number": "…"}` once one was issued
//! - it fetches a challenge before a device enrols, and calls `/event/<plugin>` when one is retired
//!
//! `cargo build --target wasm32-wasip2 -p countersign-sdk --example device-list`

use std::time::Duration;

use countersign_sdk::{
    Action, Approval, Binding, ChallengesIssuer, Context, Denial, DenialCode, Description, Ending,
    Event, Events, Hint, Host, HttpError, HttpRequest, IssuedChallenge, Name, Outcome, Outcomes,
    Power, Problem, Reason, Request, Retry, Verdict, Verifier, deny, unavailable,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

struct DeviceList;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// The host name of your tenant: `example.device-list.test`.
    tenant_host: String,
    /// How long a challenge is good, in seconds.
    #[serde(default = "one_hour")]
    challenge_lifetime_seconds: u32,
}

fn one_hour() -> u32 {
    3600
}

#[derive(Deserialize)]
struct Device {
    id: String,
    name: String,
    state: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Issued<'a> {
    serial_number: &'a str,
}

#[derive(Deserialize)]
struct Retired {
    event: String,
    device: String,
}

impl Settings {
    fn url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.tenant_host)
    }

    /// The device with this serial number, if the management knows it.
    fn device(&self, serial_number: &str, host: &Host) -> Result<Option<Device>, HttpError> {
        // It becomes a part of a path, so nothing else may be in it.
        if !serial_number.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let path = format!("devices/{serial_number}");
        let response = host.http().send(HttpRequest::get(self.url(&path)).auth("device-list"))?;
        match response.status {
            200 => response.json().map(Some),
            404 => Ok(None),
            status => Err(HttpError::Other(format!("the device list answered {status}"))),
        }
    }
}

impl Verifier for DeviceList {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("device-list", env!("CARGO_PKG_VERSION"), "Example AG")
            .summary("Devices of the device list, by serial number and one-time challenge")
            .wants(Power::Host("{/tenant-host}".into()), "To look devices up in your tenant")
            .wants(Power::Secret("device-list".into()), "The credential of its API")
            .wants(Power::Challenges, "To issue and redeem the challenges of its devices")
            .wants(Power::Revocation, "To revoke what a retired device has")
            .event("retired")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        if settings.challenge_lifetime_seconds == 0 {
            let text = "expected at least one second, found 0: a challenge needs time to be used";
            return vec![Problem::new("/challenge-lifetime-seconds", text)];
        }
        Vec::new()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        if context.time_left < Duration::from_secs(1) {
            return Err(unavailable(Duration::from_secs(5), "no time left for a question"));
        }
        let challenge = request.challenge.as_ref().ok_or_else(|| {
            deny(DenialCode::ChallengeMissing, "the request carries no challengePassword")
        })?;
        let binding = host.challenges().redeem(challenge)?;
        let serial_number = binding.device_id.ok_or_else(|| {
            deny(DenialCode::DeviceUnknown, "the challenge was issued without a serial number")
        })?;

        let device = settings.device(&serial_number, host)?.ok_or_else(|| {
            let text = format!("the device list does not know `{serial_number}`");
            deny(DenialCode::DeviceUnknown, text)
        })?;
        if device.state != "active" {
            let text = format!("`{serial_number}` is `{}`, expected `active`", device.state);
            return Err(deny(DenialCode::DeviceNotPermitted, text));
        }
        Ok(Approval::of_names([Name::common_name(device.name)])
            .device_id(&device.id)
            .evidence("serial-number", serial_number)
            .memo(device.id))
    }
}

impl Outcomes for DeviceList {
    fn notify(
        settings: &Settings,
        _: &Context,
        outcome: &Outcome,
        host: &Host,
    ) -> Result<(), Retry> {
        let Ending::Issued(certificate) = &outcome.ending else {
            return Ok(());
        };
        let id = String::from_utf8_lossy(&outcome.memo);
        let body = Issued { serial_number: &certificate.serial_number };
        let request =
            HttpRequest::post_json(settings.url(&format!("devices/{id}/certificate")), &body)?
                .auth("device-list")
                .header("idempotency-key", &outcome.idempotency_key);
        let response = host.http().send(request)?;
        if response.is_success() {
            Ok(())
        } else {
            let text = format!("the device list answered {}", response.status);
            Err(Retry::new(Duration::from_secs(60), text))
        }
    }
}

impl ChallengesIssuer for DeviceList {
    fn issue(
        settings: &Settings,
        _: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        let serial_number = hint.device_id.clone().ok_or_else(|| {
            Denial::new(DenialCode::DeviceUnknown, "expected the serial number as device id")
        })?;
        let binding = Binding {
            names: hint.names.clone(),
            device_id: Some(serial_number),
            ..Binding::default()
        };
        let lifetime = Duration::from_secs(settings.challenge_lifetime_seconds.into());
        Ok(host.challenges().issue(binding, lifetime)?)
    }
}

impl Events for DeviceList {
    fn on_event(_: &Settings, _: &Context, event: &Event, _: &Host) -> Result<Vec<Action>, Denial> {
        let retired: Retired = serde_json::from_slice(&event.body).map_err(|_| {
            Denial::new(DenialCode::NotSupported, "the body is no event of the device list")
        })?;
        if retired.event != "retired" {
            return Ok(Vec::new());
        }
        Ok(vec![Action::revoke_device(
            format!("retired-{}", retired.device),
            retired.device,
            Reason::CessationOfOperation,
            "the device list says that it is retired",
        )])
    }
}

countersign_sdk::export!(DeviceList with challenges, outcomes, events);

#[cfg(test)]
mod tests {
    use countersign_sdk::{Act, HttpResponse, NotApproved, Target, Vouched, mock};

    use super::*;

    fn settings() -> Settings {
        Settings { tenant_host: "example.device-list.test".into(), challenge_lifetime_seconds: 60 }
    }

    fn host(device: &'static str) -> mock::Host {
        let host = mock::Host::new();
        host.answer_http(move |request| {
            Ok(match (request.method.as_str(), request.url.as_str()) {
                ("GET", "https://example.device-list.test/devices/C02") => {
                    HttpResponse::new(200, device)
                }
                ("POST", "https://example.device-list.test/devices/17/certificate") => {
                    HttpResponse::new(204, "")
                }
                _ => HttpResponse::new(404, ""),
            })
        });
        host
    }

    fn enrol(host: &mock::Host) -> (Request, Verdict) {
        let hint = mock::hint("laptops", "mdm").device_id("C02").build();
        let challenge = host.issue::<DeviceList>(&settings(), &hint).unwrap();
        let request = mock::request("laptops")
            .common_name("device-17")
            .challenge(challenge.text.reveal())
            .build();
        let verdict = host.verify::<DeviceList>(&settings(), &request);
        (request, verdict)
    }

    #[test]
    fn an_active_device_gets_its_name_vouched_for_and_its_outcome_told() {
        let host = host(r#"{"id":"17","name":"device-17","state":"active"}"#);
        let (request, verdict) = enrol(&host);
        let approval = verdict.unwrap();
        assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));

        let ending = Ending::Issued(mock::certificate("2a").build());
        let outcome = mock::outcome(request, ending, "17", "outcome-1");
        host.notify::<DeviceList>(&settings(), &outcome).unwrap();
        let told = host.http_requests().pop().unwrap();
        assert_eq!(&*told.body, br#"{"serial-number":"2a"}"#);
    }

    #[test]
    fn a_device_that_is_not_active_is_denied() {
        let host = host(r#"{"id":"17","name":"device-17","state":"lost"}"#);
        let Err(NotApproved::Deny(denial)) = enrol(&host).1 else { panic!("expected a denial") };
        assert_eq!(denial.code, DenialCode::DeviceNotPermitted);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_no_approval() {
        let host = host("<html>");
        assert!(matches!(enrol(&host).1, Err(NotApproved::Unavailable(_))));
    }

    #[test]
    fn a_retired_device_is_revoked() {
        let event = mock::event(r#"{"event":"retired","device":"17"}"#).build();
        let actions = mock::Host::new().on_event::<DeviceList>(&settings(), &event).unwrap();
        let [Action { act: Act::Revoke(revocation), .. }] = actions.as_slice() else {
            panic!("expected one revocation, found {actions:?}")
        };
        assert_eq!(revocation.target, Target::Device("17".into()));
    }
}
