//! From a request to an answer, in an order that is the defence: who asks, whether they may, what they
//! ask, whether their hour has room; only then a plug-in runs.

use std::time::{Duration, Instant};

use countersign_config::PageEncoding;
use countersign_ipc::DenialRecord;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::credentials::{Credential, Shown, Stranger};
use super::listener::Peer;
use super::question::{self, Operation, PageQuery, Question};
use super::reply::{self, JSON, Reply, TEXT, error, reply, retry_after};
use super::{Mdm, Page, event, page, page_key, quota};
use crate::issuing::{Asked, Issued, NotIssued};
use crate::start::now;

/// The longest body; the contract's bound for what a plug-in is given.
const BODY: usize = 64 * 1024;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);

/// How long an answer may take, all together.
const ANSWER: Duration = Duration::from_secs(30);

/// When to come again after "not now".
const AGAIN: u64 = 10;

/// Where a request goes, once it is known who sent it.
enum Way<'a> {
    Challenge { profile: &'a str },
    Page(&'a Page),
    Event { plugin: &'a str, suffix: &'a str },
    Nowhere,
}

/// Why a challenge is not given.
enum Withheld {
    OverQuota,
    NotIssued(NotIssued),
}

/// Answers one request.
pub(super) async fn answer(mdm: &Mdm, peer: &Peer, request: Request<Incoming>) -> Reply {
    let Ok(_place) = mdm.in_flight.try_acquire() else {
        mdm.count("busy", "");
        return busy("too many requests are in flight");
    };
    match tokio::time::timeout(ANSWER, authenticated(mdm, peer, request)).await {
        Ok(reply) => reply,
        Err(_) => busy("no answer in time"),
    }
}

async fn authenticated(mdm: &Mdm, peer: &Peer, request: Request<Incoming>) -> Reply {
    match identify(mdm, peer, request.headers()).await {
        Ok(credential) => permitted(mdm, peer, credential, request).await,
        Err(reply) => *reply,
    }
}

/// Who asks. Before it is known, nothing of the request but its header is read.
async fn identify<'m>(
    mdm: &'m Mdm,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<&'m Credential, Box<Reply>> {
    let shown = Shown::read(headers);
    let shows_something = !matches!(shown, Shown::Nothing);
    if shows_something && let Some(wait) = mdm.throttle.wait(peer.source, Instant::now()) {
        mdm.count("throttled", "");
        let reply = error(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-failed-log-ins",
            "log-ins from this address failed too often; wait before the next",
        );
        return Err(Box::new(retry_after(reply, wait.as_secs() + 1)));
    }
    match mdm.credentials.identify(shown, peer.certificate.as_deref()).await {
        Ok(credential) => Ok(credential),
        Err(Stranger::Busy) => Err(Box::new(busy("too many log-ins at once"))),
        Err(Stranger::ShowedNothing) => {
            Err(Box::new(reply::unauthorized(mdm.credentials.schemes())))
        }
        Err(Stranger::Wrong) => {
            failed_log_in(mdm, peer);
            Err(Box::new(reply::unauthorized(mdm.credentials.schemes())))
        }
    }
}

fn failed_log_in(mdm: &Mdm, peer: &Peer) {
    mdm.count("failed-log-in", "");
    let failures = mdm.throttle.failed(peer.source, Instant::now());
    tracing::info!(source = %peer.source, failures, "a log-in of a device management failed");
    if mdm.throttle.is_alarming(failures) {
        tracing::error!(source = %peer.source, failures,
            "ALARM: log-ins of a device management keep failing");
        mdm.deny(peer, "", "mdm-log-in-failed", format!("{failures} failed log-ins in a row"));
    }
}

/// Row 51: a credential fetches challenges for its profiles and posts events of its plug-ins; anything
/// else is 403 and in the ledger.
async fn permitted(
    mdm: &Mdm,
    peer: &Peer,
    credential: &Credential,
    request: Request<Incoming>,
) -> Reply {
    let path = request.uri().path().to_owned();
    let way = mdm.way(&path);
    let profile = match &way {
        Way::Challenge { profile } => Some(*profile),
        Way::Page(page) => Some(page.profile.as_str()),
        Way::Event { .. } | Way::Nowhere => None,
    };
    let may = match &way {
        Way::Event { plugin, .. } => credential.may_post_to(plugin),
        _ => profile.is_some_and(|profile| credential.may_fetch_for(profile)),
    };
    if !may {
        mdm.count("forbidden", &credential.name);
        let (asked, shown) = (profile.unwrap_or_default(), path.escape_debug());
        let detail = format!(
            "the credential `{}` may not {} {}",
            credential.name,
            request.method(),
            shown.take(200).collect::<String>()
        );
        mdm.deny(peer, asked, "mdm-not-permitted", detail);
        return match way {
            Way::Page(asked) => page::no_permission(asked.encoding),
            Way::Challenge { .. } | Way::Event { .. } | Way::Nowhere => error(
                StatusCode::FORBIDDEN,
                "not-permitted",
                "this credential is for other profiles or plug-ins, or for nothing here",
            ),
        };
    }
    match way {
        Way::Challenge { profile } => challenge(mdm, credential, profile, request).await,
        Way::Page(asked) => show(mdm, credential, asked, &request).await,
        Way::Event { plugin, suffix } => {
            event::take(mdm, peer, credential, (plugin, suffix), request).await
        }
        Way::Nowhere => error(StatusCode::FORBIDDEN, "not-permitted", "there is nothing here"),
    }
}

/// `/challenge/<profile>`.
async fn challenge(
    mdm: &Mdm,
    credential: &Credential,
    profile: &str,
    request: Request<Incoming>,
) -> Reply {
    if request.method() != Method::POST {
        return reply::only("POST");
    }
    // A verifier that reads the question itself knows whom it answers: who takes the body as it is.
    let reads_question = mdm.verifiers.reads_question(profile);
    let wants_text = reads_question || wants_text(request.headers());
    let media_type = text_of(request.headers(), header::CONTENT_TYPE);
    let body = match body(request).await {
        Ok(body) => body,
        Err(reply) => return *reply,
    };
    let question = if reads_question { Ok(Question::default()) } else { Question::read(&body) };
    let question = match question {
        Ok(question) => question,
        Err(detail) => return error(StatusCode::BAD_REQUEST, "bad-question", &detail),
    };
    let asked = mdm.asked(credential, profile, question, media_type, body, Vec::new());
    match fetch(mdm, credential, asked).await {
        Ok(Issued { text, .. }) if wants_text => {
            reply(StatusCode::OK, TEXT, text.as_bytes().to_vec())
        }
        Ok(Issued { text, expires }) => {
            let body = json!({ "challenge": text.as_str(), "expires": expires });
            reply(StatusCode::OK, JSON, body.to_string())
        }
        Err(withheld) => told(mdm, credential, withheld),
    }
}

/// The page.
async fn show(
    mdm: &Mdm,
    credential: &Credential,
    asked: &Page,
    request: &Request<Incoming>,
) -> Reply {
    if request.method() != Method::GET {
        return reply::only("GET");
    }
    let encoding = asked.encoding;
    let query = match PageQuery::read(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(detail) => return page::failure(StatusCode::BAD_REQUEST, encoding, &detail),
    };
    let PageQuery { operation, question, attributes } = query;
    if operation == Operation::Thumbprint {
        return reply(StatusCode::OK, TEXT, asked.thumbprint.replace(' ', ""));
    }
    // What Params mean that are no JSON is for the verifier to say.
    let says_nothing =
        question.names.is_empty() && !attributes.iter().any(|(name, _)| name == question::PARAMS);
    if asked.require_names && says_nothing {
        let detail = "expected Params that name the device, such as a JSON object that holds `names`: a \
                      password without names would vouch for none";
        return page::failure(StatusCode::BAD_REQUEST, encoding, detail);
    }
    let question = mdm.asked(credential, &asked.profile, question, None, Vec::new(), attributes);
    match fetch(mdm, credential, question).await {
        Ok(Issued { text, .. }) if operation == Operation::Challenge => {
            reply(StatusCode::OK, TEXT, text.as_bytes().to_vec())
        }
        Ok(Issued { text, expires }) => {
            let minutes = expires.saturating_sub(now()) / 60;
            page::password(encoding, &asked.thumbprint, &text, minutes.max(1)).unwrap_or_else(
                || {
                    tracing::error!(
                        profile = asked.profile,
                        "a verifier's challenge has characters that no page can show"
                    );
                    not_now(encoding)
                },
            )
        }
        Err(withheld) => shown(mdm, credential, encoding, withheld),
    }
}

/// Counts, then asks the plug-in.
async fn fetch(mdm: &Mdm, credential: &Credential, asked: Asked) -> Result<Issued, Withheld> {
    let now = now();
    let store = &mdm.verifiers.store;
    match quota::take(store, &credential.name, credential.per_hour, now).await {
        Ok(true) => {}
        Ok(false) => return Err(Withheld::OverQuota),
        Err(error) => {
            return Err(Withheld::NotIssued(NotIssued::Unavailable(error.to_string())));
        }
    }
    let issued = mdm.verifiers.issue(asked, now).await.map_err(Withheld::NotIssued)?;
    mdm.count("issued", &credential.name);
    Ok(issued)
}

fn told(mdm: &Mdm, credential: &Credential, withheld: Withheld) -> Reply {
    match reported(mdm, credential, &withheld) {
        "over-quota" => retry_after(
            error(
                StatusCode::TOO_MANY_REQUESTS,
                "over-quota",
                "this credential has fetched as many challenges as an hour holds for it",
            ),
            60,
        ),
        "full" => busy("too many challenges are open"),
        "unavailable" => busy("the verifier does not answer"),
        code => {
            let detail = match &withheld {
                Withheld::NotIssued(error) => error.to_string(),
                Withheld::OverQuota => String::new(),
            };
            let status = if code == "invalid" {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            error(status, code, &detail)
        }
    }
}

fn shown(mdm: &Mdm, credential: &Credential, encoding: PageEncoding, withheld: Withheld) -> Reply {
    match reported(mdm, credential, &withheld) {
        "over-quota" | "full" => page::cache_full(encoding),
        "unavailable" => not_now(encoding),
        "invalid" => page::failure(
            StatusCode::BAD_REQUEST,
            encoding,
            "The question is not one that can be answered.",
        ),
        _ => page::no_permission(encoding),
    }
}

/// Counts and logs why a challenge was withheld, and gives the word for it.
fn reported(mdm: &Mdm, credential: &Credential, withheld: &Withheld) -> &'static str {
    let (word, detail) = match withheld {
        Withheld::OverQuota => ("over-quota", String::new()),
        Withheld::NotIssued(error) => {
            let word = match error {
                NotIssued::Invalid(_) => "invalid",
                NotIssued::Refused { .. } => "refused",
                NotIssued::Full { .. } => "full",
                NotIssued::NoIssuer(_) | NotIssued::Unavailable(_) => "unavailable",
            };
            (word, error.to_string())
        }
    };
    mdm.count(word, &credential.name);
    tracing::warn!(
        credential = credential.name,
        reason = word,
        detail,
        "a device management got no challenge"
    );
    word
}

impl Mdm {
    fn way<'a>(&'a self, path: &'a str) -> Way<'a> {
        if let Some(profile) = path.strip_prefix("/challenge/") {
            return Way::Challenge { profile };
        }
        if let Some(rest) = path.strip_prefix("/event/") {
            let (plugin, suffix) = rest.split_once('/').unwrap_or((rest, ""));
            return Way::Event { plugin, suffix };
        }
        self.pages.get(&page_key(path)).map_or(Way::Nowhere, Way::Page)
    }

    fn asked(
        &self,
        credential: &Credential,
        profile: &str,
        question: Question,
        media_type: Option<String>,
        body: Vec<u8>,
        attributes: Vec<(String, String)>,
    ) -> Asked {
        let ttl = question.ttl_seconds.unwrap_or(self.longest_ttl).min(self.longest_ttl);
        Asked {
            profile: profile.to_owned(),
            names: question.names,
            device_id: question.device_id,
            ttl,
            requester: credential.name.clone(),
            media_type,
            body,
            attributes,
        }
    }

    pub(super) fn count(&self, what: &'static str, credential: &str) {
        self.verifiers
            .counters
            .count("mdm_requests", &[("result", what), ("credential", credential)]);
    }

    /// For the ledger, where `sign` caps what strangers can provoke.
    fn deny(&self, peer: &Peer, profile: &str, code: &str, detail: String) {
        self.verifiers.denials.report(DenialRecord {
            station: "verify".to_owned(),
            profile: profile.to_owned(),
            code: code.to_owned(),
            detail,
            csr_sha256: None,
            names: Vec::new(),
            source: peer.source.to_string(),
        });
    }
}

pub(super) async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Box<Reply>> {
    let collected = Limited::new(request.into_body(), BODY).collect();
    match tokio::time::timeout(BODY_TIME, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(failure)) if failure.is::<LengthLimitError>() => Err(Box::new(error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            &format!("a body has at most {BODY} octets"),
        ))),
        Ok(Err(_)) => {
            Err(Box::new(error(StatusCode::BAD_REQUEST, "bad-body", "the body ended early")))
        }
        Err(_) => Err(Box::new(error(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "the body did not come in time",
        ))),
    }
}

pub(super) fn busy(detail: &str) -> Reply {
    retry_after(error(StatusCode::SERVICE_UNAVAILABLE, "not-now", detail), AGAIN)
}

fn not_now(encoding: PageEncoding) -> Reply {
    let reply = page::failure(
        StatusCode::SERVICE_UNAVAILABLE,
        encoding,
        "No password can be made at the moment. Try again later.",
    );
    retry_after(reply, AGAIN)
}

/// Jamf and others take the body as it is for the challenge.
fn wants_text(headers: &HeaderMap) -> bool {
    let accept = text_of(headers, header::ACCEPT).unwrap_or_default();
    accept.split(',').next().is_some_and(|first| first.trim().starts_with("text/plain"))
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|text| text.chars().take(255).collect())
}
