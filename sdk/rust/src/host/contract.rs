//! The host behind the imports of the component.

use std::time::Duration;

use super::{
    Binding, HttpError, HttpRequest, HttpResponse, IssueError, KvError, Level, RedeemError,
    SecretError,
};
use crate::bindings::plugin::countersign::verifier::{challenges, http, kv, log, secrets};
use crate::time::{from_unix_seconds, to_seconds};
use crate::{Attributes, Challenge, IssuedChallenge};

#[derive(Debug)]
pub(crate) struct Backend;

impl Backend {
    pub(crate) fn log(&self, level: Level, message: &str, fields: Attributes) {
        let level = match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::log(level, message, &fields.into_wire());
    }

    pub(crate) fn redeem(&self, text: &str) -> Result<Binding, RedeemError> {
        let binding = challenges::redeem(text).map_err(|error| match error {
            challenges::RedeemError::Unknown => RedeemError::Unknown,
            challenges::RedeemError::Expired => RedeemError::Expired,
            challenges::RedeemError::Used => RedeemError::Used,
            challenges::RedeemError::Denied(text) => RedeemError::Denied(text),
            challenges::RedeemError::Unavailable(text) => RedeemError::Unavailable(text),
            challenges::RedeemError::Other(text) => RedeemError::Other(text),
        })?;
        Ok(Binding {
            names: binding.names.into_iter().map(Into::into).collect(),
            device_id: binding.device_id,
            attributes: Attributes::from_wire(binding.attributes),
        })
    }

    pub(crate) fn issue(
        &self,
        binding: Binding,
        time_to_live: Duration,
    ) -> Result<IssuedChallenge, IssueError> {
        let binding = challenges::Binding {
            names: binding.names.into_iter().map(Into::into).collect(),
            device_id: binding.device_id,
            attributes: binding.attributes.into_wire(),
        };
        let issued =
            challenges::issue(&binding, to_seconds(time_to_live)).map_err(|error| match error {
                challenges::IssueError::Invalid(text) => IssueError::Invalid(text),
                challenges::IssueError::Quota(text) => IssueError::Quota(text),
                challenges::IssueError::Denied(text) => IssueError::Denied(text),
                challenges::IssueError::Unavailable(text) => IssueError::Unavailable(text),
                challenges::IssueError::Other(text) => IssueError::Other(text),
            })?;
        Ok(IssuedChallenge {
            text: Challenge::new(issued.text),
            expires: from_unix_seconds(issued.expires),
            attributes: Attributes::new(),
        })
    }

    pub(crate) fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        kv::get(key).map_err(Into::into)
    }

    pub(crate) fn kv_set(
        &self,
        key: &str,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), KvError> {
        kv::set(key, value, time_to_live.map(to_seconds)).map_err(Into::into)
    }

    pub(crate) fn kv_compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, KvError> {
        kv::compare_and_set(key, expected, value, time_to_live.map(to_seconds)).map_err(Into::into)
    }

    pub(crate) fn kv_delete(&self, key: &str) -> Result<(), KvError> {
        kv::delete(key).map_err(Into::into)
    }

    pub(crate) fn http_send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let timeout = request.timeout.map(|timeout| {
            // At least one: a time-out of nothing would be an error of the caller, not a wish.
            u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1)
        });
        let response = http::send(&http::HttpRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.into_vec(),
            timeout_milliseconds: timeout,
            auth: request.auth,
        })
        .map_err(|error| match error {
            http::HttpError::Denied(text) => HttpError::Denied(text),
            http::HttpError::Dns(text) => HttpError::Dns(text),
            http::HttpError::Connect(text) => HttpError::Connect(text),
            http::HttpError::Tls(text) => HttpError::Tls(text),
            http::HttpError::Timeout => HttpError::Timeout,
            http::HttpError::TooLarge => HttpError::TooLarge,
            http::HttpError::Quota(text) => HttpError::Quota(text),
            http::HttpError::Other(text) => HttpError::Other(text),
        })?;
        Ok(HttpResponse {
            status: response.status,
            headers: response.headers,
            body: response.body.into(),
        })
    }

    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        let found = crate::bindings::random::wasi::random::random::get_random_bytes(
            bytes.len().try_into().unwrap_or(u64::MAX),
        );
        // A host that gave too few would end the call here, and no nonce would be half a nonce.
        bytes.copy_from_slice(&found);
    }

    pub(crate) fn secret_mac(&self, secret: &str, message: &[u8]) -> Result<Vec<u8>, SecretError> {
        secrets::mac(secret, message).map_err(Into::into)
    }

    pub(crate) fn secret_verify_mac(
        &self,
        secret: &str,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, SecretError> {
        secrets::verify_mac(secret, message, tag).map_err(Into::into)
    }

    pub(crate) fn secret_matches(
        &self,
        secret: &str,
        candidate: &[u8],
    ) -> Result<bool, SecretError> {
        secrets::matches(secret, candidate).map_err(Into::into)
    }
}

impl From<kv::KvError> for KvError {
    fn from(error: kv::KvError) -> Self {
        match error {
            kv::KvError::Invalid(text) => Self::Invalid(text),
            kv::KvError::Quota(text) => Self::Quota(text),
            kv::KvError::Denied(text) => Self::Denied(text),
            kv::KvError::Unavailable(text) => Self::Unavailable(text),
            kv::KvError::Other(text) => Self::Other(text),
        }
    }
}

impl From<secrets::SecretError> for SecretError {
    fn from(error: secrets::SecretError) -> Self {
        match error {
            secrets::SecretError::Denied(text) => Self::Denied(text),
            secrets::SecretError::Unavailable(text) => Self::Unavailable(text),
            secrets::SecretError::Other(text) => Self::Other(text),
        }
    }
}
