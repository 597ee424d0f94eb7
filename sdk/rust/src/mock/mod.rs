//! A host for unit tests: no WebAssembly, no server, plain `cargo test`.
//!
//! It keeps to the contract where a verifier could tell the difference: what `verify` does with
//! challenges and `kv` comes true only when it approves, a challenge that one request holds is no
//! use to another, powers that [`Description`](crate::Description) does not ask for are denied.
//!
//! ```
//! # use countersign_sdk::{mock, Approval, Context, Description, Host, NoSettings, Power, Request, Verdict, Verifier};
//! # struct MyVerifier;
//! # impl Verifier for MyVerifier {
//! #     type Settings = NoSettings;
//! #     fn describe() -> Description { Description::new("mine", "1.0.0", "me").wants(Power::Challenges, "") }
//! #     fn verify(_: &NoSettings, _: &Context, request: &Request, host: &Host) -> Verdict {
//! #         let binding = host.challenges().redeem(request.challenge.as_ref().unwrap())?;
//! #         Ok(Approval::of_names(binding.names))
//! #     }
//! # }
//! let host = mock::Host::new();
//! host.keep(mock::challenge("OPEN").name("CN=device-17"));
//!
//! let request = mock::request("laptops").common_name("device-17").challenge("OPEN").build();
//! assert!(host.verify::<MyVerifier>(&NoSettings {}, &request).is_ok());
//!
//! let other = mock::request("laptops").common_name("device-18").challenge("OPEN").build();
//! assert!(host.verify::<MyVerifier>(&NoSettings {}, &other).is_err());
//! ```

mod backend;
mod case;
mod challenge;
mod exchange;
mod host;
mod mac;
mod recording;
mod request;
mod store;

pub(crate) use self::backend::Backend;
pub use self::backend::LogLine;
pub use self::case::{CaseFailures, run_cases, run_cases_on};
pub use self::challenge::{KeptChallenge, challenge};
pub use self::host::Host;
pub use self::request::{
    CertificateBuilder, EventBuilder, HintBuilder, RequestBuilder, certificate, event, hint,
    outcome, request,
};
