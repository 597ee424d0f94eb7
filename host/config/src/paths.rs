//! Relative paths of the file, taken from the file's own directory.

use std::path::{Path, PathBuf};

use crate::authority::Authentication;
use crate::config::Config;
use crate::mdm::CredentialProof;
use crate::plugin::credential::{CredentialKind, Oauth2Client};
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
    if let Some(mdm) = &mut config.verify.mdm {
        at(&mut mdm.certificate);
        mdm.key.anchor(base);
        mdm.client_ca.iter_mut().for_each(at);
        for credential in mdm.credential.values_mut() {
            if let CredentialProof::Basic(basic) = &mut credential.authentication {
                basic.password_hash.anchor(base);
            }
        }
    }
    if let Some(revoker) = &mut config.verify.revoker {
        at(&mut revoker.certificate);
        revoker.key.anchor(base);
        at(&mut revoker.client_ca);
    }

    at(&mut config.sign.state);
    config.sign.column_key.anchor(base);
    config.sign.checkpoint.key.anchor(base);
    at(&mut config.sign.checkpoint.file);
    if let Some(order) = &mut config.sign.order {
        order.key.anchor(base);
    }
    pair(&mut config.sign.keys.ea);

    config.approval.key.anchor(base);

    config.token.values_mut().for_each(|token| token.anchor(base));

    for authority in config.authority.values_mut() {
        at(&mut authority.roots);
        at(&mut authority.issuing_certificate);
        at(&mut authority.chain);
        authority.next_ca.iter_mut().for_each(at);
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
        if let Some(http) = &mut plugin.http {
            at(&mut http.roots);
            if let Some(client) = &mut http.client_certificate {
                at(&mut client.certificate);
                client.key.anchor(base);
            }
        }
        for secret in plugin.secrets.values_mut() {
            secret.value.anchor(base);
        }
        for credential in plugin.credentials.values_mut() {
            match &mut credential.authentication {
                CredentialKind::Bearer(bearer) => bearer.token.anchor(base),
                CredentialKind::Basic(basic) => basic.password.anchor(base),
                CredentialKind::Header(header) => header.value.anchor(base),
                CredentialKind::Oauth2(oauth2) => match &mut oauth2.client {
                    Oauth2Client::Secret(secret) => secret.anchor(base),
                    Oauth2Client::Assertion(assertion) => {
                        assertion.key.anchor(base);
                        if let Some(certificate) = &mut assertion.certificate {
                            at(certificate);
                        }
                    }
                },
            }
        }
    }
}
