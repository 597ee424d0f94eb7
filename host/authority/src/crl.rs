//! Where a CA publishes its revocation list, fetched and verified.

use std::time::Duration;

use bytes::Bytes;
use countersign_profile::{Certificate, LegacyDigests, SignatureScheme};
use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::AuthorityError;
use crate::wstep::tls;

/// Most bytes of a list; a CA with some hundred thousand revoked certificates stays below.
const MAX_BYTES: usize = 32 << 20;

/// The place of one CA's revocation list. Plain HTTP is usual there: the list is signed.
pub(crate) struct CrlSource {
    place: Option<Place>,
    issuer: Certificate,
    timeout: Duration,
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
        Ok(Self { place, issuer, timeout })
    }

    pub(crate) async fn fetch(&self) -> Result<Vec<u8>, AuthorityError> {
        let Some(Place { uri, client }) = &self.place else {
            return Err(AuthorityError::misconfigured(
                "No address of the CA's revocation list is configured.",
                "Set the authority's CRL URL to the CA's HTTP distribution point.",
            ));
        };
        let exchange = async {
            let response = client.get(uri.clone()).await.map_err(|error| error.to_string())?;
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
                return Err(AuthorityError::unavailable(format!("CRL at {uri}: {detail}")));
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

/// That this is a list of the issuing CA, by its name and its key. Whether it is current is the
/// caller's question.
fn verify(crl: &[u8], issuer: &Certificate) -> Result<(), AuthorityError> {
    let not_ours = |what: String| {
        AuthorityError::misconfigured(
            format!("What the CRL's address serves is not this CA's revocation list: {what}."),
            "Compare the configured chain (issuing CA first) with the CA that publishes there.",
        )
    };
    let list = CertificateList::read(crl).map_err(|error| not_ours(error.to_string()))?;
    if list.issuer != issuer.subject_der() {
        return Err(not_ours("it names another issuer".into()));
    }
    let key = issuer.public_key().map_err(|error| not_ours(error.to_string()))?;
    SignatureScheme::from_algorithm_identifier(list.algorithm)
        .and_then(|scheme| key.verify(scheme, LegacyDigests::Refused, list.signed, list.signature))
        .map_err(|error| not_ours(error.to_string()))
}

/// The pieces of a list (RFC 5280 §5.1) that say whose it is, as received; its entries are not read.
struct CertificateList<'a> {
    signed: &'a [u8],
    issuer: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> CertificateList<'a> {
    fn read(der: &'a [u8]) -> Result<Self, der::Error> {
        let mut outer = SliceReader::new(der)?;
        let whole = AnyRef::decode(&mut outer)?;
        outer.finish()?;
        whole.tag().assert_eq(Tag::Sequence)?;

        let mut parts = SliceReader::new(whole.value())?;
        let signed = parts.tlv_bytes()?;
        let algorithm = parts.tlv_bytes()?;
        let signature = BitStringRef::decode(&mut parts)?;
        parts.finish()?;

        let mut fields = SliceReader::new(AnyRef::from_der(signed)?.value())?;
        if Tag::peek(&fields)? == Tag::Integer {
            fields.tlv_bytes()?;
        }
        fields.tlv_bytes()?;
        let issuer = fields.tlv_bytes()?;
        Ok(Self { signed, issuer, algorithm, signature: signature.as_bytes().unwrap_or_default() })
    }
}
