//! What a device management says of its devices. It gets a 2xx once all that the plug-in wants done is
//! stored, and may send the same again whenever it got none.

use countersign_sandbox::model::Event;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use url::form_urlencoded;

use super::Mdm;
use super::answer::{body, busy};
use super::credentials::Credential;
use super::listener::Peer;
use super::reply::{self, JSON, Reply, error, reply};
use crate::events::NotTaken;
use crate::start::now;

/// The longest query, and the most fields in it.
const QUERY: usize = 8 * 1024;
const FIELDS: usize = 64;

/// The most header fields that a plug-in is given, and the longest value.
const HEADERS: usize = 64;
const VALUE: usize = 4 * 1024;

/// Header fields by which somebody shows who they are. The host has read them; a plug-in has no
/// business with them.
const CREDENTIALS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-forwarded-client-cert",
    "x-ssl-client-cert",
    "x-client-cert",
];

/// `POST /event/<plugin>[/suffix]`.
pub(super) async fn take(
    mdm: &Mdm,
    peer: &Peer,
    credential: &Credential,
    (plugin, suffix): (&str, &str),
    request: Request<Incoming>,
) -> Reply {
    if request.method() != Method::POST {
        return reply::only("POST");
    }
    let now = now();
    let query = match query(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(detail) => return error(StatusCode::BAD_REQUEST, "bad-query", detail),
    };
    let Ok(path_suffix) = percent_decoded(suffix) else {
        return error(StatusCode::BAD_REQUEST, "bad-path", "expected a path in UTF-8");
    };
    let headers = headers(request.headers());
    let body = match body(request).await {
        Ok(body) => body,
        Err(reply) => return *reply,
    };
    let attributes = vec![
        ("credential".to_owned(), credential.name.clone()),
        ("source-address".to_owned(), peer.source.to_string()),
    ];
    let event = Event { path_suffix, query, headers, body, received: now, attributes };
    match mdm.verifiers.event(plugin, event, now).await {
        Ok(kept) => {
            mdm.count("event", &credential.name);
            tracing::info!(
                credential = credential.name,
                plugin,
                actions = kept.actions,
                repeated = kept.repeated,
                orders = kept.orders,
                "an event was taken"
            );
            let body = json!({ "actions": kept.actions, "repeated": kept.repeated });
            reply(StatusCode::OK, JSON, body.to_string())
        }
        Err(NotTaken::Refused { code, detail }) => {
            mdm.count("event-refused", &credential.name);
            tracing::warn!(
                credential = credential.name,
                plugin,
                code,
                detail,
                "an event was refused by its plug-in"
            );
            error(StatusCode::UNPROCESSABLE_ENTITY, &code, &detail)
        }
        Err(NotTaken::Unavailable(detail)) => {
            mdm.count("event-unavailable", &credential.name);
            tracing::error!(credential = credential.name, plugin, detail, "an event was not taken");
            busy("the plug-in does not answer; send the event again")
        }
    }
}

fn query(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    if text.len() > QUERY {
        return Err("the query is too long");
    }
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(text.as_bytes()).into_owned().take(FIELDS + 1).collect();
    if fields.len() > FIELDS { Err("the query has too many fields") } else { Ok(fields) }
}

/// A signature over the headers needs all of them; what is over the bounds is left out whole, and its
/// signature will not verify.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, value)| !CREDENTIALS.contains(&name.as_str()) && value.len() <= VALUE)
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .take(HEADERS)
        .collect()
}

/// `+` is itself in a path.
fn percent_decoded(path: &str) -> Result<String, ()> {
    let mut octets = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let mut octet = [0];
                hex::decode_to_slice([*high, *low], &mut octet).map_err(drop)?;
                octets.extend(octet);
                rest = after;
            }
            (b'%', _) => return Err(()),
            (other, _) => octets.push(*other),
        }
    }
    String::from_utf8(octets).map_err(drop)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_shows_who_somebody_is_does_not_reach_the_plug_in() {
        let mut all = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Basic c2VjcmV0"),
            ("cookie", "session=secret"),
            ("proxy-authorization", "Bearer secret"),
            ("x-hub-signature-256", "sha256=ab"),
            ("content-type", "application/json"),
        ] {
            all.insert(name, HeaderValue::from_static(value));
        }
        let given = headers(&all);
        assert_eq!(given.len(), 2, "{given:?}");
        assert!(given.contains(&("x-hub-signature-256".into(), "sha256=ab".into())));
        assert!(!format!("{given:?}").contains("secret"));
        for number in 0..100_u32 {
            let name: http::HeaderName = format!("x-{number}").parse().unwrap();
            all.insert(name, HeaderValue::from(number));
        }
        assert_eq!(headers(&all).len(), HEADERS);
    }

    #[test]
    fn paths_and_queries_are_decoded_within_bounds() {
        assert_eq!(percent_decoded("a/b%20c+d").unwrap(), "a/b c+d");
        assert_eq!(percent_decoded("%C3%A4").unwrap(), "ä");
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert!(percent_decoded(bad).is_err(), "{bad}");
        }
        assert_eq!(query("a=1&b=x%26y").unwrap()[1], ("b".to_owned(), "x&y".to_owned()));
        assert!(query(&"a&".repeat(FIELDS + 1)).is_err());
        assert!(query(&"a".repeat(QUERY + 1)).is_err());
    }
}
