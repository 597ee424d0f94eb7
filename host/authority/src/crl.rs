//! Where a CA publishes its revocation list, fetched, verified, and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use countersign_profile::{Certificate, RevocationList};
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use crate::error::AuthorityError;
use crate::wstep::tls;

/// A list is asked for again after this.
const FRESH: Duration = Duration::from_secs(300);
/// While the place does not answer, the last list serves no longer than this, and never beyond its
/// own end: a revocation shows late by at most so much, an outage of the place does not stop renewals
/// at once.
const LONGEST_STALE: Duration = Duration::from_secs(3600);
/// The pause after a failure: requests of strangers must not become requests to the CA.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The place of one CA's revocation list. Plain HTTP is usual there: the list is signed.
pub(crate) struct CrlSource {
    place: Option<Place>,
    issuer: Certificate,
    timeout: Duration,
    kept: Mutex<Kept>,
}

/// What is known of the list. One asks, the others wait for its answer.
#[derive(Default)]
struct Kept {
    list: Option<(Instant, Arc<RevocationList>)>,
    failed: Option<(Instant, AuthorityError)>,
}

struct Place {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl CrlSource {
    pub(crate) fn new(
        url: Option<&str>,
        roots_pem: &[u8],
        issuer: Certificate,
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
                    .with_tls_config(tls::client_config(roots_pem, None)?)
                    .https_or_http()
                    .enable_http1()
                    .wrap_connector(http);
                let client = Client::builder(TokioExecutor::new()).build(connector);
                Some(Place { uri, client })
            }
        };
        Ok(Self { place, issuer, timeout, kept: Mutex::default() })
    }

    /// The list: that of a moment ago, or fetched now.
    pub(crate) async fn list(&self) -> Result<Arc<RevocationList>, AuthorityError> {
        let mut kept = self.kept.lock().await;
        let now = unix(SystemTime::now());
        let within = |limit: Duration| {
            kept.list
                .as_ref()
                .filter(|(at, list)| at.elapsed() < limit && list.is_current(now))
                .map(|(_, list)| Arc::clone(list))
        };
        if let Some(list) = within(FRESH) {
            return Ok(list);
        }
        let last = within(LONGEST_STALE);
        if let Some((at, error)) = &kept.failed
            && at.elapsed() < AFTER_FAILURE
        {
            return last.ok_or_else(|| error.clone());
        }
        match self.fetch(now).await {
            Ok(list) => {
                let list = Arc::new(list);
                *kept = Kept { list: Some((Instant::now(), Arc::clone(&list))), failed: None };
                Ok(list)
            }
            Err(error) => {
                tracing::warn!(%error, kept = last.is_some(), "no new revocation list");
                kept.failed = Some((Instant::now(), error.clone()));
                last.ok_or(error)
            }
        }
    }

    async fn fetch(&self, now: u64) -> Result<RevocationList, AuthorityError> {
        let Some(Place { uri, client }) = &self.place else {
            return Err(AuthorityError::misconfigured(
                "No address of the CA's revocation list is configured.",
                "Set the authority's crl-url to the CA's HTTP distribution point.",
            ));
        };
        let exchange = async {
            let response = client.get(uri.clone()).await.map_err(|error| error.to_string())?;
            let status = response.status();
            if !status.is_success() {
                return Err(format!("HTTP {status}"));
            }
            Limited::new(response.into_body(), RevocationList::MAX_OCTETS)
                .collect()
                .await
                .map(|body| body.to_bytes())
                .map_err(|error| error.to_string())
        };
        let bytes = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(detail)) => {
                return Err(AuthorityError::unavailable(format!("CRL at {uri}: {detail}")));
            }
            Err(_) => {
                return Err(AuthorityError::unavailable(format!(
                    "CRL at {uri}: no answer within {:?}",
                    self.timeout
                )));
            }
        };
        let list = RevocationList::read(bytes.to_vec(), &self.issuer).map_err(|error| {
            AuthorityError::misconfigured(
                format!("What the CRL's address serves is not this CA's revocation list: {error}."),
                "Compare the configured chain (issuing CA first) with the CA that publishes there.",
            )
        })?;
        if !list.is_current(now) {
            return Err(AuthorityError::unavailable(format!(
                "CRL at {uri}: made at {}, replaced at {}, now {now}: the CA has not published",
                list.this_update(),
                list.next_update()
            )));
        }
        Ok(list)
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
