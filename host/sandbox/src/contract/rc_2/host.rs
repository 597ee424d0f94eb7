//! The imports of the contract, translated to what the host has.

use std::time::Duration;

use super::bindings::countersign::verifier::{challenges, http, kv, log, secrets};
use crate::{
    backend::{IssueRefusal, RedeemRefusal, Unavailable},
    http::{HttpRefusal, HttpRequest},
    log::LogLevel,
    model::Secret,
    secrets::SecretRefusal,
    state::{CallState, Refusal},
};

impl log::Host for CallState {
    fn log(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        CallState::log(self, level, &message, &fields)
    }
}

impl kv::Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, kv::KvError>> {
        Ok(self.kv_get(&key).await?.map_err(Into::into))
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<(), kv::KvError>> {
        Ok(self.kv_set(&key, value, ttl_seconds)?.map_err(Into::into))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<bool, kv::KvError>> {
        let done = self.kv_compare_and_set(&key, expected, value, ttl_seconds).await?;
        Ok(done.map_err(Into::into))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), kv::KvError>> {
        Ok(self.kv_delete(&key)?.map_err(Into::into))
    }
}

impl challenges::Host for CallState {
    async fn issue(
        &mut self,
        binding: challenges::Binding,
        ttl_seconds: u32,
    ) -> wasmtime::Result<Result<challenges::Issued, challenges::IssueError>> {
        let issued = CallState::issue(self, binding.into(), ttl_seconds).await?;
        Ok(issued
            .map(|issued| challenges::Issued {
                text: issued.text.expose().to_owned(),
                expires: issued.expires,
            })
            .map_err(Into::into))
    }

    async fn redeem(
        &mut self,
        text: String,
    ) -> wasmtime::Result<Result<challenges::Binding, challenges::RedeemError>> {
        let text = Secret::new(text);
        let redeemed = CallState::redeem(self, text.expose()).await?;
        Ok(redeemed.map(Into::into).map_err(Into::into))
    }
}

impl http::Host for CallState {
    async fn send(
        &mut self,
        request: http::HttpRequest,
    ) -> wasmtime::Result<Result<http::HttpResponse, http::HttpError>> {
        let request = HttpRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request
                .timeout_milliseconds
                .map(|milliseconds| Duration::from_millis(milliseconds.into())),
            auth: request.auth,
        };
        let answered = self.http_send(request).await?;
        Ok(answered
            .map(|response| http::HttpResponse {
                status: response.status,
                headers: response.headers,
                body: response.body,
            })
            .map_err(Into::into))
    }
}

impl secrets::Host for CallState {
    fn mac(
        &mut self,
        secret: String,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, secrets::SecretError>> {
        Ok(self.secret_mac(&secret, &message)?.map_err(Into::into))
    }

    fn verify_mac(
        &mut self,
        secret: String,
        message: Vec<u8>,
        tag: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, secrets::SecretError>> {
        Ok(self.secret_verify_mac(&secret, &message, &tag)?.map_err(Into::into))
    }

    fn matches(
        &mut self,
        secret: String,
        candidate: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, secrets::SecretError>> {
        let candidate = zeroize::Zeroizing::new(candidate);
        Ok(self.secret_matches(&secret, &candidate)?.map_err(Into::into))
    }
}

impl From<HttpRefusal> for http::HttpError {
    fn from(refusal: HttpRefusal) -> Self {
        match refusal {
            HttpRefusal::Denied(why) => Self::Denied(why),
            HttpRefusal::Dns(why) => Self::Dns(why),
            HttpRefusal::Connect(why) => Self::Connect(why),
            HttpRefusal::Tls(why) => Self::Tls(why),
            HttpRefusal::Timeout => Self::Timeout,
            HttpRefusal::TooLarge => Self::TooLarge,
            HttpRefusal::Quota(why) => Self::Quota(why),
            HttpRefusal::Other(why) => Self::Other(why),
        }
    }
}

impl From<SecretRefusal> for secrets::SecretError {
    fn from(refusal: SecretRefusal) -> Self {
        match refusal {
            SecretRefusal::Denied(why) => Self::Denied(why),
            SecretRefusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<Refusal<Unavailable>> for kv::KvError {
    fn from(refusal: Refusal<Unavailable>) -> Self {
        match refusal {
            Refusal::Denied(why) => Self::Denied(why.into()),
            Refusal::Invalid(why) => Self::Invalid(why),
            Refusal::Quota(why) => Self::Quota(why),
            Refusal::Backend(Unavailable(why)) => Self::Unavailable(why),
        }
    }
}

impl From<Refusal<IssueRefusal>> for challenges::IssueError {
    fn from(refusal: Refusal<IssueRefusal>) -> Self {
        match refusal {
            Refusal::Denied(why) => Self::Denied(why.into()),
            Refusal::Invalid(why) | Refusal::Backend(IssueRefusal::Invalid(why)) => {
                Self::Invalid(why)
            }
            Refusal::Quota(why) | Refusal::Backend(IssueRefusal::Quota(why)) => Self::Quota(why),
            Refusal::Backend(IssueRefusal::Unavailable(Unavailable(why))) => Self::Unavailable(why),
        }
    }
}

impl From<Refusal<RedeemRefusal>> for challenges::RedeemError {
    fn from(refusal: Refusal<RedeemRefusal>) -> Self {
        match refusal {
            Refusal::Denied(why) => Self::Denied(why.into()),
            Refusal::Invalid(why) | Refusal::Quota(why) => Self::Other(why),
            Refusal::Backend(RedeemRefusal::Unknown) => Self::Unknown,
            Refusal::Backend(RedeemRefusal::Expired) => Self::Expired,
            Refusal::Backend(RedeemRefusal::Used) => Self::Used,
            Refusal::Backend(RedeemRefusal::Unavailable(Unavailable(why))) => {
                Self::Unavailable(why)
            }
        }
    }
}
