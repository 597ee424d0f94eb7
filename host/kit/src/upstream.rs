//! The other end of `http` in a rehearsal: recorded answers, as they are or spoilt.

use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_cases::{Answered, Exchange, NoAnswer, Script, Sent};
use countersign_sandbox::{
    Answer, HttpRefusal, HttpRequest, HttpResponse, rehearsal::Upstream as Upstreams,
};

/// What is done with recorded answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Played in their order; nothing else may be sent.
    AsRecorded,
    /// Found wherever they are; what is not recorded fails as a connection does.
    InAnyOrder,
    /// As before, and this one comes spoilt.
    Spoilt(usize, Spoiling),
    /// As before, and this one never comes.
    Silent(usize),
}

/// How an answer is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoiling {
    /// Its second half is missing.
    Truncated,
    /// A page for people, as proxies and portals send.
    NoJson,
    /// Another status, with the page of an error.
    Status(u16),
}

impl Spoiling {
    pub(crate) const ALL: [Self; 5] =
        [Self::Truncated, Self::NoJson, Self::Status(401), Self::Status(429), Self::Status(500)];

    /// What becomes of an answer; none where it is no good answer to begin with, or stays as it is.
    pub(crate) fn spoil(self, answer: &Answered) -> Option<Answered> {
        let Answered::Response { status, headers, body } = answer else {
            return None;
        };
        if !(200..300).contains(status) {
            return None;
        }
        let spoilt = match self {
            Self::Truncated => Answered::Response {
                status: *status,
                headers: headers.clone(),
                body: body.chars().take(body.chars().count() / 2).collect(),
            },
            Self::NoJson if body.is_empty() => return None,
            Self::NoJson => Answered::Response {
                status: *status,
                headers: headers.clone(),
                body: "<!doctype html><title>Please log in</title>".to_owned(),
            },
            Self::Status(status) => Answered::Response {
                status,
                headers: [("retry-after".to_owned(), "30".to_owned())].into(),
                body: "{\"error\":\"not now\"}".to_owned(),
            },
        };
        (spoilt != *answer).then_some(spoilt)
    }

    pub(crate) fn word(self) -> String {
        match self {
            Self::Truncated => "cut short".to_owned(),
            Self::NoJson => "a web page".to_owned(),
            Self::Status(status) => format!("status {status}"),
        }
    }
}

/// Recorded answers, a plan, and what was sent.
#[derive(Debug)]
pub(crate) struct Upstream {
    plan: Plan,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    script: Script,
    /// Those that were not given yet, by their place.
    left: Vec<(usize, Exchange)>,
    sent: Vec<HttpRequest>,
    strayed: bool,
}

/// What comes, and whether.
enum Coming {
    Now(Result<HttpResponse, HttpRefusal>),
    Never,
}

impl Upstream {
    pub(crate) fn new(recorded: &[Exchange], plan: Plan) -> Self {
        let left = recorded.iter().cloned().enumerate().collect();
        let script = Script::new(recorded.to_vec());
        Self { plan, inner: Mutex::new(Inner { script, left, sent: Vec::new(), strayed: false }) }
    }

    /// What was sent, in order.
    pub(crate) fn sent(&self) -> Vec<HttpRequest> {
        self.inner().sent.clone()
    }

    /// Whether something was sent that is not recorded.
    pub(crate) fn strayed(&self) -> bool {
        self.inner().strayed
    }

    /// Whether everything recorded was sent, and nothing else.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.inner().script.check()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn coming(&self, request: &HttpRequest) -> Coming {
        let mut inner = self.inner();
        inner.sent.push(request.clone());
        let sent = Sent {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            auth: request.auth.as_deref(),
        };
        if self.plan == Plan::AsRecorded {
            return Coming::Now(match inner.script.answer(sent) {
                Ok(answer) => give(answer),
                Err(wrong) => Err(HttpRefusal::Connect(wrong)),
            });
        }
        let Some(at) = inner.left.iter().position(|(_, exchange)| exchange.fits(sent).is_ok())
        else {
            inner.strayed = true;
            let line = format!("{} {} is not recorded", request.method, request.url);
            return Coming::Now(Err(HttpRefusal::Connect(line)));
        };
        let Some((place, exchange)) = inner.left.get(at).cloned() else {
            return Coming::Never;
        };
        match self.plan {
            // Both stay: who asks again gets the same.
            Plan::Silent(victim) if victim == place => Coming::Never,
            Plan::Spoilt(victim, spoiling) if victim == place => {
                Coming::Now(give(spoiling.spoil(&exchange.answer).unwrap_or(exchange.answer)))
            }
            _ => {
                inner.left.remove(at);
                Coming::Now(give(exchange.answer))
            }
        }
    }
}

impl Upstreams for Upstream {
    fn answer<'a>(
        &'a self,
        request: &'a HttpRequest,
    ) -> Answer<'a, Result<HttpResponse, HttpRefusal>> {
        let coming = self.coming(request);
        Box::pin(async move {
            match coming {
                Coming::Now(answer) => answer,
                Coming::Never => std::future::pending().await,
            }
        })
    }
}

fn give(answer: Answered) -> Result<HttpResponse, HttpRefusal> {
    let recorded = || "recorded".to_owned();
    match answer {
        Answered::Response { status, headers, body } => {
            let headers = headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            Ok(HttpResponse { status, headers, body: body.into_bytes() })
        }
        Answered::Error(NoAnswer::Dns) => Err(HttpRefusal::Dns(recorded())),
        Answered::Error(NoAnswer::Connect) => Err(HttpRefusal::Connect(recorded())),
        Answered::Error(NoAnswer::Tls) => Err(HttpRefusal::Tls(recorded())),
        Answered::Error(NoAnswer::Timeout) => Err(HttpRefusal::Timeout),
        Answered::Error(NoAnswer::TooLarge) => Err(HttpRefusal::TooLarge),
    }
}
