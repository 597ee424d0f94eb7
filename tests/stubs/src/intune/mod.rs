//! The other end of the plug-in `intune`: Entra's token end point, Microsoft Graph's discovery, and
//! Intune's services for SCEP and for revocations, as Microsoft's libraries know them. It shares no
//! code with the plug-in: what both sides agree on, they agree on twice.
//!
//! What it answers is scripted by what it is asked: a challenge `stub:ChallengeExpired` in a request
//! is answered with that code, `stub:500` with that status. What a caller must not do is counted in
//! [`IntuneServer::faults`].

mod revocation;
mod scep;
mod script;
mod token;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Identity, Received, Reply, Server};

pub use revocation::Told;
pub use script::{CODES, Trouble};

/// Intune as an application, the same in every tenant.
const INTUNE: &str = "0000000a-0000-0000-c000-000000000000";

/// A tenant: who may call, and which challenges Intune gave to which devices.
#[derive(Debug, Clone)]
pub struct IntuneTenant {
    tenant: String,
    client_id: String,
    secret: String,
    /// The point of the P-256 key that the client may prove itself with instead.
    assertion_key: Option<Vec<u8>>,
    challenges: Vec<GivenChallenge>,
}

/// A challenge and what the request with it must say.
#[derive(Debug, Clone)]
struct GivenChallenge {
    text: String,
    subject: String,
    alternatives: Vec<String>,
}

impl IntuneTenant {
    /// A tenant with one app registration.
    #[must_use]
    pub fn new(tenant: &str, client_id: &str, secret: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            client_id: client_id.to_owned(),
            secret: secret.to_owned(),
            assertion_key: None,
            challenges: Vec::new(),
        }
    }

    /// Lets the client prove itself with assertions of this identity's key too (ES256).
    ///
    /// # Panics
    /// Where its key is none of P-256.
    #[must_use]
    pub fn certificate(mut self, identity: &Identity) -> Self {
        self.assertion_key = Some(token::public_point(identity));
        self
    }

    /// Gives a device a challenge: the request with it must hold this subject and these subject
    /// alternative names, as text.
    #[must_use]
    pub fn give(mut self, challenge: &str, subject: &str, alternatives: &[&str]) -> Self {
        self.challenges.push(GivenChallenge {
            text: challenge.to_owned(),
            subject: subject.to_owned(),
            alternatives: alternatives.iter().map(|name| (*name).to_owned()).collect(),
        });
        self
    }

    /// Listens on 127.0.0.1 at free ports.
    pub async fn start(self, identity: &Identity) -> IntuneServer {
        let free = || async { TcpListener::bind("127.0.0.1:0").await.expect("a free port") };
        self.listen(free().await, free().await, identity)
    }

    /// Listens where it is told: Entra and Microsoft Graph at the one, Intune's services at the other.
    pub fn listen(
        self,
        graph: TcpListener,
        services: TcpListener,
        identity: &Identity,
    ) -> IntuneServer {
        let at = services.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::new(at)));
        let tenant = Arc::new(self);
        let front = {
            let (tenant, state) = (Arc::clone(&tenant), Arc::clone(&state));
            let origin = format!("https://localhost:{}", port(&graph));
            Server::listen(graph, identity, None, move |request| {
                tenant.front(request, &origin, &mut lock(&state))
            })
        };
        let back = Self::serve(&tenant, &state, services, identity);
        IntuneServer { tenant, state, front, back: Some(back), identity: identity.clone() }
    }

    fn serve(
        tenant: &Arc<Self>,
        state: &Arc<Mutex<State>>,
        listener: TcpListener,
        identity: &Identity,
    ) -> Server {
        let (tenant, state) = (Arc::clone(tenant), Arc::clone(state));
        Server::listen(listener, identity, None, move |request| {
            tenant.back(request, &mut lock(&state))
        })
    }

    /// Entra and Microsoft Graph.
    fn front(&self, request: &Received, origin: &str, state: &mut State) -> Reply {
        let token = format!("/{}/oauth2/v2.0/token", self.tenant);
        let endpoints = format!("/v1.0/servicePrincipals/appId={INTUNE}/endpoints");
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path == token => {
                self.token(request, &format!("{origin}{token}"), state)
            }
            ("GET", path) if path == endpoints => {
                state.discoveries += 1;
                if let Err(reply) = state.admit(request, token::Scope::Graph) {
                    return reply;
                }
                let at = |path| format!("https://localhost:{}/{path}", state.services.port());
                Reply::json(
                    200,
                    &json!({ "value": [
                        endpoint("PkiConnectorFEService", &at("PkiConnectorFEService")),
                        endpoint("ScepRequestValidationFEService", &at("StatelessScep")),
                        endpoint("UserEnrollmentProfileService", &at("Other")),
                    ]}),
                )
            }
            _ => Reply::new(404, ""),
        }
    }

    /// Intune's services.
    fn back(&self, request: &Received, state: &mut State) -> Reply {
        if let Some(trouble) = state.next_trouble() {
            return trouble.reply();
        }
        let (version, action) = match request.path.trim_start_matches('/').split_once('/') {
            Some(("StatelessScep", action)) => ("2018-02-20", action),
            Some(("PkiConnectorFEService", action)) => ("5019-05-05", action),
            _ => return Reply::new(404, ""),
        };
        if let Err(reply) = state.admit(request, token::Scope::Intune) {
            return reply;
        }
        let is_json = request.header("content-type").is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
        });
        if request.method != "POST" || !is_json || request.header("api-version") != Some(version) {
            return state.fault(400, "method, content-type or api-version");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return state.fault(400, "a body that is no JSON");
        };
        state.actions.push((action.to_owned(), body.clone()));
        match action {
            "ScepActions/validateRequest" => self.validate(&body, state),
            "ScepActions/successNotification" => scep::succeeded(&body, state),
            "ScepActions/failureNotification" => scep::failed(&body, state),
            "CertificateAuthorityRequests/downloadRevocationRequests" => {
                revocation::download(&body, state)
            }
            "CertificateAuthorityRequests/uploadRevocationResults" => {
                revocation::upload(&body, state)
            }
            _ => Reply::new(404, ""),
        }
    }
}

fn endpoint(name: &str, uri: &str) -> Value {
    json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "capability": name,
        "providerId": INTUNE,
        "providerName": name,
        "uri": uri,
        "providerResourceId": null,
    })
}

/// What the services remember.
#[derive(Debug)]
struct State {
    services: SocketAddr,
    tokens: token::Tokens,
    discoveries: u32,
    troubles: Vec<Trouble>,
    /// Whether `stub:401-once` was answered with 401 already.
    refused_once: bool,
    /// Whether `stub:untold-once` was answered with 500 already.
    untold_once: bool,
    transactions: BTreeMap<String, scep::Transaction>,
    revocations: revocation::Feed,
    actions: Vec<(String, Value)>,
    faults: Vec<String>,
}

impl State {
    fn new(services: SocketAddr) -> Self {
        Self {
            services,
            tokens: token::Tokens::default(),
            discoveries: 0,
            troubles: Vec::new(),
            refused_once: false,
            untold_once: false,
            transactions: BTreeMap::new(),
            revocations: revocation::Feed::default(),
            actions: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What every call must bring: a token of the right scope, an id of its own, a name.
    fn admit(&mut self, request: &Received, scope: token::Scope) -> Result<(), Reply> {
        let id = request.header("client-request-id").unwrap_or_default();
        if !is_guid(id) {
            return Err(self.fault(400, "no client-request-id that is a GUID"));
        }
        if request.header("user-agent").is_none_or(str::is_empty) {
            return Err(self.fault(400, "no User-Agent"));
        }
        let bearer = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.tokens.is_good(token, scope)) {
            return Ok(());
        }
        Err(Reply::json(401, &json!({ "error": { "code": "InvalidAuthenticationToken" } })))
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        (!self.troubles.is_empty()).then(|| self.troubles.remove(0))
    }

    /// Something that a caller must not do.
    fn fault(&mut self, status: u16, what: &str) -> Reply {
        self.faults.push(what.to_owned());
        Reply::json(status, &json!({ "error": { "code": "BadRequest", "message": what } }))
    }
}

/// A tenant that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct IntuneServer {
    tenant: Arc<IntuneTenant>,
    state: Arc<Mutex<State>>,
    front: Server,
    back: Option<Server>,
    identity: Identity,
}

impl IntuneServer {
    /// Entra and Microsoft Graph: `https://localhost:PORT`.
    #[must_use]
    pub fn graph_url(&self) -> String {
        format!("https://localhost:{}", self.front.address().port())
    }

    /// The token end point.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.graph_url(), self.tenant.tenant)
    }

    /// Where Intune's services listen.
    #[must_use]
    pub fn services(&self) -> SocketAddr {
        lock(&self.state).services
    }

    /// Moves Intune's services to another address: nobody answers at the old one any more, and
    /// Microsoft Graph says where they are now.
    ///
    /// # Panics
    /// Where the address is taken.
    pub async fn move_services(&mut self, to: SocketAddr) {
        self.back = None;
        let listener = TcpListener::bind(to).await.expect("the address is free");
        lock(&self.state).services = to;
        self.back = Some(IntuneTenant::serve(&self.tenant, &self.state, listener, &self.identity));
    }

    /// Answers the next requests at Intune's services so, one after the other.
    pub fn trouble_next(&self, troubles: impl IntoIterator<Item = Trouble>) {
        lock(&self.state).troubles.extend(troubles);
    }

    /// Ends the life of all tokens.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.expire();
    }

    /// Wants a certificate revoked.
    pub fn want_revoked(&self, issuer: &str, serial_number: &str) {
        lock(&self.state).revocations.want(issuer, serial_number);
    }

    /// What it was told of revocations, in order.
    #[must_use]
    pub fn revocations_told(&self) -> Vec<Told> {
        lock(&self.state).revocations.told().to_vec()
    }

    /// The actions of Intune's services that were called, in order: `ScepActions/validateRequest`, …,
    /// each with its body.
    #[must_use]
    pub fn actions(&self) -> Vec<(String, Value)> {
        lock(&self.state).actions.clone()
    }

    /// The names of those actions, without their folders: `validateRequest`, ….
    #[must_use]
    pub fn action_names(&self) -> Vec<String> {
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        lock(&self.state).actions.iter().map(|(path, _)| name(path)).collect()
    }

    /// How often Microsoft Graph was asked where the services are.
    #[must_use]
    pub fn discoveries(&self) -> u32 {
        lock(&self.state).discoveries
    }

    /// How many tokens were given out.
    #[must_use]
    pub fn tokens(&self) -> usize {
        lock(&self.state).tokens.given()
    }

    /// What callers did that they must not: missing header fields, a notification before a validation,
    /// two certificates for one transaction.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        lock(&self.state).faults.clone()
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
