//! Every key and secret that a config names.

use countersign_config::{Config, KeyPairSettings, SecretRef};
use countersign_keys::RoleKind;

/// A role's key and certificate.
pub(super) struct RoleKey<'a> {
    pub(super) role: RoleKind,
    /// Its key in the config.
    pub(super) setting: &'static str,
    pub(super) pair: &'a KeyPairSettings,
    /// Not a former one that is only opened with.
    pub(super) current: bool,
}

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 32 random bytes for one process.
    Random,
    /// 32 random bytes that `verify` and `sign` share.
    SharedRandom,
    /// A P-256 key: of checkpoints, of revocation orders.
    SigningKey,
}

/// A secret.
pub(super) struct Secret<'a> {
    pub(super) setting: &'static str,
    pub(super) reference: &'a SecretRef,
    pub(super) kind: Kind,
}

pub(super) fn role_keys(config: &Config) -> Vec<RoleKey<'_>> {
    let serve = &config.serve.keys;
    let key = |role, setting, pair| RoleKey { role, setting, pair, current: true };
    let mut keys = vec![
        key(RoleKind::Ea, "sign.keys.ea", &config.sign.keys.ea),
        key(RoleKind::Cep, "serve.keys.cep", &serve.cep),
        key(RoleKind::Rep, "serve.keys.rep", &serve.rep),
    ];
    keys.extend(serve.previous_cep.iter().map(|pair| RoleKey {
        role: RoleKind::Cep,
        setting: "serve.keys.previous-cep",
        pair,
        current: false,
    }));
    keys
}

pub(super) fn secrets(config: &Config) -> Vec<Secret<'_>> {
    let random = |setting, reference| Secret { setting, reference, kind: Kind::Random };
    let order_key = config.sign.order.as_ref().map(|order| Secret {
        setting: "sign.order.key",
        reference: &order.key,
        kind: Kind::SigningKey,
    });
    let mut secrets = vec![
        Secret {
            setting: "approval.key",
            reference: &config.approval.key,
            kind: Kind::SharedRandom,
        },
        random("serve.column-key", &config.serve.column_key),
        random("verify.column-key", &config.verify.column_key),
        random("verify.challenge-key", &config.verify.challenge_key),
        random("sign.column-key", &config.sign.column_key),
        Secret {
            setting: "sign.checkpoint.key",
            reference: &config.sign.checkpoint.key,
            kind: Kind::SigningKey,
        },
    ];
    secrets.extend(order_key);
    secrets
}
