//! The example of the integrators' guide: a test holds both equal.

use countersign_sdk::{
    Approval, Context, DenialCode, Description, Host, HttpError, HttpRequest, Name, Power, Request,
    Verdict, Verifier, deny,
};
use schemars::JsonSchema;
use serde::Deserialize;

struct Inventory;

/// `[plugin.NAME.settings]` of the configuration. The comments become the schema's descriptions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Host name of the inventory: `inventory.example.com`.
    host: String,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    name: String,
    stolen: bool,
}

impl Verifier for Inventory {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("inventory", env!("CARGO_PKG_VERSION"), "Example AG")
            .summary("Devices that come with the one-time challenge which the inventory gave them")
            .wants(Power::Host("{/host}".into()), "To look devices up")
            .wants(Power::Secret("inventory".into()), "The credential of the inventory's API")
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let challenge = request.challenge.as_ref().ok_or_else(|| {
            deny(DenialCode::ChallengeMissing, "the request carries no challengePassword")
        })?;

        // The credential is put in by the host, only towards the hosts it was granted for.
        let url = format!("https://{}/challenges/check", settings.host);
        let question = HttpRequest::post(url, challenge.reveal()).auth("inventory");
        let response = host.http().send(question)?;
        let device: Device = match response.status {
            200 => response.json()?,
            404 => return Err(deny(DenialCode::ChallengeUnknown, "not one of the inventory's")),
            status => return Err(HttpError::Other(format!("the inventory says {status}")).into()),
        };
        if device.stolen {
            return Err(deny(DenialCode::DeviceNotPermitted, format!("{} is stolen", device.id)));
        }
        Ok(Approval::of_names([Name::common_name(device.name)]).device_id(device.id))
    }
}

countersign_sdk::export!(Inventory);

#[cfg(test)]
mod tests {
    use countersign_sdk::{HttpResponse, Vouched, mock};

    use super::*;

    #[test]
    fn a_known_challenge_vouches_for_the_name_in_the_inventory() {
        let host = mock::Host::new();
        host.answer_http(|_| {
            Ok(HttpResponse::new(200, r#"{"id":"17","name":"device-17","stolen":false}"#))
        });
        let settings = Settings { host: "inventory.example.com".into() };
        let request = mock::request("laptops").common_name("device-17").challenge("OPEN").build();

        let approval = host.verify::<Inventory>(&settings, &request).unwrap();
        assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    }
}
