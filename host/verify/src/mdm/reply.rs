//! Answers. Each may hold a password, so none may be stored on the way.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

/// An answer, whole.
pub(super) type Reply = Response<Full<Bytes>>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// An answer with its type.
pub(super) fn reply(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let mut set = |name: HeaderName, value: &str| with(&mut response, name, value);
    set(CONTENT_TYPE, content_type);
    set(CACHE_CONTROL, "no-store");
    set(PRAGMA, "no-cache");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// An error as the API tells it: a stable code and what to do.
pub(super) fn error(status: StatusCode, code: &str, detail: &str) -> Reply {
    let body = json!({ "error": code, "detail": detail });
    reply(status, JSON, body.to_string())
}

/// 401 with the schemes that there are.
pub(super) fn unauthorized(schemes: impl Iterator<Item = &'static str>) -> Reply {
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        "not-authenticated",
        "show a client certificate, a user and password, or a token that [verify.mdm] knows",
    );
    for scheme in schemes {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    response
}

/// 405.
pub(super) fn only(method: &'static str) -> Reply {
    let mut response =
        error(StatusCode::METHOD_NOT_ALLOWED, "method", &format!("send it as {method}"));
    with(&mut response, ALLOW, method);
    response
}

/// When to come again.
pub(super) fn retry_after(mut response: Reply, seconds: u64) -> Reply {
    with(&mut response, RETRY_AFTER, &seconds.to_string());
    response
}

fn with(response: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
