//! The import `http`: requests over TLS to hosts that were granted. The host looks names up, checks
//! addresses and certificates, puts credentials in, and keeps sizes and times bounded.
//!
//! It never speaks plain HTTP, never follows a redirect, never looks a name up twice for one
//! connection, and never shows a credential to a plug-in, a log or an error.

mod address;
mod client;
mod connection;
mod credential;
mod host_rule;
mod oauth;
mod refusal;
mod request;
mod resolve;
mod settings;
mod tls;

pub use address::AddressRange;
pub use credential::{Credential, CredentialKind};
pub use host_rule::{HostMatch, HostRule};
pub use oauth::{ClientProof, OAuth2};
pub use refusal::HttpRefusal;
pub use request::{HttpRequest, HttpResponse};
pub use resolve::{Resolve, SystemResolver};
pub use settings::{ClientIdentity, HttpLimits, HttpSettings, HttpSetupError};

pub(crate) use client::HttpClient;
