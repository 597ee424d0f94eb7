//! The one TOML file that all three processes read: its types, its schema, and what is wrong
//! with it, by line and column.
//!
//! [`Config::load`] gives a whole, checked configuration or every problem that can be found in
//! the file. Secrets in it are references ([`SecretRef`]), read by the process that owns them.
//!
//! This crate never opens a socket or a database, never resolves a name, never reads a secret
//! while loading, and knows no switch that weakens the checks (row 61).

mod admin;
mod authority;
mod challenges;
mod config;
mod load;
mod locality;
mod mdm;
mod paths;
mod plugin;
mod problem;
mod profile;
mod revoker;
mod rules;
mod schema;
mod secret;
mod serve;
mod sign;
mod structure;
mod token;
mod user;
mod value;
mod verify;

pub use countersign_keys::{Finding, Mode, Severity};

pub use admin::{AdminSettings, Person};
pub use authority::{
    Authentication, AuthorityKind, AuthoritySettings, ClientCertificate, UsernameToken,
};
pub use challenges::ChallengeSettings;
pub use config::{ApprovalSettings, Config, Sockets};
pub use load::Loaded;
pub use locality::check_authority_locality;
pub use mdm::{
    BasicCredential, BearerCredential, CredentialProof, MdmCredential, MdmLimits, MdmSettings,
    PageEncoding, PageSettings, PasswordHash, PinnedName, TcpAddress, TokenDigest,
};
pub use plugin::credential::{
    AssertionKey, BasicPassword, BearerToken, CredentialKind, CredentialSettings, HeaderValue,
    Oauth2Client, Oauth2Settings, PluginSecret, PluginSecretError, SecretEncoding, read_text,
};
pub use plugin::host::{AddressRange, GrantedHost, GrantedName, HostPattern};
pub use plugin::{Grants, PluginClientCertificate, PluginHttp, PluginLimits, PluginSettings};
pub use problem::Problem;
pub use profile::{AcceptSettings, DenialCaps, ProfileSettings, Verifiers};
pub use revoker::{RevocationSettings, RevokerKind, RevokerListener, RevokerSettings};
pub use schema::schema;
pub use secret::{SecretError, SecretRef};
pub use serve::{
    Listen, ServeBudgets, ServeKeys, ServeLimits, ServeSettings, SourceHeader, TlsSettings,
};
pub use sign::{
    CheckpointSettings, FuseSettings, KeyPairSettings, OrderSettings, RevocationFuseSettings,
    SignKeys, SignSettings,
};
pub use token::{KeyRef, PinRef, TokenSettings};
pub use user::{User, UserError};
pub use value::{BadValue, ComponentDigest, HttpsUrl, LoopbackAddress};
pub use verify::{SandboxSettings, VerifySettings};
