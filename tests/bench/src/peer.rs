//! A SCEP server as a device sees it.

use countersign_profile::Certificate;
use countersign_scep::client::CaCertificates;
use countersign_scep::{Capabilities, LegacyAlgorithms};

use crate::load;

/// Whom requests are for, and whose answers are believed.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `127.0.0.1:40123`.
    pub(crate) address: String,
    /// The path of its SCEP URL.
    pub(crate) path: String,
    pub(crate) certificates: CaCertificates,
    pub(crate) capabilities: Capabilities,
    /// The CA that what it issues must be signed by.
    pub(crate) ca: Certificate,
    /// Old algorithms that its answers may be in.
    pub(crate) legacy: LegacyAlgorithms,
}

impl Peer {
    /// Asks the server what it is.
    pub(crate) async fn meet(address: &str, path: &str, legacy: LegacyAlgorithms) -> Self {
        let ask = async |operation: &str| {
            let (status, body) = load::get(address, &format!("{path}?operation={operation}")).await;
            assert_eq!(status, http::StatusCode::OK, "{operation} at {address}");
            body
        };
        let certificates = CaCertificates::parse(&ask("GetCACert").await).expect("a CA");
        let ca = certificates.ca().expect("a CA's certificate").der();
        let ca = Certificate::parse(ca).expect("a CA's certificate");
        let capabilities = ask("GetCACaps").await;
        let capabilities = Capabilities::parse(&String::from_utf8_lossy(&capabilities));
        Self {
            address: address.to_owned(),
            path: path.to_owned(),
            certificates,
            capabilities,
            ca,
            legacy,
        }
    }

    pub(crate) fn url(&self, operation: &str) -> String {
        format!("{}?operation={operation}", self.path)
    }
}
