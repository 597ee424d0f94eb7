//! Relative paths of the file, taken from the file's own directory.

use std::path::{Path, PathBuf};

use crate::authority::Authentication;
use crate::config::Config;
use crate::serve::Listen;
use crate::sign::KeyPairSettings;

/// Makes every path of the configuration start at `base`, the file's directory.
pub(crate) fn anchor(config: &mut Config, base: &Path) {
    let at = |path: &mut PathBuf| *path = base.join(&*path);
    let pair = |pair: &mut KeyPairSettings| {
        at(&mut pair.certificate);
        pair.key.anchor(base);
    };

    at(&mut config.sockets.directory);

    at(&mut config.serve.state);
    config.serve.column_key.anchor(base);
    if let Listen::Unix(path) = &mut config.serve.listen {
        at(path);
    }
    if let Some(tls) = &mut config.serve.tls {
        at(&mut tls.certificate);
        tls.key.anchor(base);
    }
    let keys = &mut config.serve.keys;
    [&mut keys.cep, &mut keys.rep].into_iter().chain(&mut keys.previous_cep).for_each(pair);

    at(&mut config.verify.state);
    config.verify.challenge_key.anchor(base);
    config.verify.column_key.anchor(base);

    at(&mut config.sign.state);
    config.sign.column_key.anchor(base);
    config.sign.checkpoint.key.anchor(base);
    at(&mut config.sign.checkpoint.file);
    pair(&mut config.sign.keys.ea);

    config.approval.key.anchor(base);

    for authority in config.authority.values_mut() {
        at(&mut authority.roots);
        at(&mut authority.issuing_certificate);
        at(&mut authority.chain);
        match &mut authority.authentication {
            Authentication::ClientCertificate(client) => {
                at(&mut client.certificate);
                client.key.anchor(base);
            }
            Authentication::UsernameToken(token) => token.password.anchor(base),
        }
    }
    for plugin in config.plugin.values_mut() {
        at(&mut plugin.component);
    }
}
