//! A device is the one it says it is when it comes with a token that its management signed for it.
//!
//! The challengePassword is a compact JWS (RFC 7515) of claims (RFC 7519): the profile, the names, the
//! device, an end, and an identifier that makes it good for one request. The plug-in vouches for the
//! names in the token and for nothing that the device asks for. It issues no tokens, holds no private
//! key, and never takes a key, or the way to one, from the token itself.

mod algorithm;
mod claims;
mod keys;
mod refusal;
mod remote;
mod replay;
mod rsa;
mod settings;
mod strict;
mod token;

use countersign_sdk::{
    Approval, Context, DenialCode, Description, Host, NotApproved, Power, Problem, Request,
    RequestKind, Verdict, Verifier, deny,
};

pub use self::algorithm::Algorithm;
use self::claims::Claims;
use self::keys::KeySet;
use self::settings::KeySource;
pub use self::settings::Settings;
use self::token::Token;

/// The name by which the plug-in asks for the shared key.
pub const KEY: &str = "challenge-key";

/// The verifier.
#[derive(Debug)]
pub struct SignedChallenge;

impl Verifier for SignedChallenge {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("signed-challenge", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that come with a token which their management signed for them")
            .wants(Power::Kv, "To know which tokens were used, and to keep the keys of `jwks-url`")
            .wants(Power::Host("{/jwks-url}".into()), "To fetch public keys, if from `jwks-url`")
            .wants(Power::Secret(KEY.into()), "The key that HS256 tokens are signed under")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        if let RequestKind::Other(kind) = &request.kind {
            return Err(deny(DenialCode::NotSupported, format!("a request of the kind `{kind}`")));
        }
        let challenge = request.challenge.as_ref().ok_or_else(|| {
            deny(
                DenialCode::ChallengeMissing,
                "the request carries no challengePassword: have the device management put a token \
                 into the device's SCEP profile",
            )
        })?;
        let token = Token::read(challenge.reveal(), settings)?;
        check_signature(settings, context, host, &token)?;
        let claims = Claims::read(&token.payload)?;
        claims.check(settings, context, request)?;
        replay::hold(settings, context, request, host, &claims)?;
        Ok(approval(&token, claims))
    }
}

/// Nothing in a token is believed before this.
fn check_signature(
    settings: &Settings,
    context: &Context,
    host: &Host,
    token: &Token<'_>,
) -> Result<(), NotApproved> {
    match settings.keys() {
        KeySource::Secret => {
            if host.secrets().verify_mac(KEY, token.signed.as_bytes(), &token.signature)? {
                Ok(())
            } else {
                Err(refusal::signature("under the secret `challenge-key`"))
            }
        }
        KeySource::Set(jwks) => KeySet::of_settings(jwks)?.check(token).allow(),
        KeySource::Url(url) => remote::check(settings, url, context, host, token),
        KeySource::None => Err(refusal::misconfigured()),
    }
}

fn approval(token: &Token<'_>, claims: Claims) -> Approval {
    let mut approval = Approval::of_names(claims.names)
        .evidence("token-id", claims.id)
        .evidence("token-algorithm", token.algorithm.as_str());
    if let Some(id) = &token.key_id {
        approval = approval.evidence("token-key-id", id);
    }
    if let Some(issuer) = claims.issuer {
        approval = approval.evidence("token-issuer", issuer);
    }
    match claims.device_id {
        Some(id) => approval.device_id(id),
        None => approval,
    }
}

countersign_sdk::export!(SignedChallenge);
