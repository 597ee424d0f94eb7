//! `[authority.NAME]`: a certification authority and how it is reached.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::value::HttpsUrl;

/// `[authority.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AuthoritySettings {
    /// How it is spoken to.
    pub kind: AuthorityKind,
    /// Where its enrolment web service is; `https` only.
    pub url: HttpsUrl,
    /// Roots that its TLS certificate must chain to, PEM. Nothing else is trusted.
    pub roots: PathBuf,
    /// Who we are to it: exactly one way.
    pub authentication: Authentication,
    /// The certificate that issues device certificates, PEM or DER; issued ones are pinned to it.
    pub issuing_certificate: PathBuf,
    /// The chain devices are given, PEM, from the issuing certificate to the root.
    pub chain: PathBuf,
    /// Where its CRL is fetched from; `http` or `https`, as in its certificates. Profiles that renew
    /// need it.
    pub crl_url: Option<String>,
    /// What GetNextCACert answers, DER: the CA's next certificates as a certs-only CMS, signed by the
    /// issuing certificate's key. The CA's admin makes it; without it GetNextCACert is not offered.
    pub next_ca: Option<PathBuf>,
    /// Seconds in which one request must be answered.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: u32,
}

/// How an authority is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityKind {
    /// MS-WSTEP over HTTPS: AD CS's Certificate Enrollment Web Service, or the lab CA.
    Wstep,
}

/// Who we are to an authority: one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Authentication {
    /// A TLS client certificate.
    ClientCertificate(ClientCertificate),
    /// A WS-Security UsernameToken.
    UsernameToken(UsernameToken),
}

/// A TLS client certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretRef,
}

/// A WS-Security UsernameToken.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UsernameToken {
    /// The account, such as `EXAMPLE\countersign`.
    pub username: String,
    /// Its password.
    pub password: SecretRef,
}

fn thirty() -> u32 {
    30
}
