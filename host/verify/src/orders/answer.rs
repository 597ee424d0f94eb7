//! What a revoker may ask and tell: `GET /orders`, a page of signed orders for its authorities, and
//! `POST /results`. Nothing that it says is an order to us.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign_store::StoreError;
use countersign_store::rusqlite::params_from_iter;
use countersign_store::rusqlite::types::Value as SqlValue;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::result::OrderResult;
use super::{Orders, Revoker, number};

/// Most orders of a page, and how many it has where nobody says.
const MOST: u32 = 200;
const USUAL: u32 = 50;

/// Octets of results in one message.
const MOST_OCTETS: usize = 256 * 1024;

type Reply = Response<Full<Bytes>>;

/// `POST /results`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Results {
    results: Vec<OrderResult>,
}

/// Answers one request of `revoker`.
pub(super) async fn answer(
    orders: &Orders,
    revoker: &Revoker,
    request: Request<Incoming>,
    now: u64,
) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/orders") => {
            let (after, limit) = match page(request.uri().query().unwrap_or_default()) {
                Ok(page) => page,
                Err(problem) => return error(StatusCode::BAD_REQUEST, "bad-query", &problem),
            };
            match orders.page(revoker, after, limit, now).await {
                Ok(page) => reply(StatusCode::OK, &page),
                Err(problem) => unavailable(&problem),
            }
        }
        (&Method::POST, "/results") => {
            let is_json = request
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with("application/json"));
            if !is_json {
                let problem = "send the results as application/json";
                return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", problem);
            }
            let body = match Limited::new(request.into_body(), MOST_OCTETS).collect().await {
                Ok(body) => body.to_bytes(),
                Err(_) => {
                    let problem = format!("send at most {MOST_OCTETS} octets at once");
                    return error(StatusCode::PAYLOAD_TOO_LARGE, "too-large", &problem);
                }
            };
            let results: Results = match serde_json::from_slice(&body) {
                Ok(results) => results,
                Err(problem) => {
                    return error(StatusCode::BAD_REQUEST, "bad-results", &problem.to_string());
                }
            };
            match orders.take_results(revoker, results.results, now).await {
                Ok(taken) => reply(StatusCode::OK, &json!({ "taken": taken })),
                Err(problem) => unavailable(&problem),
            }
        }
        (_, "/orders" | "/results") => error(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "GET /orders to pull, POST /results to tell what became of them",
        ),
        _ => error(StatusCode::NOT_FOUND, "not-found", "there are /orders and /results"),
    }
}

/// `after=NUMBER&limit=NUMBER`, each at most once.
fn page(query: &str) -> Result<(u64, u32), String> {
    let (mut after, mut limit) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", text)) if after.is_none() => {
                after = Some(text.parse().map_err(|_| "`after` is the number of an order")?);
            }
            Some(("limit", text)) if limit.is_none() => {
                limit = Some(text.parse().map_err(|_| "`limit` is a number of orders")?);
            }
            _ => return Err("expected `after` and `limit`, each once".to_owned()),
        }
    }
    Ok((after.unwrap_or(0), limit.unwrap_or(USUAL).clamp(1, MOST)))
}

impl Orders {
    /// Signed orders of the revoker's authorities that have not ended and are due, by number.
    pub(super) async fn page(
        &self,
        revoker: &Revoker,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<Value, StoreError> {
        let marks = vec!["?"; revoker.authorities.len()].join(", ");
        let sql = format!(
            "SELECT number, document, signature FROM revocation_order
             WHERE number > ? AND final = 0 AND state IN ('signed', 'failed') AND next_try <= ?
                 AND authority IN ({marks})
             ORDER BY number LIMIT ?"
        );
        let mut values = vec![SqlValue::Integer(number(after)), SqlValue::Integer(number(now))];
        values.extend(revoker.authorities.iter().cloned().map(SqlValue::Text));
        values.push(SqlValue::Integer(i64::from(limit) + 1));
        let mut found = self
            .store
            .read(move |connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), |row| {
                    Ok(json!({
                        "number": row.get::<_, i64>(0)?,
                        "document": STANDARD.encode(row.get::<_, Vec<u8>>(1)?),
                        "signature": STANDARD.encode(row.get::<_, Vec<u8>>(2)?),
                    }))
                })?;
                Ok(rows.collect::<Result<Vec<_>, _>>()?)
            })
            .await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(json!({ "orders": found, "more": more }))
    }
}

pub(super) fn error(status: StatusCode, code: &str, detail: &str) -> Reply {
    reply(status, &json!({ "error": code, "detail": detail }))
}

fn unavailable(problem: &StoreError) -> Reply {
    tracing::error!(error = %problem, "a revoker could not be answered");
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "come again later")
}

fn reply(status: StatusCode, body: &Value) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (http::header::CACHE_CONTROL, "no-store"),
        (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_in_one_way() {
        assert_eq!(page(""), Ok((0, USUAL)));
        assert_eq!(page("after=7&limit=3"), Ok((7, 3)));
        assert_eq!(page("limit=100000"), Ok((0, MOST)));
        for query in ["after=-1", "after=1&after=2", "limit=x", "all", "order=1"] {
            assert!(page(query).is_err(), "{query}");
        }
    }
}
