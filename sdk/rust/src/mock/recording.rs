use std::cell::RefCell;
use std::rc::Rc;

use countersign_cases::{Answered, NoAnswer, Script, Sent};

use super::Host;
use crate::{HttpError, HttpRequest, HttpResponse};

/// Plays recorded answers, and remembers what did not fit.
pub(super) struct Recording(Rc<RefCell<Script>>);

impl Recording {
    pub(super) fn new(script: Script) -> Self {
        Self(Rc::new(RefCell::new(script)))
    }

    /// Answers what the host is asked from now on.
    pub(super) fn play(&self, host: &Host) {
        let script = Rc::clone(&self.0);
        host.answer_http(move |request| answer(&mut script.borrow_mut(), request));
    }

    /// What was sent and not recorded, or recorded and not sent.
    pub(super) fn check(&self) -> Result<(), String> {
        self.0.borrow().check()
    }
}

fn answer(script: &mut Script, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let sent = Sent {
        method: &request.method,
        url: &request.url,
        headers: &request.headers,
        body: &request.body,
        auth: request.auth.as_deref(),
    };
    match script.answer(sent).map_err(HttpError::Connect)? {
        Answered::Error(NoAnswer::Dns) => Err(HttpError::Dns("recorded".to_owned())),
        Answered::Error(NoAnswer::Connect) => Err(HttpError::Connect("recorded".to_owned())),
        Answered::Error(NoAnswer::Tls) => Err(HttpError::Tls("recorded".to_owned())),
        Answered::Error(NoAnswer::Timeout) => Err(HttpError::Timeout),
        Answered::Error(NoAnswer::TooLarge) => Err(HttpError::TooLarge),
        Answered::Response { status, headers, body } => {
            let mut response = HttpResponse::new(status, body.into_bytes());
            response.headers = headers.into_iter().collect();
            Ok(response)
        }
    }
}
