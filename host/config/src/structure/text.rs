//! Texts that are more than text, each checked by the type that will read it.

use std::str::FromStr;

use schemars::JsonSchema;

use crate::mdm::{PasswordHash, TcpAddress, TokenDigest};
use crate::plugin::host::{AddressRange, HostPattern};
use crate::secret::SecretRef;
use crate::serve::{Listen, SourceHeader};
use crate::token::{KeyRef, PinRef};
use crate::value::{BadValue, ComponentDigest, HttpsUrl, LoopbackAddress};

/// Checks a text by the `format` that its type has in the schema.
pub(super) fn formatted_text(format: &str, text: &str) -> Result<(), BadValue> {
    match format {
        "address-range" => text.parse::<AddressRange>().map(drop),
        "host-pattern" => text.parse::<HostPattern>().map(drop),
        "secret-reference" => text.parse::<SecretRef>().map(drop),
        "key-reference" => text.parse::<KeyRef>().map(drop),
        "pin-reference" => text.parse::<PinRef>().map(drop),
        "listen-address" => text.parse::<Listen>().map(drop),
        "source-header" => text.parse::<SourceHeader>().map(drop),
        "component-digest" => text.parse::<ComponentDigest>().map(drop),
        "https-url" => text.parse::<HttpsUrl>().map(drop),
        "tcp-address" => text.parse::<TcpAddress>().map(drop),
        "token-digest" => text.parse::<TokenDigest>().map(drop),
        "password-hash" => text.parse::<PasswordHash>().map(drop),
        "loopback-address" => text.parse::<LoopbackAddress>().map(drop),
        _ => Ok(()),
    }
}

/// Checks a text of a profile's limits by the type that reads it; `None` for other definitions.
pub(super) fn profile_text(definition: &str, text: &str) -> Option<Result<(), String>> {
    fn parse<T>(definition: &str, text: &str) -> Option<Result<(), String>>
    where
        T: JsonSchema + FromStr<Err: ToString>,
    {
        (T::schema_name() == definition)
            .then(|| text.parse::<T>().map(drop).map_err(|error| error.to_string()))
    }
    parse::<countersign_profile::AttributeType>(definition, text)
        .or_else(|| parse::<countersign_profile::Duration>(definition, text))
        .or_else(|| parse::<countersign_profile::ExtendedKeyUsage>(definition, text))
        .or_else(|| parse::<countersign_profile::Name>(definition, text))
        .or_else(|| parse::<countersign_profile::Oid>(definition, text))
}

pub(super) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
