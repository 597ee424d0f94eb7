//! What is known about a device elsewhere.

use countersign_device_api::{Address, AddressError, ask};
use countersign_sdk::{DenialCode, Host, NotApproved, deny};
use serde_json::Value;

use crate::expression::ExpressionError;
use crate::scope::{Known, Values};
use crate::settings::{LookUp, parse};
use crate::{CREDENTIAL, not_evaluated};

/// A record that was found.
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) record: Value,
    pub(crate) source: &'static str,
}

/// Looks the device up.
pub(crate) fn find(look_up: &LookUp, values: &Values, host: &Host) -> Result<Found, NotApproved> {
    let id = parse(&look_up.by, Known::LOOK_UP)
        .and_then(|expression| expression.evaluate(values))
        .and_then(|value| value.id_or_null())
        .map_err(|why| not_evaluated("look-up.by", why))?
        .ok_or_else(|| {
            deny(DenialCode::DeviceUnknown, "look-up.by is null: nothing says which device it is")
        })?;
    match (&look_up.table, &look_up.url) {
        (Some(table), _) => match table.get(&id) {
            Some(record) => Ok(Found { id, record: record.clone(), source: "table" }),
            None => Err(deny(DenialCode::DeviceUnknown, "the table has no such device")),
        },
        (None, Some(url)) => {
            let url = filled(url, &id).map_err(|error| {
                not_evaluated("look-up.url", ExpressionError::of_value(error.to_string()))
            })?;
            let credential = look_up.credential.then_some(CREDENTIAL);
            let record = ask(host, url, credential, look_up.timeout())?;
            Ok(Found { id, record: Value::Object(record), source: "url" })
        }
        (None, None) => Err(deny(DenialCode::DeviceUnknown, "there is nothing to look it up in")),
    }
}

fn filled(url: &str, id: &str) -> Result<String, AddressError> {
    Address::parse(url)?.fill(|_| Ok(id.to_owned()))
}
