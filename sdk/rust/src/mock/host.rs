use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::backend::{Backend, Call, Function, LogLine, State};
use super::challenge::KeptChallenge;
use crate::{
    Action, ActionResult, Attributes, Batch, ChallengesIssuer, Context, Denial, Event, Events,
    Hint, HttpError, HttpRequest, HttpResponse, IssuedChallenge, NotApproved, Outcome, Outcomes,
    Problem, Request, Retry, Verdict, Verifier, settings,
};

/// A host that runs verifiers natively and keeps what they leave behind.
#[derive(Default)]
pub struct Host {
    state: Rc<RefCell<State>>,
}

impl Host {
    /// A host with nothing in it, at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock.
    pub fn set_now(&self, now: SystemTime) {
        self.state.borrow_mut().now = now;
    }

    /// What the clock says.
    pub fn now(&self) -> SystemTime {
        self.state.borrow().now
    }

    /// Moves the clock on.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.borrow_mut();
        state.now = state.now.checked_add(duration).unwrap_or(state.now);
    }

    /// Keeps a challenge, as though it had been issued.
    pub fn keep(&self, challenge: KeptChallenge) {
        self.state.borrow_mut().challenges.keep(challenge);
    }

    /// Sets a value in the plug-in's store.
    pub fn set_kv(&self, key: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.state.borrow_mut().store.put(key.into(), value.into());
    }

    /// A value in the plug-in's store, as it stands after the last call.
    pub fn kv(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        state.store.get(key, state.now)
    }

    /// Gives a secret its value, for `secrets.matches` and, from 16 bytes on, for MACs.
    pub fn set_secret(&self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.state.borrow_mut().secrets.insert(name.into(), value.into());
    }

    /// Records what `secrets.mac` answers for a message, before any other way to make one: a pair that
    /// the real system made.
    pub fn set_mac(
        &self,
        secret: impl Into<String>,
        message: impl Into<Vec<u8>>,
        tag: impl Into<Vec<u8>>,
    ) {
        self.state.borrow_mut().macs.insert((secret.into(), message.into()), tag.into());
    }

    /// Makes the MACs that were not recorded in a way of the test's own, or nothing for a name that it
    /// does not know. [`set_secret`](Self::set_secret) is simpler where the test knows the key.
    ///
    /// ```
    /// # fn hmac_sha256(_: &[u8], _: &[u8]) -> Vec<u8> { Vec::new() }
    /// let host = countersign_sdk::mock::Host::new();
    /// host.answer_mac(|secret, message| {
    ///     (secret == "webhook-key").then(|| hmac_sha256(b"the key of the test", message))
    /// });
    /// ```
    pub fn answer_mac(&self, answer: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + 'static) {
        self.state.borrow_mut().answer_mac = Some(Rc::new(answer));
    }

    /// Answers HTTP requests. Without it each one fails as a connection does.
    ///
    /// ```
    /// use countersign_sdk::{HttpResponse, mock};
    ///
    /// let host = mock::Host::new();
    /// host.answer_http(|request| match request.url.as_str() {
    ///     "https://api.example.com/devices/17" => Ok(HttpResponse::new(200, r#"{"name":"d"}"#)),
    ///     _ => Ok(HttpResponse::new(404, "")),
    /// });
    /// ```
    pub fn answer_http(
        &self,
        answer: impl FnMut(&HttpRequest) -> Result<HttpResponse, HttpError> + 'static,
    ) {
        self.state.borrow_mut().exchange.answer_with(Box::new(answer));
    }

    /// The HTTP requests that were sent, in order.
    pub fn http_requests(&self) -> Vec<HttpRequest> {
        self.state.borrow().exchange.sent().to_vec()
    }

    /// The lines that were logged, in order.
    pub fn log(&self) -> Vec<LogLine> {
        self.state.borrow().log.clone()
    }

    /// What `validate-settings` says: what the type refuses, or else what
    /// [`Verifier::check_settings`] does.
    pub fn check_settings<V: Verifier>(&self, settings: &str) -> Vec<Problem> {
        settings::check::<V>(settings)
    }

    /// The JSON Schema of the settings as the component's `describe` hands it out.
    pub fn settings_schema<V: Verifier>(&self) -> String {
        settings::schema::<V::Settings>()
    }

    /// Asks the verifier as the only one of its profile: what it did with challenges and `kv` comes
    /// true if it approves, and its challenge stays held if it says pending.
    ///
    /// # Errors
    ///
    /// The verifier's own answer.
    pub fn verify<V: Verifier>(&self, settings: &V::Settings, request: &Request) -> Verdict {
        let verdict = self.ask::<V>(settings, request);
        let mut state = self.state.borrow_mut();
        match &verdict {
            Ok(_) => state.commit(&request.csr_sha256),
            Err(NotApproved::Pending(_)) => state.hold(&request.csr_sha256),
            Err(_) => state.discard(),
        }
        verdict
    }

    /// Asks the verifier where another one of the profile denies: nothing it did comes true.
    ///
    /// # Errors
    ///
    /// The verifier's own answer.
    pub fn verify_beside_a_denial<V: Verifier>(
        &self,
        settings: &V::Settings,
        request: &Request,
    ) -> Verdict {
        let verdict = self.ask::<V>(settings, request);
        self.state.borrow_mut().discard();
        verdict
    }

    fn ask<V: Verifier>(&self, settings: &V::Settings, request: &Request) -> Verdict {
        let function = Function::Verify { csr_sha256: request.csr_sha256.clone() };
        let host = self.host::<V>(function, &request.profile);
        V::verify(settings, &self.context(), request, &host)
    }

    /// Spends what a request holds, as the host does when its certificate was issued.
    pub fn issued(&self, request: &Request) {
        self.state.borrow_mut().challenges.spend(&request.csr_sha256);
    }

    /// Delivers an outcome.
    ///
    /// # Errors
    ///
    /// The plug-in's own answer.
    pub fn notify<V: Outcomes>(
        &self,
        settings: &V::Settings,
        outcome: &Outcome,
    ) -> Result<(), Retry> {
        let host = self.host::<V>(Function::Notify, &outcome.request.profile);
        let result = V::notify(settings, &self.context(), outcome, &host);
        self.settle(result)
    }

    /// Asks for a challenge.
    ///
    /// # Errors
    ///
    /// The plug-in's own answer.
    pub fn issue<V: ChallengesIssuer>(
        &self,
        settings: &V::Settings,
        hint: &Hint,
    ) -> Result<IssuedChallenge, Denial> {
        let host = self.host::<V>(Function::Issue, &hint.profile);
        let result = V::issue(settings, &self.context(), hint, &host);
        self.settle(result)
    }

    /// Brings an event.
    ///
    /// # Errors
    ///
    /// The plug-in's own answer.
    pub fn on_event<V: Events>(
        &self,
        settings: &V::Settings,
        event: &Event,
    ) -> Result<Vec<Action>, Denial> {
        let result =
            V::on_event(settings, &self.context(), event, &self.host::<V>(Function::Event, ""));
        self.settle(result)
    }

    /// Lets it pull news.
    ///
    /// # Errors
    ///
    /// The plug-in's own answer.
    pub fn on_schedule<V: Events>(
        &self,
        settings: &V::Settings,
        cursor: Option<&[u8]>,
    ) -> Result<Batch, Retry> {
        let host = self.host::<V>(Function::Event, "");
        let result = V::on_schedule(settings, &self.context(), cursor, &host);
        self.settle(result)
    }

    /// Tells what became of actions: each an id and its result.
    ///
    /// # Errors
    ///
    /// The plug-in's own answer.
    pub fn settled<V: Events>(
        &self,
        settings: &V::Settings,
        results: impl IntoIterator<Item = (String, crate::ResultKind)>,
    ) -> Result<(), Retry> {
        let results: Vec<_> = results
            .into_iter()
            .map(|(id, kind)| ActionResult { id, kind, attributes: Attributes::new() })
            .collect();
        let host = self.host::<V>(Function::Event, "");
        let result = V::settled(settings, &self.context(), &results, &host);
        self.settle(result)
    }

    fn settle<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        let mut state = self.state.borrow_mut();
        match result {
            Ok(_) => state.commit(&[]),
            Err(_) => state.discard(),
        }
        result
    }

    fn host<V: Verifier>(&self, function: Function, profile: &str) -> crate::Host {
        crate::Host::new(Backend {
            state: Rc::clone(&self.state),
            call: Call {
                function,
                profile: profile.to_owned(),
                powers: V::describe().wants.into_iter().map(|(power, _)| power).collect(),
            },
        })
    }

    fn context(&self) -> Context {
        Context {
            time_left: Duration::from_secs(10),
            now: self.now(),
            trace_id: "mock".to_owned(),
            trial: false,
            attributes: Attributes::new(),
        }
    }
}

/// Says little, as what it keeps are secrets.
impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Host").field("now", &self.now()).finish_non_exhaustive()
    }
}
