//! A plug-in's way out: what it asks is held against its grants, then sent, then bounded.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::{sync::Semaphore, time::Instant};
use url::Host;
use zeroize::Zeroizing;

use super::{
    address::not_public,
    connection::{self, Pool, Sender},
    credential::Loaded,
    host_rule::HostRule,
    refusal::HttpRefusal,
    request::{HttpRequest, HttpResponse, Outbound, Target},
    settings::{HttpSettings, HttpSetupError},
    tls::Tls,
};
use crate::rehearsal::{Upstream, Watcher, Wire};

/// Addresses of one name; a name that has more is answered by somebody who wants us to try many.
const ADDRESSES: usize = 32;
/// What a token end point may answer.
const TOKEN_BYTES: usize = 64 * 1024;
/// Left to a guest after a request that used up its time, to say so.
const TO_ANSWER: Duration = Duration::from_millis(100);

/// One for each plug-in.
pub(crate) struct HttpClient {
    plugin: Arc<str>,
    settings: HttpSettings,
    credentials: BTreeMap<String, Loaded>,
    way: Way,
    places: Semaphore,
    idle: usize,
}

/// Where requests go that may be sent.
enum Way {
    Network(Network),
    /// A rehearsal's script. Everything before this is as on the network.
    Script(Arc<dyn Upstream>),
}

struct Network {
    tls: Tls,
    pool: Pool,
    watcher: Option<Arc<dyn Watcher>>,
}

impl HttpClient {
    /// `wire` is there in rehearsals only.
    pub(crate) fn new(
        plugin: &str,
        settings: HttpSettings,
        wire: Option<Wire>,
    ) -> Result<Self, HttpSetupError> {
        let fail = |what| HttpSetupError { plugin: plugin.to_owned(), what };
        let network = |watcher| {
            let tls = Tls::new(&settings.roots_pem, settings.client.as_ref()).map_err(fail)?;
            Ok(Way::Network(Network { tls, pool: Pool::default(), watcher }))
        };
        let way = match wire {
            None => network(None)?,
            Some(Wire::Watched(watcher)) => network(Some(watcher))?,
            Some(Wire::Scripted(upstream)) => Way::Script(upstream),
        };
        let credentials = settings
            .credentials
            .iter()
            .map(|(name, credential)| match Loaded::new(credential) {
                Ok(loaded) => Ok((name.clone(), loaded)),
                Err(what) => Err(fail(format!("the credential `{name}`: {what}"))),
            })
            .collect::<Result<_, _>>()?;
        let places = usize::try_from(settings.limits.concurrency.max(1)).unwrap_or(1);
        Ok(Self {
            plugin: plugin.into(),
            settings,
            credentials,
            way,
            places: Semaphore::new(places),
            idle: places,
        })
    }

    pub(crate) fn hosts(&self) -> &[HostRule] {
        &self.settings.hosts
    }

    /// Sends a request of a call that ends at `deadline`.
    pub(crate) async fn send(
        &self,
        request: HttpRequest,
        deadline: Instant,
    ) -> Result<HttpResponse, HttpRefusal> {
        let begin = Instant::now();
        let time = request.timeout.unwrap_or(Duration::MAX).min(self.settings.limits.time);
        let call = deadline.checked_sub(TO_ANSWER).unwrap_or(begin);
        let until = begin.checked_add(time).map_or(call, |until| until.min(call));
        let result = self.within(&request, until).await;
        match &result {
            Ok(response) => tracing::debug!(
                plugin = %self.plugin,
                status = response.status,
                milliseconds = begin.elapsed().as_millis(),
                "a plug-in's request was answered"
            ),
            Err(refusal) => tracing::warn!(
                plugin = %self.plugin,
                reason = %refusal,
                "a plug-in's request was not answered"
            ),
        }
        result
    }

    async fn within(
        &self,
        request: &HttpRequest,
        until: Instant,
    ) -> Result<HttpResponse, HttpRefusal> {
        let mut outbound = Outbound::read(request, &self.settings.limits)?;
        let target = &outbound.target;
        if !self.settings.hosts.iter().any(|rule| rule.matches(&target.host, target.port)) {
            return Err(HttpRefusal::host(&self.plugin, &target.authority()));
        }
        let credential = match &request.auth {
            None => None,
            Some(name) => {
                let credential = self.credential(name)?;
                credential.admit(&self.plugin, name, target, &outbound.headers)?;
                Some(credential)
            }
        };
        let _place = match tokio::time::timeout_at(until, self.places.acquire()).await {
            Ok(place) => place.map_err(|closed| HttpRefusal::Other(closed.to_string()))?,
            Err(_) => {
                return Err(HttpRefusal::Quota(format!(
                    "{} requests are under way already",
                    self.settings.limits.concurrency
                )));
            }
        };
        let most = self.settings.limits.response_bytes;
        let network = match &self.way {
            Way::Network(network) => network,
            Way::Script(upstream) => {
                let answer = tokio::time::timeout_at(until, upstream.answer(request)).await;
                return match answer.map_err(|_| HttpRefusal::Timeout)? {
                    Ok(response) if response.body.len() > most => Err(HttpRefusal::TooLarge),
                    answer => answer,
                };
            }
        };
        let carry = async {
            let token = self.authorise(network, credential, &mut outbound).await?;
            let response = self.exchange(network, outbound, most).await?;
            if let (401, Some(token), Some(source)) =
                (response.status, token, credential.and_then(Loaded::token_source))
            {
                // The plug-in sees the 401; when it asks again, it asks with a fresh token.
                source.rejected(&token).await;
            }
            Ok(response)
        };
        let answer =
            tokio::time::timeout_at(until, carry).await.map_err(|_| HttpRefusal::Timeout)?;
        if let Some(watcher) = &network.watcher {
            watcher.saw(request, answer.as_ref());
        }
        answer
    }

    fn credential(&self, name: &str) -> Result<&Loaded, HttpRefusal> {
        self.credentials.get(name).ok_or_else(|| {
            HttpRefusal::Denied(format!(
                "no credential `{}` is granted; to grant it, add a section \
                 [plugin.{}.credentials.NAME] of that name to the configuration",
                name.escape_debug(),
                self.plugin
            ))
        })
    }

    /// Puts the credential in. Gives the token, where it is one.
    async fn authorise(
        &self,
        network: &Network,
        credential: Option<&Loaded>,
        outbound: &mut Outbound,
    ) -> Result<Option<HeaderValue>, HttpRefusal> {
        let Some(credential) = credential else {
            return Ok(None);
        };
        let Some(source) = credential.token_source() else {
            credential.insert(&mut outbound.headers);
            return Ok(None);
        };
        let fetch = |request| async {
            let response = self.exchange(network, request, TOKEN_BYTES).await?;
            Ok((response.status, Zeroizing::new(response.body)))
        };
        let token = source.authorization(fetch).await?;
        outbound.headers.insert(header::AUTHORIZATION, token.clone());
        Ok(Some(token))
    }

    /// One request and its whole answer. Redirects are answers: nothing follows them.
    async fn exchange(
        &self,
        network: &Network,
        outbound: Outbound,
        most: usize,
    ) -> Result<HttpResponse, HttpRefusal> {
        let target = outbound.target.clone();
        let (sender, response) = self.deliver(network, outbound).await?;
        let (head, body) = response.into_parts();
        let body = whole(body, most).await?;
        network.pool.keep(target, sender, self.idle);
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        Ok(HttpResponse { status: head.status.as_u16(), headers, body })
    }

    /// Over a connection that stands, or a new one. A request goes out once: only one that hyper
    /// says was never written is sent over another connection.
    async fn deliver(
        &self,
        network: &Network,
        outbound: Outbound,
    ) -> Result<(Sender, http::Response<Incoming>), HttpRefusal> {
        let Outbound { target, method, path, headers, body } = outbound;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        while let Some(mut sender) = network.pool.take(&target) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(&failed.into_error())),
                },
            }
        }
        let addresses = self.addresses(&target).await?;
        let tls = network.tls.towards(&target.host, target.port);
        let mut sender = connection::connect(&target, &addresses, tls).await?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok((sender, response))
    }

    /// Looks a name up, once, and refuses it if any of its addresses may not be reached. The
    /// connection goes to what is returned here; the name is not looked up again.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, HttpRefusal> {
        let addresses = match &target.host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => {
                let found = self.settings.resolver.resolve(name).await;
                found.map_err(|error| HttpRefusal::Dns(format!("`{name}`: {error}")))?
            }
        };
        if addresses.is_empty() || addresses.len() > ADDRESSES {
            return Err(HttpRefusal::Dns(format!(
                "`{}` has {} addresses, expected 1 to {ADDRESSES}",
                target.host,
                addresses.len()
            )));
        }
        for address in &addresses {
            if let Some(why) = not_public(*address)
                && !self.settings.addresses.iter().any(|range| range.contains(*address))
            {
                let host = target.host.to_string();
                return Err(HttpRefusal::address(&self.plugin, &host, address.to_canonical(), why));
            }
        }
        Ok(addresses)
    }
}

/// Reads a body, never more than `most` octets of it.
async fn whole(mut body: Incoming, most: usize) -> Result<Vec<u8>, HttpRefusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(HttpRefusal::TooLarge);
    }
    let mut octets = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(data) = frame.into_data() {
            if data.len() > most - octets.len() {
                return Err(HttpRefusal::TooLarge);
            }
            octets.extend_from_slice(&data);
        }
    }
    Ok(octets)
}

fn broken(error: &hyper::Error) -> HttpRefusal {
    if error.is_parse_too_large() {
        HttpRefusal::TooLarge
    } else {
        HttpRefusal::Other(format!("the answer could not be read: {error}"))
    }
}
