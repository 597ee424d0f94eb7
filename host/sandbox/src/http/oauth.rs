//! OAuth 2.0 client credentials (RFC 6749 §4.4): the token is fetched by the host, kept until shortly
//! before it ends, and fetched anew after a 401.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    credential::sensitive,
    refusal::HttpRefusal,
    request::{Outbound, Target, path_and_query},
};
use crate::model::Secret;

/// A token is not used in its last minute: it would end on the way.
const BEFORE_END: Duration = Duration::from_secs(60);
/// Where the server says nothing of the token's life (RFC 6749 §5.1 only recommends it).
const UNSAID_LIFE: u64 = 300;
const LONGEST_LIFE: u64 = 24 * 60 * 60;
const ASSERTION_LIFE: u64 = 300;

/// How a token is asked for.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token end point, `https`.
    pub token_url: Url,
    /// The client's id there.
    pub client_id: String,
    /// Scopes, apart by spaces; none where the server wants none.
    pub scope: Option<String>,
    /// How the client proves itself.
    pub proof: ClientProof,
}

/// How an OAuth client proves itself.
#[derive(Clone)]
pub enum ClientProof {
    /// By a shared secret in the form, `client_secret_post` (RFC 6749 §2.3.1).
    Secret(Secret),
    /// By a signed assertion, `private_key_jwt` (RFC 7523).
    Assertion {
        /// RSA (PS256) or P-256 (ES256), PKCS#8 PEM.
        key_pem: Zeroizing<Vec<u8>>,
        /// `kid`, where the server wants one.
        key_id: Option<String>,
        /// The certificate of the key, PEM, whose SHA-256 is `x5t#S256` (Entra ID wants it).
        certificate_pem: Option<Vec<u8>>,
    },
}

impl fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(…)",
            Self::Assertion { .. } => "Assertion(…)",
        })
    }
}

/// One credential's tokens.
pub(crate) struct TokenSource {
    settings: OAuth2,
    target: Target,
    signer: Option<Signer>,
    certificate: Option<CertificateDer<'static>>,
    kept: Mutex<Option<Token>>,
}

struct Token {
    value: HeaderValue,
    until: Instant,
}

enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

#[derive(Deserialize)]
struct Granted {
    access_token: Zeroizing<String>,
    #[serde(default)]
    token_type: String,
    expires_in: Option<u64>,
}

impl TokenSource {
    /// The error quotes no secret.
    pub(crate) fn new(settings: OAuth2) -> Result<Self, String> {
        let target = Target::of(&settings.token_url).map_err(|refusal| refusal.to_string())?;
        let (signer, certificate) = match &settings.proof {
            ClientProof::Secret(_) => (None, None),
            ClientProof::Assertion { key_pem, certificate_pem, .. } => {
                let certificate = certificate_pem.as_deref().map(CertificateDer::from_pem_slice);
                let certificate = certificate
                    .transpose()
                    .map_err(|error| format!("the certificate of its key is not PEM: {error}"))?;
                (Some(Signer::read(key_pem)?), certificate)
            }
        };
        Ok(Self { settings, target, signer, certificate, kept: Mutex::new(None) })
    }

    /// The `Authorization` value. `fetch` sends a request and gives status and body; one at a time,
    /// and all who wait get what it brought.
    pub(crate) async fn authorization<F>(
        &self,
        fetch: impl FnOnce(Outbound) -> F,
    ) -> Result<HeaderValue, HttpRefusal>
    where
        F: Future<Output = Result<(u16, Zeroizing<Vec<u8>>), HttpRefusal>>,
    {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref()
            && Instant::now() < token.until
        {
            return Ok(token.value.clone());
        }
        *kept = None;
        let (status, body) = fetch(self.request()?).await?;
        let token = read_token(status, &body)?;
        let value = token.value.clone();
        *kept = Some(token);
        Ok(value)
    }

    /// Forgets the token that a 401 came for, and no newer one.
    pub(crate) async fn rejected(&self, value: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.value == value) {
            *kept = None;
        }
    }

    fn request(&self) -> Result<Outbound, HttpRefusal> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &self.settings.client_id);
        if let Some(scope) = &self.settings.scope {
            form.append_pair("scope", scope);
        }
        match (&self.settings.proof, &self.signer) {
            (ClientProof::Secret(secret), _) => {
                form.append_pair("client_secret", secret.expose());
            }
            (ClientProof::Assertion { .. }, Some(signer)) => {
                let assertion = self.assertion(signer)?;
                form.append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                );
                form.append_pair("client_assertion", &assertion);
            }
            (ClientProof::Assertion { .. }, None) => {
                return Err(HttpRefusal::Other("the credential has no signing key".into()));
            }
        }
        let host = HeaderValue::from_str(&self.target.authority())
            .map_err(|_| HttpRefusal::Other("the token end point has no host".into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        Ok(Outbound {
            target: self.target.clone(),
            method: Method::POST,
            path: path_and_query(&self.settings.token_url)?,
            headers,
            body: Bytes::from(form.finish()),
        })
    }

    /// RFC 7523 §3: issuer and subject are the client, the audience is the token end point.
    fn assertion(&self, signer: &Signer) -> Result<String, HttpRefusal> {
        let ClientProof::Assertion { key_id, .. } = &self.settings.proof else {
            return Err(HttpRefusal::Other("the credential signs no assertions".into()));
        };
        let mut head = json!({ "typ": "JWT", "alg": signer.algorithm() });
        if let Some(members) = head.as_object_mut() {
            if let Some(id) = key_id {
                members.insert("kid".into(), id.as_str().into());
            }
            if let Some(certificate) = &self.certificate {
                let hash = digest::digest(&digest::SHA256, certificate);
                members.insert("x5t#S256".into(), URL_SAFE_NO_PAD.encode(hash).into());
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut id = [0u8; 16];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| HttpRefusal::Other("the system gives no random bytes".into()))?;
        let claims = json!({
            "iss": self.settings.client_id,
            "sub": self.settings.client_id,
            "aud": self.settings.token_url.as_str(),
            "jti": hex::encode(id),
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(ASSERTION_LIFE),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(head), part(claims));
        let signature = signer
            .sign(signed.as_bytes())
            .map_err(|()| HttpRefusal::Other("the assertion could not be signed".into()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Errors repeat nothing of the body, which holds the token or may echo the client's secret.
fn read_token(status: u16, body: &[u8]) -> Result<Token, HttpRefusal> {
    let other = |what: String| HttpRefusal::Other(format!("no token for the credential: {what}"));
    if status != 200 {
        return Err(other(format!("the token end point answered {status}")));
    }
    let granted: Granted = serde_json::from_slice(body)
        .map_err(|_| other("the token end point answered no token".into()))?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(other("the token is of another type than Bearer".into()));
    }
    let life = granted.expires_in.unwrap_or(UNSAID_LIFE).min(LONGEST_LIFE);
    // A token that lives less than two minutes is used for half of its life.
    let life = Duration::from_secs(life);
    let used = life.saturating_sub(BEFORE_END).max(life / 2);
    let value = sensitive("Bearer ", &granted.access_token).map_err(other)?;
    Ok(Token { value, until: Instant::now() + used })
}

impl Signer {
    fn read(pem: &[u8]) -> Result<Self, String> {
        let wrong = || "the key of its assertion is no PKCS#8 PEM key of RSA or P-256".to_owned();
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| wrong())?;
        let der = key.secret_pkcs8_der();
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self::Rsa(pair));
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Self::P256)
            .map_err(|_| wrong())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "PS256",
            Self::P256(_) => "ES256",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ()> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature).map_err(drop)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                pair.sign(&random, message).map(|signed| signed.as_ref().to_vec()).map_err(drop)
            }
        }
    }
}
