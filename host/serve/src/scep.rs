//! SCEP over HTTP (RFC 8894 §4): URLs, queries and bodies on one side, the way of a request on the
//! other.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use countersign_enrol::{Answer, Arrival, Profile, Source};
use countersign_scep::{Capabilities, Operation, Query, QueryError, ca_bundle};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::source;
use crate::state::Shared;

/// Every URL of the listener.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health/live", axum::routing::get(|| async { "live\n" }))
        .route("/health/ready", axum::routing::get(ready))
        .fallback(scep)
        .with_state(shared)
}

/// For load balancers: yes or no. Why not is for admins (`countersign status`), not for strangers.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.gate.readiness().await.ready {
        plain(StatusCode::OK, "ready\n")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn scep(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let Some((profile, path_suffix)) = find_profile(&shared, request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "no SCEP profile at this path\n");
    };
    let is_post = match *request.method() {
        Method::GET => false,
        Method::POST => true,
        _ => {
            let mut response =
                plain(StatusCode::METHOD_NOT_ALLOWED, "SCEP is spoken by GET and POST\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            return response;
        }
    };
    let query = match Query::parse(query.as_deref().unwrap_or_default(), &shared.bounds) {
        Ok(query) => query,
        Err(error) => return bad_query(&error),
    };
    let operation = match (query.operation, is_post) {
        (Some(operation), _) => operation,
        // Some clients leave it out when they post: there is only one operation to post.
        (None, true) => Operation::PkiOperation,
        (None, false) => return plain(StatusCode::BAD_REQUEST, "the query has no operation\n"),
    };
    match (operation, is_post) {
        (Operation::GetCaCaps, false) => capabilities(&profile),
        (Operation::GetCaCert, false) => ca_certificates(&shared, &profile),
        (Operation::GetNextCaCert, false) => match &profile.next_ca {
            Some(body) => typed("application/x-x509-next-ca-cert", body.to_vec()),
            // Not advertised without a successor to hand out.
            None => plain(StatusCode::BAD_REQUEST, "GetNextCACert is not offered\n"),
        },
        (Operation::PkiOperation, true) => {
            let source = source_of(&shared, &request);
            match body(&shared, request).await {
                Ok(message) => pki_operation(&shared, profile, path_suffix, source, message).await,
                Err(response) => response,
            }
        }
        (Operation::PkiOperation, false) => {
            let source = source_of(&shared, &request);
            match query.pki_message() {
                Ok(message) if message.len() > shared.max_body => too_large(),
                Ok(message) => pki_operation(&shared, profile, path_suffix, source, message).await,
                Err(error) => bad_query(&error),
            }
        }
        (Operation::GetCaCaps | Operation::GetCaCert | Operation::GetNextCaCert, true) => {
            plain(StatusCode::BAD_REQUEST, "only PKIOperation is posted\n")
        }
    }
}

async fn pki_operation(
    shared: &Shared,
    profile: Arc<Profile>,
    path_suffix: String,
    source: Source,
    message: Vec<u8>,
) -> Response {
    let Ok(place) = Arc::clone(&shared.in_flight).try_acquire_owned() else {
        return busy(1);
    };
    if !shared.gate.is_open_for(&profile) {
        return busy(30);
    }
    let arrival = Arrival { profile, path_suffix, source, message };
    let answer = shared.enrolments.answer(arrival, place);
    match tokio::time::timeout(shared.request_deadline, answer).await {
        Ok(Answer::CertRep(octets)) => typed("application/x-pki-message", octets),
        Ok(Answer::NotAMessage) => {
            plain(StatusCode::BAD_REQUEST, "the body is not a SCEP message\n")
        }
        Ok(Answer::Busy { retry_after }) => busy(retry_after),
        // The work goes on; a repeated request finds its result.
        Err(_) => busy(10),
    }
}

fn capabilities(profile: &Profile) -> Response {
    let mut offered = Capabilities::MODERN.with_legacy(&profile.legacy);
    if profile.renews {
        offered = offered.with_renewal();
    }
    if profile.next_ca.is_some() {
        offered = offered.with_next_ca_cert();
    }
    let text = offered.to_string();
    typed("text/plain", text.into_bytes())
}

/// RA certificates and the CA's chain as certs-only CMS. The EA certificate is never in it.
fn ca_certificates(shared: &Shared, profile: &Profile) -> Response {
    let mut certificates = Vec::new();
    certificates.extend(shared.enrolments.opener().certificate().cloned());
    certificates.push(shared.enrolments.responder().certificate().clone());
    certificates.extend(profile.ca_certificates.iter().cloned());
    typed("application/x-x509-ca-ra-cert", ca_bundle(&certificates))
}

/// The profile that a path names, and what follows it. Clients append a last element of their own
/// (`/pkiclient.exe`); it is passed on, not looked at.
fn find_profile(shared: &Shared, path: &str) -> Option<(Arc<Profile>, String)> {
    let decoded = percent_decoded(path)?;
    if let Some(rest) = decoded.strip_prefix("/scep/") {
        let (name, suffix) = rest.split_once('/').unwrap_or((rest, ""));
        return shared.profiles.get(name).map(|found| (Arc::clone(found), suffix.to_owned()));
    }
    let lower = decoded.to_ascii_lowercase();
    shared.aliases.iter().find_map(|(alias, name)| {
        let rest = lower.strip_prefix(alias.as_str())?;
        let is_whole = rest.is_empty() || rest.starts_with('/');
        let suffix = decoded.get(alias.len()..)?.trim_start_matches('/').to_owned();
        let found = shared.profiles.get(name)?;
        is_whole.then(|| (Arc::clone(found), suffix))
    })
}

/// A path is short and holds no control characters once decoded; anything else names nothing.
fn percent_decoded(path: &str) -> Option<String> {
    if path.len() > 2048 {
        return None;
    }
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    let text = String::from_utf8(octets).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

fn source_of(shared: &Shared, request: &Request) -> Source {
    let peer = request.extensions().get::<Source>().copied().unwrap_or(Source::Unix);
    source::source_of(peer, request.headers(), shared.source_header.as_deref())
}

async fn body(shared: &Shared, request: Request) -> Result<Vec<u8>, Response> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > shared.max_body) {
        return Err(too_large());
    }
    let whole = Limited::new(request.into_body(), shared.max_body).collect();
    match tokio::time::timeout(shared.body_deadline, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(plain(StatusCode::BAD_REQUEST, "the body did not come whole\n")),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")),
    }
}

fn bad_query(error: &QueryError) -> Response {
    let status = match error {
        QueryError::TooLong { .. } => StatusCode::URI_TOO_LONG,
        QueryError::PercentEncoding
        | QueryError::Repeated(_)
        | QueryError::UnknownOperation(_)
        | QueryError::NoMessage
        | QueryError::NotBase64 => StatusCode::BAD_REQUEST,
    };
    // The text is ours but for an operation's name, which Debug escapes.
    plain(status, &format!("{error}\n"))
}

fn too_large() -> Response {
    plain(StatusCode::PAYLOAD_TOO_LARGE, "the message is too large\n")
}

fn busy(retry_after: u32) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "come again later\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = typed("text/plain", text.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}

/// A type without parameters: sscep compares the whole string.
fn typed(media_type: &'static str, octets: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(octets));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
