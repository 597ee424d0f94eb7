//! The CA's listeners: the enrolment web services over TLS, the revocation list over HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;

use der::asn1::{Ia5String, OctetString};
use der::{Decode, Encode};

use crate::LabCa;
use crate::certificate::{self, CERTIFICATE_PATH, CRL_PATH, Subject};
use crate::countersigned::common_name;
use crate::directory::Options;
use crate::error::LabCaError;
use crate::key::{Algorithm, CaKey};
use crate::role::Role;
use crate::state::Origin;
use crate::template::Misbehaviour;
use crate::wstep::{self, Caller};

const MAX_BODY: usize = 1 << 20;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// A serving CA. Dropped, it stops without waiting.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    publication: SocketAddr,
    name: String,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Where the enrolment web services listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The service for client certificates.
    #[must_use]
    pub fn certificate_url(&self) -> String {
        format!("https://{}{}", self.address, path(&self.name, CERTIFICATE))
    }

    /// The service for UsernameTokens.
    #[must_use]
    pub fn username_password_url(&self) -> String {
        format!("https://{}{}", self.address, path(&self.name, USERNAME_PASSWORD))
    }

    /// The revocation list.
    #[must_use]
    pub fn crl_url(&self) -> String {
        format!("http://{}{CRL_PATH}", self.publication)
    }

    /// Stops listening and closes what is open.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

const CERTIFICATE: &str = "Certificate";
const USERNAME_PASSWORD: &str = "UsernamePassword";

fn path(name: &str, kind: &str) -> String {
    // As AD CS does it, the CA's name is part of the path.
    let name: String = name
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => character.to_string(),
            _ => "-".to_owned(),
        })
        .collect();
    format!("/{name}_CES_{kind}/service.svc/CES")
}

impl LabCa {
    /// Serves on `listener` (TLS; loopback only) and publishes the revocation list on a port of its
    /// own, which stays the same for this directory where it is still free.
    ///
    /// The TLS certificate names `localhost` and the listener's address.
    ///
    /// # Errors
    /// [`LabCaError::NotLoopback`], or what could not be set up.
    pub async fn serve(&self, listener: TcpListener) -> Result<Serving, LabCaError> {
        let server = |error: io::Error| LabCaError::Server(error.to_string());
        let address = listener.local_addr().map_err(server)?;
        if !address.ip().is_loopback() {
            return Err(LabCaError::NotLoopback(address));
        }
        let publisher = self.publisher().await?;
        let publication = publisher.local_addr().map_err(server)?;
        let settings = self.publish_at(publication)?;

        let tls = TlsAcceptor::from(Arc::new(self.tls(address)?));
        let (stop, stopped) = watch::channel(false);
        let ca = self.clone();
        let publishing = self.clone();
        let tasks = vec![
            tokio::spawn(accept(listener, stopped.clone(), move |stream| {
                enrolment(ca.clone(), tls.clone(), stream)
            })),
            tokio::spawn(accept(publisher, stopped, move |stream| {
                publish(publishing.clone(), stream)
            })),
        ];
        Ok(Serving { address, publication, name: settings.name, stop, tasks })
    }

    /// Notes the place in the settings, which others may be changing too.
    fn publish_at(&self, place: SocketAddr) -> Result<Options, LabCaError> {
        let _locked = self.0.directory.lock()?;
        let mut settings = self.settings()?;
        settings.publication = Some(format!("http://{place}"));
        self.0.directory.write_settings(&settings)?;
        Ok(settings)
    }

    async fn publisher(&self) -> Result<TcpListener, LabCaError> {
        let before = self
            .settings()?
            .publication
            .and_then(|place| place.strip_prefix("http://")?.parse::<SocketAddr>().ok());
        if let Some(before) = before.filter(|address| address.ip().is_loopback()) {
            match TcpListener::bind(before).await {
                Ok(listener) => return Ok(listener),
                Err(error) => tracing::warn!(
                    %before, %error,
                    "the address named in earlier certificates is taken; publishing elsewhere"
                ),
            }
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(|error| LabCaError::Server(error.to_string()))
    }

    fn tls(&self, address: SocketAddr) -> Result<ServerConfig, LabCaError> {
        let server = |error: &dyn std::fmt::Display| LabCaError::Server(error.to_string());
        let key = CaKey::generate(Algorithm::P256)?;
        let octets = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let names = vec![
            GeneralName::DnsName(Ia5String::new("localhost")?),
            GeneralName::IpAddress(OctetString::new(octets)?),
        ];
        let (not_before, not_after) = certificate::validity(90);
        let certificate = self.issue_for_role(
            Role::TlsServer,
            Subject {
                name: certificate::name("localhost")?,
                spki: &key.spki()?,
                key_use: Role::TlsServer.key_use(),
                extended_key_usages: Vec::new(),
                subject_alt_name: Some(names.to_der()?),
                not_before,
                not_after,
                template: None,
                more_extensions: Vec::new(),
                publication: None,
            },
        )?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.certificate_der().to_vec()))
            .map_err(|error| server(&error))?;
        // Both services share the listener: the one by user name has no client certificate.
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| server(&error))?;
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| server(&error))?
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8()?.to_vec())),
            )
            .map_err(|error| server(&error))
    }

    /// The account behind a client certificate: one that an admin issued for that, still good.
    fn account(&self, certificate: &[u8]) -> Option<String> {
        let read = Certificate::from_der(certificate).ok()?;
        let serial = hex::encode(read.tbs_certificate().serial_number().as_bytes());
        let locked = self.0.directory.lock().ok()?;
        let record = locked.state().certificates.get(&serial)?;
        let is_account = record.origin == Origin::Role(Role::TlsClient)
            && record.revocation.is_none()
            && record.certificate == hex::encode(certificate);
        is_account.then(|| common_name(&read))
    }
}

async fn accept<F, S>(listener: TcpListener, mut stopped: watch::Receiver<bool>, serve: F)
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn enrolment(ca: LabCa, tls: TlsAcceptor, stream: TcpStream) {
    let stream = match tls.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::info!(%error, "TLS");
            return;
        }
    };
    let client: Option<Vec<u8>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.to_vec());
    let service = service_fn(move |request| {
        let ca = ca.clone();
        let client = client.clone();
        async move { enrol(ca, client, request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::info!(%error, "connection");
    }
}

/// One HTTP request to a service. An error closes the connection without an answer.
async fn enrol(
    ca: LabCa,
    client: Option<Vec<u8>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let settings = ca.0.directory.settings().map_err(io::Error::other)?;
    let at = request.uri().path().to_owned();
    let caller = if at.eq_ignore_ascii_case(&path(&settings.name, CERTIFICATE)) {
        let Some(account) = client.and_then(|certificate| ca.account(&certificate)) else {
            return Ok(page(StatusCode::FORBIDDEN, "403.7 - Client certificate required"));
        };
        Caller::Certificate(account)
    } else if at.eq_ignore_ascii_case(&path(&settings.name, USERNAME_PASSWORD)) {
        Caller::UsernamePassword
    } else {
        return Ok(page(StatusCode::NOT_FOUND, "404.0 - Not Found"));
    };
    if request.method() != Method::POST {
        return Ok(page(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed"));
    }
    let is_soap = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/soap+xml"));
    if !is_soap {
        return Ok(page(StatusCode::UNSUPPORTED_MEDIA_TYPE, "415 - Unsupported Media Type"));
    }
    let host =
        request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let address = format!("https://{host}{at}");
    let body = Limited::new(request.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();

    let reaction = tokio::task::spawn_blocking(move || wstep::answer(&ca, caller, &address, &body))
        .await
        .map_err(io::Error::other)?;
    let reaction = match reaction {
        Ok(reaction) => reaction,
        Err(error) => {
            tracing::error!(%error, "the CA failed");
            return Ok(page(StatusCode::INTERNAL_SERVER_ERROR, "500"));
        }
    };
    for what in &reaction.misbehaving {
        match what {
            Misbehaviour::AnswerSlowly { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            }
            Misbehaviour::LoseAnswer => return Err(io::Error::other("told to lose the answer")),
            Misbehaviour::AnswerInstead { status, headers, body }
            | Misbehaviour::AnswerInsteadAfterIssuing { status, headers, body } => {
                return instead(*status, headers, body);
            }
            _ => {}
        }
    }
    let mut response = Response::new(Full::from(reaction.envelope));
    *response.status_mut() = StatusCode::from_u16(reaction.status).map_err(io::Error::other)?;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/soap+xml; charset=utf-8"));
    Ok(response)
}

fn instead(
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
    for (name, value) in headers {
        response.headers_mut().append(
            HeaderName::try_from(name).map_err(io::Error::other)?,
            HeaderValue::try_from(value).map_err(io::Error::other)?,
        );
    }
    Ok(response)
}

async fn publish(ca: LabCa, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let ca = ca.clone();
        async move { Ok::<_, Infallible>(published(ca, request.uri().path()).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::info!(%error, "connection");
    }
}

async fn published(ca: LabCa, at: &str) -> Response<Full<Bytes>> {
    let (content, media_type) = match at {
        CERTIFICATE_PATH => (ca.certificate_der().to_vec(), "application/pkix-cert"),
        CRL_PATH => match tokio::task::spawn_blocking(move || ca.crl()).await {
            Ok(Ok(crl)) => (crl, "application/pkix-crl"),
            _ => return page(StatusCode::INTERNAL_SERVER_ERROR, "500"),
        },
        _ => return page(StatusCode::NOT_FOUND, "404.0 - Not Found"),
    };
    let mut response = Response::new(Full::from(content));
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// An error page, as IIS sends one: no SOAP.
fn page(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("<html><body>{text}</body></html>")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
