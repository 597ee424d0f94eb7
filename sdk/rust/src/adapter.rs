use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::challenges_issuer::exports::countersign::verifier::challenges_issuer as issuer;
use crate::bindings::events::exports::countersign::verifier::events;
use crate::bindings::outcomes::exports::countersign::verifier::outcomes;
use crate::bindings::plugin::countersign::verifier::types as wire;
use crate::bindings::plugin::exports::countersign::verifier::verifier;
use crate::{
    ChallengesIssuer, Context, Denial, DenialCode, Events, Host, NotApproved, Outcomes, Problem,
    Retry, Verifier, settings, wire as convert,
};

/// How soon to ask again where the settings of a running plug-in do not fit. The host has checked
/// them when it loaded the configuration, so this should be gone with its next load.
const MISCONFIGURED_RETRY: Duration = Duration::from_secs(300);

/// Makes a component's exports of a [`Verifier`].
#[derive(Debug)]
pub struct Adapter<V>(PhantomData<V>);

/// What a call that does work begins with.
struct Call<S> {
    settings: S,
    context: Context,
    host: Host,
}

impl<S: serde::de::DeserializeOwned> Call<S> {
    fn begin(context: wire::Context) -> Result<Self, Problem> {
        report_panics();
        let settings = settings::read(&context.settings)?;
        Ok(Self { settings, context: context.into(), host: host() })
    }
}

impl From<Problem> for Retry {
    fn from(problem: Problem) -> Self {
        Retry::new(MISCONFIGURED_RETRY, problem.to_string())
    }
}

impl From<Problem> for Denial {
    fn from(problem: Problem) -> Self {
        Denial::new(DenialCode::Other("misconfigured".to_owned()), problem.to_string())
    }
}

impl<V: Verifier> verifier::Guest for Adapter<V> {
    fn describe() -> verifier::Description {
        report_panics();
        V::describe().into_wire(settings::schema::<V::Settings>())
    }

    fn validate_settings(text: String) -> Vec<verifier::Problem> {
        report_panics();
        settings::check::<V>(&text).into_iter().map(Into::into).collect()
    }

    fn verify(context: wire::Context, request: wire::Request) -> wire::Verdict {
        let verdict = Call::begin(context)
            .map_err(|problem| NotApproved::Unavailable(problem.into()))
            .and_then(|call| V::verify(&call.settings, &call.context, &request.into(), &call.host));
        convert::verdict(verdict)
    }
}

impl<V: Outcomes> outcomes::Guest for Adapter<V> {
    fn notify(context: wire::Context, outcome: outcomes::Outcome) -> Result<(), wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        Ok(V::notify(&call.settings, &call.context, &outcome.into(), &call.host)?)
    }
}

impl<V: ChallengesIssuer> issuer::Guest for Adapter<V> {
    fn issue(
        context: wire::Context,
        hint: issuer::Hint,
    ) -> Result<issuer::Challenge, wire::Denial> {
        let call = Call::begin(context).map_err(Denial::from)?;
        Ok(V::issue(&call.settings, &call.context, &hint.into(), &call.host)?.into())
    }
}

impl<V: Events> events::Guest for Adapter<V> {
    fn on_event(
        context: wire::Context,
        event: events::Event,
    ) -> Result<Vec<events::Action>, wire::Denial> {
        let call = Call::begin(context).map_err(Denial::from)?;
        let actions = V::on_event(&call.settings, &call.context, &event.into(), &call.host)?;
        Ok(actions.into_iter().map(Into::into).collect())
    }

    fn on_schedule(
        context: wire::Context,
        cursor: Option<Vec<u8>>,
    ) -> Result<events::Batch, wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        let batch = V::on_schedule(&call.settings, &call.context, cursor.as_deref(), &call.host)?;
        Ok(batch.into())
    }

    fn settled(
        context: wire::Context,
        results: Vec<events::ActionResult>,
    ) -> Result<(), wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        let results: Vec<_> = results.into_iter().map(Into::into).collect();
        Ok(V::settled(&call.settings, &call.context, &results, &call.host)?)
    }
}

#[cfg(target_arch = "wasm32")]
fn host() -> Host {
    Host::new(crate::host::Backend)
}

/// The exports are compiled natively too, so that compiler and lints see them, but only a component
/// has a host behind its imports.
#[cfg(not(target_arch = "wasm32"))]
fn host() -> Host {
    Host::new(crate::host::Backend::default())
}

/// A panic traps, and a trap says only where in the machine code it was: tell the log before.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        // "panicked at src/lib.rs:8:55:\n…": one line, as a log shows it.
        host().log().error(panic.to_string().replacen(":\n", ": ", 1));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Approval, Description, Name, Request, RequestKind, Verdict};

    struct Echo;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        id: String,
    }

    impl Verifier for Echo {
        type Settings = Settings;

        fn describe() -> Description {
            Description::new("echo", "1.0.0", "tests")
        }

        fn check_settings(settings: &Settings) -> Vec<Problem> {
            if settings.id.is_empty() {
                vec![Problem::new("/id", "expected an id")]
            } else {
                vec![]
            }
        }

        fn verify(settings: &Settings, context: &Context, request: &Request, _: &Host) -> Verdict {
            assert_eq!(request.kind, RequestKind::Renewal);
            assert_eq!(request.challenge.as_ref().map(crate::Challenge::reveal), Some("OPEN"));
            assert!(request.current_certificate.as_ref().is_some_and(|c| c.host_validated));
            Ok(Approval::of_names(request.names())
                .device_id(&settings.id)
                .latest_end(context.now + context.time_left)
                .memo(context.trace_id.as_bytes()))
        }
    }

    fn context(settings: &str) -> wire::Context {
        wire::Context {
            milliseconds_left: 5_000,
            now: 1_767_225_600,
            trace_id: "trace".into(),
            trial: false,
            settings: settings.into(),
            attributes: Vec::new(),
        }
    }

    fn request() -> wire::Request {
        let key = wire::PublicKey {
            algorithm: wire::KeyAlgorithm::Rsa,
            bits: 2048,
            spki_sha256: vec![1; 32],
        };
        let common_name = wire::SubjectAttribute { type_: "CN".into(), value: "device-17".into() };
        wire::Request {
            kind: wire::RequestKind::Renewal,
            profile: "laptops".into(),
            path_suffix: String::new(),
            transaction_id: "1".into(),
            attempt: 1,
            csr: vec![0x30],
            csr_sha256: vec![2; 32],
            subject: vec![vec![common_name]],
            subject_alternative_names: vec![wire::Name::Dns("device-17.example".into())],
            key: key.clone(),
            extended_key_usages: Vec::new(),
            challenge: Some("OPEN".into()),
            current_certificate: Some(wire::CurrentCertificate {
                certificate: wire::Certificate {
                    der: vec![0x30],
                    sha256: vec![3; 32],
                    serial_number: "2a".into(),
                    issuer: "CN=CA".into(),
                    subject: Vec::new(),
                    subject_alternative_names: Vec::new(),
                    not_before: 0,
                    not_after: u64::MAX,
                    extended_key_usages: Vec::new(),
                    key,
                    attributes: Vec::new(),
                },
                host_validated: true,
            }),
            attestation: None,
            source_address: None,
            attributes: Vec::new(),
        }
    }

    fn verify(settings: &str) -> wire::Verdict {
        <Adapter<Echo> as verifier::Guest>::verify(context(settings), request())
    }

    #[test]
    fn a_request_of_the_contract_reaches_the_verifier_and_its_answer_returns() {
        let wire::Verdict::Approve(approval) = verify(r#"{"id":"17"}"#) else {
            panic!("expected an approval")
        };
        let wire::Vouched::Names(names) = approval.vouched else { panic!("expected names") };
        let names: Vec<_> = names.into_iter().map(|name| Name::from(name).to_string()).collect();
        assert_eq!(names, ["CN=device-17", "DNS:device-17.example"]);
        assert_eq!(approval.device_id.as_deref(), Some("17"));
        assert_eq!(approval.latest_end, Some(1_767_225_605));
        assert_eq!(approval.memo, b"trace");
    }

    #[test]
    fn settings_that_do_not_fit_are_never_approval() {
        for settings in ["", "{}", r#"{"id":17}"#, r#"{"id":"17","more":1}"#] {
            assert!(matches!(verify(settings), wire::Verdict::Unavailable(_)), "{settings}");
        }
    }

    #[test]
    fn problems_come_from_the_type_and_from_the_author() {
        let pointers = |settings: &str| -> Vec<_> {
            <Adapter<Echo> as verifier::Guest>::validate_settings(settings.to_owned())
                .into_iter()
                .map(|problem| problem.pointer)
                .collect()
        };
        assert_eq!(pointers(r#"{"id":17}"#), ["/id"]);
        assert_eq!(pointers(r#"{"id":""}"#), ["/id"]);
        assert_eq!(pointers(r#"{"id":"17","EnforcePassword":0}"#), ["/EnforcePassword"]);
        assert!(pointers(r#"{"id":"17"}"#).is_empty());
    }

    #[test]
    fn the_description_carries_the_schema_of_the_settings() {
        let description = <Adapter<Echo> as verifier::Guest>::describe();
        assert!(description.settings_schema.contains(r#""required":["id"]"#));
    }
}
