use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

use super::Host;
use crate::{HttpError, HttpRequest, HttpResponse};

/// One request and its answer, as a golden case has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recorded {
    method: String,
    url: String,
    /// Header fields that the request has, among others.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Members that the request's JSON body has, among others.
    #[serde(default)]
    json: BTreeMap<String, Value>,
    /// The credential.
    auth: Option<String>,
    answer: Answered,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Answered {
    #[serde(rename_all = "kebab-case")]
    Response {
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
    },
    /// There is none.
    Error(NoAnswer),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NoAnswer {
    Dns,
    Connect,
    Tls,
    Timeout,
    TooLarge,
}

/// Plays recorded answers, and remembers what did not fit.
pub(super) struct Recording(Rc<RefCell<State>>);

struct State {
    left: VecDeque<Recorded>,
    wrong: Option<String>,
}

impl Recording {
    pub(super) fn new(recorded: Vec<Recorded>) -> Self {
        Self(Rc::new(RefCell::new(State { left: recorded.into(), wrong: None })))
    }

    /// Answers what the host is asked from now on.
    pub(super) fn play(&self, host: &Host) {
        let state = Rc::clone(&self.0);
        host.answer_http(move |request| state.borrow_mut().answer(request));
    }

    /// What was sent and not recorded, or recorded and not sent.
    pub(super) fn check(&self) -> Result<(), String> {
        let state = self.0.borrow();
        match (&state.wrong, state.left.front()) {
            (Some(wrong), _) => Err(wrong.clone()),
            (None, Some(left)) => {
                Err(format!("{} {} is recorded and was not sent", left.method, left.url))
            }
            (None, None) => Ok(()),
        }
    }
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let fits = match self.left.pop_front() {
            Some(recorded) => recorded.fits(request).map(|()| recorded.answer),
            None => Err(format!("{} {} is not recorded", request.method, request.url)),
        };
        match fits {
            Ok(answer) => answer.give(),
            Err(wrong) => {
                self.wrong.get_or_insert_with(|| wrong.clone());
                Err(HttpError::Connect(wrong))
            }
        }
    }
}

impl Recorded {
    fn fits(&self, request: &HttpRequest) -> Result<(), String> {
        let differs = |what: &str, expected: &str, found: &str| {
            Err(format!("the request's {what}: expected `{expected}`, found `{found}`"))
        };
        if (&self.method, &self.url) != (&request.method, &request.url) {
            let expected = format!("{} {}", self.method, self.url);
            return differs("line", &expected, &format!("{} {}", request.method, request.url));
        }
        if self.auth != request.auth {
            let shown = |auth: &Option<String>| auth.clone().unwrap_or_else(|| "none".to_owned());
            return differs("credential", &shown(&self.auth), &shown(&request.auth));
        }
        for (name, value) in &self.headers {
            let found = request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            let found = found.map_or("nothing", |(_, value)| value.as_str());
            if found != value {
                return differs(&format!("header field {name}"), value, found);
            }
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|error| format!("the request's body is no JSON: {error}"))?;
        for (name, value) in &self.json {
            let found = body.get(name).unwrap_or(&Value::Null);
            if found != value {
                return differs(&format!("member {name}"), &value.to_string(), &found.to_string());
            }
        }
        Ok(())
    }
}

impl Answered {
    fn give(self) -> Result<HttpResponse, HttpError> {
        match self {
            Self::Error(NoAnswer::Dns) => Err(HttpError::Dns("recorded".to_owned())),
            Self::Error(NoAnswer::Connect) => Err(HttpError::Connect("recorded".to_owned())),
            Self::Error(NoAnswer::Tls) => Err(HttpError::Tls("recorded".to_owned())),
            Self::Error(NoAnswer::Timeout) => Err(HttpError::Timeout),
            Self::Error(NoAnswer::TooLarge) => Err(HttpError::TooLarge),
            Self::Response { status, headers, body } => {
                let mut response = HttpResponse::new(status, body.into_bytes());
                response.headers = headers.into_iter().collect();
                Ok(response)
            }
        }
    }
}
