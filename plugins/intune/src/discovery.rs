//! Where Intune's services of the tenant are: Microsoft Graph says so, and it is remembered for a
//! while.

use std::time::Duration;

use countersign_sdk::{HttpRequest, Retry};
use serde::{Deserialize, Serialize};

use crate::upstream::{Answer, Call, no_answer};
use crate::{GRAPH, address};

/// Intune, as an application that every tenant knows.
const PATH: &str = "/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints";
/// How long an address is believed. One that fails is dropped at once.
const REMEMBERED: Duration = Duration::from_secs(6 * 3_600);
/// How soon to ask again where an admin has to look first.
const AFTER_AN_ADMIN: Duration = Duration::from_secs(300);

/// A service of Intune's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Validates requests, and hears what became of them.
    Validation,
    /// Wants certificates revoked.
    Revocation,
}

impl Service {
    /// Its name in Microsoft Graph.
    fn provider(self) -> &'static str {
        match self {
            Self::Validation => "ScepRequestValidationFEService",
            Self::Revocation => "PkiConnectorFEService",
        }
    }

    /// The version of it that is spoken here.
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::Validation => "2018-02-20",
            // As Microsoft writes it.
            Self::Revocation => "5019-05-05",
        }
    }

    fn key(self) -> String {
        format!("service/{}", self.provider())
    }
}

/// Where a service is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) uri: String,
    /// Known from before, not from just now.
    pub(crate) is_remembered: bool,
}

/// What is kept. The settings may change in between, so they are compared.
#[derive(Deserialize, Serialize)]
struct Remembered {
    graph: String,
    uri: String,
}

/// Microsoft Graph's answer.
#[derive(Deserialize)]
struct Endpoints {
    value: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    provider_name: Option<String>,
    #[serde(default)]
    uri: Option<String>,
}

/// Where a service is, as it is remembered or else as Microsoft Graph says.
pub(crate) fn find(call: Call<'_>, service: Service) -> Result<Found, Retry> {
    let kept = call.host.kv().get(&service.key())?;
    let kept = kept.and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    match kept {
        Some(Remembered { graph, uri })
            if graph == call.settings.graph_url && judge(call, &uri).is_ok() =>
        {
            Ok(Found { uri, is_remembered: true })
        }
        _ => ask(call, service),
    }
}

/// Forgets where a service was. In `verify` that comes true with an approval only: until then, each
/// request finds for itself that the service has moved.
pub(crate) fn forget(call: Call<'_>, service: Service) {
    if let Err(error) = call.host.kv().delete(&service.key()) {
        call.host.log().warn(format!("where a service was is not forgotten: {error}"));
    }
}

/// Asks Microsoft Graph where a service is, and remembers it.
pub(crate) fn ask(call: Call<'_>, service: Service) -> Result<Found, Retry> {
    let url = format!("{}{PATH}", call.settings.graph_url.trim_end_matches('/'));
    let answer = call
        .exchange("discovery", || Ok(HttpRequest::get(url.as_str()).auth(GRAPH)))
        .map_err(|error| no_answer("discovery", &error))?
        .good(call.context)?;
    let uri = pick(&answer, service)?;
    judge(call, &uri).map_err(|why| Retry::new(AFTER_AN_ADMIN, answer.complaint(&why)))?;
    remember(call, service, &uri);
    Ok(Found { uri, is_remembered: false })
}

fn pick(answer: &Answer, service: Service) -> Result<String, Retry> {
    let endpoints: Endpoints = answer.read()?;
    let is_wanted = |name: &str| name.eq_ignore_ascii_case(service.provider());
    let found = endpoints
        .value
        .into_iter()
        .filter(|endpoint| endpoint.provider_name.as_deref().is_some_and(is_wanted))
        .find_map(|endpoint| endpoint.uri);
    found.ok_or_else(|| {
        let why = format!(
            "names no service `{}`: Intune is not licensed in this tenant, or the app registration \
             is of another tenant",
            service.provider()
        );
        Retry::new(AFTER_AN_ADMIN, answer.complaint(&why))
    })
}

/// Why a service is not spoken to where it is said to be.
fn judge(call: Call<'_>, uri: &str) -> Result<(), String> {
    let domain = &call.settings.service_domain;
    match address::host(uri) {
        Some(host) if address::is_under(&host, domain) => Ok(()),
        Some(host) => Err(format!(
            "says that the service is at `{host}`, which is not under `{domain}`; if your tenant is \
             in another cloud, set `service-domain` and `graph-url` to that cloud's"
        )),
        None => Err("says that the service is at something that is no plain https URL".to_owned()),
    }
}

fn remember(call: Call<'_>, service: Service, uri: &str) {
    let kept = Remembered { graph: call.settings.graph_url.clone(), uri: uri.to_owned() };
    let kept = serde_json::to_vec(&kept).unwrap_or_default();
    // Without it, Microsoft Graph is asked again the next time.
    if let Err(error) = call.host.kv().set(&service.key(), &kept, Some(REMEMBERED)) {
        call.host.log().warn(format!("where a service is is not remembered: {error}"));
    }
}
