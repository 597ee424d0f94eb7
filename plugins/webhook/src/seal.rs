//! Signatures on what is sent and what is answered.

use countersign_sdk::{Context, Host, HttpRequest, HttpResponse, NotApproved, unavailable};
use serde_json::{Map, Value};
use std::time::Duration;

use crate::settings::{Format, Settings};
use crate::time::seconds;
use crate::{CREDENTIAL, KEY};

/// How far the receiver's clock may be from ours.
const WINDOW: u64 = 300;
const RETRY: Duration = Duration::from_secs(60);

/// A request to be sent, and how to know its answer.
pub(crate) struct Sealed {
    pub(crate) request: HttpRequest,
    pub(crate) seal: Seal,
}

/// What an answer must be signed for.
pub(crate) enum Seal {
    /// Nothing: step-ca's receivers sign no answers.
    None,
    /// This nonce.
    Nonce(String),
}

/// Signs a body as the format has it.
pub(crate) fn seal(
    settings: &Settings,
    url: &str,
    context: &Context,
    host: &Host,
    body: Map<String, Value>,
) -> Result<Sealed, NotApproved> {
    let body = Value::Object(body).to_string();
    let mut request = HttpRequest::post(url, body.as_str())
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .timeout(settings.timeout());
    if settings.send_credential {
        request = request.auth(CREDENTIAL);
    }
    Ok(match settings.format {
        Format::StepCa => {
            let signature = hex::encode(host.secrets().mac(KEY, body.as_bytes())?);
            Sealed {
                request: request
                    .header("x-smallstep-webhook-id", &settings.id)
                    .header("x-smallstep-signature", signature),
                seal: Seal::None,
            }
        }
        Format::Countersign => {
            let (nonce, now) = (hex::encode(host.random::<16>()), seconds(context.now).to_string());
            let signed = signed_request(&settings.id, url, &now, &nonce, &body);
            let signature = hex::encode(host.secrets().mac(KEY, signed.as_bytes())?);
            Sealed {
                request: request
                    .header("countersign-webhook-id", &settings.id)
                    .header("countersign-timestamp", now)
                    .header("countersign-nonce", &nonce)
                    .header("countersign-signature", format!("v1={signature}")),
                seal: Seal::Nonce(nonce),
            }
        }
    })
}

/// Five lines and the body. No part but the body can hold a line feed.
fn signed_request(id: &str, url: &str, timestamp: &str, nonce: &str, body: &str) -> String {
    format!("countersign-webhook-1 request\n{id}\n{url}\n{timestamp}\n{nonce}\n{body}")
}

impl Seal {
    /// The body of an answer that is believed. An answer that is not says nothing about the device:
    /// it is "unavailable".
    pub(crate) fn open<'r>(
        &self,
        context: &Context,
        host: &Host,
        response: &'r HttpResponse,
    ) -> Result<&'r [u8], NotApproved> {
        let Self::Nonce(nonce) = self else {
            return Ok(&response.body);
        };
        let doubt = |why: &str| {
            unavailable(RETRY, format!("the end point's answer ({}) {why}", response.status))
        };
        let timestamp = response
            .header("countersign-timestamp")
            .ok_or_else(|| doubt("has no Countersign-Timestamp"))?;
        let signature = response
            .header("countersign-signature")
            .and_then(|text| hex::decode(text.strip_prefix("v1=")?).ok())
            .ok_or_else(|| doubt("has no Countersign-Signature of the form v1=hex"))?;
        let mut signed =
            format!("countersign-webhook-1 response\n{nonce}\n{}\n{timestamp}\n", response.status)
                .into_bytes();
        signed.extend_from_slice(&response.body);
        if !host.secrets().verify_mac(KEY, &signed, &signature)? {
            return Err(doubt("is not signed for this request under the key"));
        }
        let fresh = timestamp
            .parse::<u64>()
            .is_ok_and(|time| time.abs_diff(seconds(context.now)) <= WINDOW);
        if !fresh {
            return Err(doubt("was signed too long ago or too far ahead; compare the clocks"));
        }
        Ok(&response.body)
    }
}
