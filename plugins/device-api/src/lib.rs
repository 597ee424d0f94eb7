//! One question to the HTTP API of a device management: what does it know of this device? For the
//! plug-ins whose admin says the URL; a plug-in for one vendor's API speaks its own.
//!
//! It decides nothing: 200 with a JSON object is an answer, 404 is "no such device", and everything
//! else says nothing about the device and is `unavailable`.

mod address;

use std::time::Duration;

use countersign_sdk::{
    DenialCode, Host, HttpRequest, HttpResponse, NotApproved, deny, unavailable,
};
use serde_json::{Map, Value};

pub use self::address::{Address, AddressError};

/// The largest answer about one device.
const LARGEST: usize = 256 * 1024;
const RETRY: Duration = Duration::from_secs(60);
/// The longest that a server may have us wait.
const LONGEST_RETRY: u64 = 3600;

/// Asks for the record of one device.
///
/// # Errors
/// Denied as `device-unknown` where the API answers 404; unavailable for everything that is no answer.
pub fn ask(
    host: &Host,
    url: String,
    credential: Option<&str>,
    timeout: Duration,
) -> Result<Map<String, Value>, NotApproved> {
    let mut request = HttpRequest::get(url).header("accept", "application/json").timeout(timeout);
    if let Some(credential) = credential {
        request = request.auth(credential);
    }
    let mut response = host.http().send(request.clone())?;
    if response.status == 401 && credential.is_some() {
        // With an OAuth credential the host has a fresh token by now.
        response = host.http().send(request)?;
    }
    read(&response)
}

fn read(response: &HttpResponse) -> Result<Map<String, Value>, NotApproved> {
    match response.status {
        200 => {}
        404 => {
            return Err(deny(
                DenialCode::DeviceUnknown,
                "the device management does not know this device (404)",
            ));
        }
        status => {
            let detail = format!("the device management answered {status}{}", hint(status));
            return Err(unavailable(retry_after(response), detail));
        }
    }
    if response.body.len() > LARGEST {
        return Err(unavailable(RETRY, "the device management's answer is over 262144 bytes"));
    }
    match serde_json::from_slice(&response.body) {
        Ok(Value::Object(record)) => Ok(record),
        Ok(_) => Err(unavailable(RETRY, "the device management's answer is no JSON object")),
        // Errors of serde_json quote what they found; the place is enough.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(unavailable(
                RETRY,
                format!("the device management's answer is no JSON (line {line}, column {column})"),
            ))
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => ": the credential is not accepted",
        403 => ": the credential's account may not read devices",
        429 => ": too many questions",
        300..=399 => ": redirections are not followed",
        _ => "",
    }
}

/// What the server asks for in `Retry-After`, where it says seconds.
fn retry_after(response: &HttpResponse) -> Duration {
    response
        .header("retry-after")
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map_or(RETRY, |seconds| Duration::from_secs(seconds.clamp(1, LONGEST_RETRY)))
}
