use std::time::Duration;

use countersign_sdk::{
    Denial, DenialCode, Host, HttpError, HttpRequest, HttpResponse, NotApproved, Retry,
};
use serde_json::Value;

/// How soon to ask again.
const RETRY: Duration = Duration::from_secs(30);
/// The longest that a server may have us wait.
const LONGEST_RETRY: u64 = 3600;

/// One question to a device management's API, read only.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose it is, for messages.
    pub vendor: &'static str,
    /// The whole URL.
    pub url: String,
    /// The name of the credential.
    pub credential: &'static str,
    /// Header fields beside it.
    pub headers: Vec<(&'static str, String)>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// What the credential's account must be permitted, for messages.
    pub privilege: &'static str,
}

/// What the API says instead of an answer, and when to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer(Retry);

impl NoAnswer {
    /// For an answer that makes no sense.
    #[must_use]
    pub fn new(detail: impl Into<String>) -> Self {
        Self(Retry::new(RETRY, detail))
    }
}

impl From<NoAnswer> for NotApproved {
    fn from(NoAnswer(retry): NoAnswer) -> Self {
        Self::Unavailable(retry)
    }
}

/// Where only a denial can be answered, the word by which the host knows "not now".
impl From<NoAnswer> for Denial {
    fn from(NoAnswer(retry): NoAnswer) -> Self {
        Self::new(DenialCode::Other("host-unavailable".to_owned()), retry.detail)
    }
}

impl Question {
    /// Asks; none where the API answers 404.
    ///
    /// # Errors
    /// [`NoAnswer`] for everything that says nothing about the device.
    pub fn ask(&self, host: &Host) -> Result<Option<Value>, NoAnswer> {
        let mut response = self.send(host)?;
        if response.status == 401 {
            // With an OAuth credential the host has a fresh token by now.
            response = self.send(host)?;
        }
        self.read(&response)
    }

    fn send(&self, host: &Host) -> Result<HttpResponse, NoAnswer> {
        let mut request = HttpRequest::get(&self.url).auth(self.credential).timeout(self.timeout);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        host.http().send(request).map_err(|error| self.no_answer(&error))
    }

    fn read(&self, response: &HttpResponse) -> Result<Option<Value>, NoAnswer> {
        let (vendor, credential) = (self.vendor, self.credential);
        let hint = match response.status {
            200 => return response.json().map(Some).map_err(|error| self.no_answer(&error)),
            404 => return Ok(None),
            401 => format!(" twice: is the credential `{credential}` current, and this server's?"),
            403 => format!(": give the account of `{credential}` {}", self.privilege),
            429 => ": too many questions".to_owned(),
            300..=399 => ": redirections are not followed; correct the setting `url`".to_owned(),
            _ => String::new(),
        };
        let after = response.header("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
        let after =
            after.map_or(RETRY, |seconds| Duration::from_secs(seconds.clamp(1, LONGEST_RETRY)));
        let status = response.status;
        Err(NoAnswer(Retry::new(after, format!("{vendor} answers {status}{hint}"))))
    }

    fn no_answer(&self, error: &HttpError) -> NoAnswer {
        NoAnswer::new(format!("{}: {error}", self.vendor))
    }
}
