//! TLS as it is spoken with a CA: roots from the configuration only, and what a failure means.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::error::AuthorityError;

/// With the client's certificate chain and key (PEM), where there is one.
pub(crate) fn client_config(
    roots_pem: &[u8],
    client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
) -> Result<ClientConfig, AuthorityError> {
    let roots = read_roots(roots_pem)?;
    // aws-lc-rs' default suites are all authenticated encryption with ephemeral keys; TLS 1.2 and 1.3.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| AuthorityError::misconfigured(format!("TLS: {error}."), "Report this."))?
        .with_root_certificates(roots);
    let Some((chain_pem, key_pem)) = client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<_, _>>().map_err(|error| {
            AuthorityError::misconfigured(
                format!("The TLS client certificate for the CA is not PEM: {error}."),
                "Give the certificate and its intermediates, the client's own first.",
            )
        })?;
    // The error of a key file is not shown: it may quote what it read.
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
        AuthorityError::misconfigured(
            "The private key of the TLS client certificate is not a PEM key.",
            "Give an unencrypted PKCS#8, PKCS#1 or SEC1 key file, readable only by its process.",
        )
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        AuthorityError::misconfigured(
            format!("The TLS client certificate and key do not fit: {error}."),
            "Give the key that belongs to the certificate.",
        )
    })
}

fn read_roots(roots_pem: &[u8]) -> Result<RootCertStore, AuthorityError> {
    let wrong = |what: String| {
        AuthorityError::misconfigured(
            what,
            "Give the root that issued the service's TLS certificate, PEM. The system's roots are not used.",
        )
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem) {
        let root =
            root.map_err(|error| wrong(format!("The CA's TLS roots are not PEM: {error}.")))?;
        roots
            .add(root)
            .map_err(|error| wrong(format!("A TLS root for the CA is not usable: {error}.")))?;
    }
    if roots.is_empty() {
        return Err(wrong("No TLS root for the CA is configured.".into()));
    }
    Ok(roots)
}

/// The TLS error inside, if that is what went wrong. `io::Error` hides what it wraps from `source`.
pub(super) fn error_inside<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        current = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Alerts by which a server says that it does not want our certificate.
pub(super) fn refuses_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
