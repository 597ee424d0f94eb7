//! Calls of Microsoft's services: the header fields that each carries, what is tried once more, and
//! what every answer but a good one means.

use std::time::Duration;

use countersign_sdk::{
    Attributes, Context, Host, HttpError, HttpRequest, HttpResponse, Level, Retry,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::discovery::{self, Found, Service};
use crate::settings::Settings;
use crate::{INTUNE, correlation, time};

/// Who is calling, to Intune's support.
pub(crate) const CALLER: &str = concat!("Countersign/", env!("CARGO_PKG_VERSION"));

/// How soon to ask again where nobody says.
const RETRY: Duration = Duration::from_secs(10);
/// How soon where somebody has to change something first.
const AFTER_AN_ADMIN: Duration = Duration::from_secs(300);

/// A call of the host, with what it takes to speak to Microsoft.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) settings: &'c Settings,
    pub(crate) context: &'c Context,
    pub(crate) host: &'c Host,
}

/// An answer, and the id under which Microsoft's support finds the call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: HttpResponse,
    pub(crate) request_id: String,
    /// What was asked, for errors.
    what: String,
}

impl Call<'_> {
    /// Asks a service of Intune's. Where it is not where it was the last time, it is looked for anew.
    pub(crate) fn post(
        self,
        service: Service,
        action: &str,
        body: &Value,
    ) -> Result<Answer, Retry> {
        let found = discovery::find(self, service)?;
        let mut sent = self.post_to(&found, service, action, body);
        if found.is_remembered && has_moved(&sent) {
            discovery::forget(self, service);
            let anew = discovery::ask(self, service)?;
            sent = self.post_to(&anew, service, action, body);
        }
        sent.map_err(|error| no_answer(action, &error))?.good(self.context)
    }

    fn post_to(
        self,
        found: &Found,
        service: Service,
        action: &str,
        body: &Value,
    ) -> Result<Answer, HttpError> {
        let url = format!("{}/{action}", found.uri.trim_end_matches('/'));
        self.exchange(action, || {
            let request = HttpRequest::post_json(url.as_str(), body)?;
            Ok(request.header("api-version", service.api_version()).auth(INTUNE))
        })
    }

    /// Sends a request; once more where the token is refused.
    pub(crate) fn exchange(
        self,
        what: &str,
        request: impl Fn() -> Result<HttpRequest, HttpError>,
    ) -> Result<Answer, HttpError> {
        let answer = self.send(what, request()?)?;
        if answer.response.status != 401 {
            return Ok(answer);
        }
        // The host has thrown that token away, and fetches a fresh one for this request.
        self.send(what, request()?)
    }

    fn send(self, what: &str, request: HttpRequest) -> Result<Answer, HttpError> {
        let request_id = correlation::request_id(self.host);
        let request = request
            .header("accept", "application/json")
            .header("user-agent", CALLER)
            .header("client-request-id", &request_id);
        let sent = self.host.http().send(request);
        let result = match &sent {
            Ok(response) => response.status.to_string(),
            Err(error) => error.to_string(),
        };
        let fields = Attributes::from([
            ("call", what),
            ("client-request-id", &request_id),
            ("result", &result),
        ]);
        self.host.log().line(Level::Info, "Microsoft was asked", fields);
        Ok(Answer { response: sent?, request_id, what: what.to_owned() })
    }
}

impl Answer {
    /// Itself, where its status says that it is one.
    pub(crate) fn good(self, context: &Context) -> Result<Self, Retry> {
        if self.response.is_success() {
            return Ok(self);
        }
        let asked = self.response.header("retry-after");
        let asked = asked.and_then(|value| time::retry_after(value, context.now));
        let (usual, advice) = match self.response.status {
            401 => (
                AFTER_AN_ADMIN,
                "; a fresh token was refused as well: compare `scope` and tenant of the credential \
                 with the plug-in's guide",
            ),
            403 => (
                AFTER_AN_ADMIN,
                "; the app registration lacks a role or an admin's consent: Intune's \
                 `scep_challenge_provider`, Microsoft Graph's `Application.Read.All`",
            ),
            429 => (RETRY, "; it is asked too often"),
            _ => (RETRY, ""),
        };
        let detail = self.complaint(&format!("answered {}{advice}", self.response.status));
        // A wait of nothing is no wait.
        let after = asked.filter(|after| !after.is_zero()).unwrap_or(usual);
        Err(Retry::new(after, detail))
    }

    /// Its JSON object.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Retry> {
        // serde would take a list for a structure.
        if self.response.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(self.senseless("is no JSON object"));
        }
        self.response.json().map_err(|error| self.senseless(&error.to_string()))
    }

    /// An answer that makes no sense says nothing about the device.
    pub(crate) fn senseless(&self, why: &str) -> Retry {
        Retry::new(RETRY, self.complaint(&format!("did not answer as documented: {why}")))
    }

    pub(crate) fn complaint(&self, why: &str) -> String {
        format!("`{}` {why} (client-request-id {})", self.what, self.request_id)
    }
}

/// There is no answer.
pub(crate) fn no_answer(what: &str, error: &HttpError) -> Retry {
    Retry::new(RETRY, format!("`{what}` was not answered: {error}"))
}

/// Whether the service is not where it was. An answer that broke off or came too late is none: the
/// service may have heard.
fn has_moved(sent: &Result<Answer, HttpError>) -> bool {
    match sent {
        Err(HttpError::Dns(_) | HttpError::Connect(_) | HttpError::Tls(_)) => true,
        Err(_) => false,
        Ok(answer) => {
            matches!(answer.response.status, 301 | 302 | 303 | 307 | 308 | 404 | 410 | 421)
        }
    }
}
