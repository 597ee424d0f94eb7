use crate::{HttpError, HttpRequest, HttpResponse};

type Answer = Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse, HttpError>>;

/// The other end of HTTP.
#[derive(Default)]
pub(super) struct Exchange {
    answer: Option<Answer>,
    sent: Vec<HttpRequest>,
}

impl Exchange {
    pub(super) fn answer_with(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    pub(super) fn sent(&self) -> &[HttpRequest] {
        &self.sent
    }

    pub(super) fn send(&mut self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = match &mut self.answer {
            _ if !request.url.starts_with("https://") => {
                Err(HttpError::Denied(format!("`{}` is not https", request.url)))
            }
            Some(answer) => answer(&request),
            None => Err(HttpError::Connect("the mock has no answer: set answer_http".into())),
        };
        self.sent.push(request);
        answer
    }
}
