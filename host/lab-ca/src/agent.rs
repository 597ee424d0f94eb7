//! The revoke agent: pulls signed orders over mutual TLS, carries them out, publishes the revocation
//! list, and says what became of them. What it did not do it says too; what is not signed by the
//! pinned key it neither does nor answers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::LabCa;
use crate::error::LabCaError;
use crate::order::{NotAnOrder, Order, OrderKey};

/// One request, from the connection to the whole answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Octets of one answer.
const MOST_OCTETS: usize = 1 << 20;

/// Orders of one page.
const PAGE: u32 = 100;

/// Pages of one run: the rest comes with the next one.
const MOST_PAGES: u32 = 1000;

/// What the agent is told.
#[derive(Debug)]
pub struct Agent {
    /// Host and port of [verify.revoker]: `ra.example.com:8446`.
    pub address: String,
    /// Roots that the listener's certificate must chain to, PEM.
    pub roots: PathBuf,
    /// The agent's certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The key that orders must be signed with.
    pub order_key: OrderKey,
    /// The authority's name in the config of the registration authority.
    pub authority: String,
    /// Where the revocation list is written after each run that revoked something, DER.
    pub publish: Option<PathBuf>,
}

/// What a run did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Certificates revoked.
    pub carried_out: usize,
    /// Orders for what this CA does not know, or had revoked before.
    pub nothing_to_do: usize,
    /// Orders that could not be carried out, well signed.
    pub failed: usize,
    /// Orders carried out before that came again; answered, and not done twice.
    pub replayed: usize,
    /// Octets that are no order of ours: altered, of another key, for another CA.
    pub refused: usize,
}

#[derive(Debug, Deserialize)]
struct Page {
    orders: Vec<Served>,
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Served {
    number: u64,
    document: String,
    signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    number: u64,
    result: String,
    retry: bool,
    detail: String,
}

impl Agent {
    /// One run: every order that is due.
    ///
    /// # Errors
    /// [`LabCaError::Server`] when the listener does not answer as it should; what was carried out
    /// until then is on record, and is told with the next run.
    pub async fn run(&self, ca: &LabCa) -> Result<Report, LabCaError> {
        let tls = TlsConnector::from(Arc::new(self.tls()?));
        let mut done = Done::open(&ca.directory().join("orders-done.jsonl"))?;
        let mut report = Report::default();
        let mut after = 0;
        for _ in 0..MOST_PAGES {
            let path = format!("/orders?after={after}&limit={PAGE}");
            let octets = self.ask(&tls, Method::GET, &path, Bytes::new()).await?;
            let page: Page = serde_json::from_slice(&octets).map_err(server)?;
            let mut results = Vec::new();
            for served in &page.orders {
                if let Some(told) = self.one(ca, served, &mut done, &mut report)? {
                    results.push(told);
                }
            }
            if report.carried_out > 0
                && let Some(path) = &self.publish
            {
                publish(path, &ca.crl()?)?;
            }
            if !results.is_empty() {
                let body = serde_json::json!({ "results": results }).to_string();
                self.ask(&tls, Method::POST, "/results", body.into()).await?;
            }
            let last = page.orders.last().map_or(after, |served| served.number);
            if !page.more || last <= after {
                break;
            }
            after = last;
        }
        Ok(report)
    }

    /// One order. What is not signed gets no answer: whoever made it up would learn something.
    fn one(
        &self,
        ca: &LabCa,
        served: &Served,
        done: &mut Done,
        report: &mut Report,
    ) -> Result<Option<Told>, LabCaError> {
        let read = self.order_key.read(&served.document, &served.signature, &self.authority);
        let (order, octets) = match read {
            Ok((order, _)) if order.number != served.number => {
                tracing::error!(number = served.number, "ALARM: an order under another number");
                report.refused += 1;
                return Ok(None);
            }
            Ok(read) => read,
            Err(why @ (NotAnOrder::Signature | NotAnOrder::OtherAuthority(_))) => {
                tracing::error!(number = served.number, %why, "ALARM: an order was refused");
                report.refused += 1;
                return Ok(None);
            }
            Err(why @ NotAnOrder::Form(_)) => {
                tracing::error!(number = served.number, %why, "an order was not understood");
                report.refused += 1;
                return Ok(None);
            }
        };
        let document = hex::encode(digest(&SHA256, &octets));
        if let Some(told) = done.told(&document) {
            tracing::warn!(number = order.number, "an order came again; it is not done twice");
            report.replayed += 1;
            return Ok(Some(told.clone()));
        }
        let told = carry_out(ca, &order);
        match told.result.as_str() {
            "carried-out" => report.carried_out += 1,
            "nothing-to-do" => report.nothing_to_do += 1,
            _ => report.failed += 1,
        }
        if !told.retry {
            done.keep(document, told.clone())?;
        }
        Ok(Some(told))
    }

    fn tls(&self) -> Result<ClientConfig, LabCaError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.roots)? {
            roots.add(root).map_err(server)?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(server)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(server)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&self.certificate)?, key)
            .map_err(server)
    }

    /// One request on a connection of its own.
    async fn ask(
        &self,
        tls: &TlsConnector,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, LabCaError> {
        let whole = async {
            let (host, _) = self
                .address
                .rsplit_once(':')
                .ok_or_else(|| LabCaError::Server("the address has no port".to_owned()))?;
            let name =
                ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(server)?;
            let address =
                self.address.to_socket_addrs().map_err(server)?.next().ok_or_else(|| {
                    LabCaError::Server(format!("{} has no address", self.address))
                })?;
            let stream = TcpStream::connect(address).await.map_err(server)?;
            let stream = tls.connect(name, stream).await.map_err(server)?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(server)?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, &self.address)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body))
                .map_err(server)?;
            let response = sender.send_request(request).await.map_err(server)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_OCTETS).collect().await;
            let body = body.map_err(|error| LabCaError::Server(error.to_string()))?.to_bytes();
            if status != StatusCode::OK {
                let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                return Err(LabCaError::Server(format!("{path}: {status}: {text:?}")));
            }
            Ok(body)
        };
        tokio::time::timeout(WITHIN, whole)
            .await
            .unwrap_or_else(|_| Err(LabCaError::Server(format!("{path}: no answer in time"))))
    }
}

/// Revokes, if the certificate of that serial is the one that was meant.
fn carry_out(ca: &LabCa, order: &Order) -> Told {
    let told = |result: &str, retry: bool, detail: String| Told {
        number: order.number,
        result: result.to_owned(),
        retry,
        detail,
    };
    let record = match ca.certificates() {
        Ok(all) => all.into_iter().find(|record| same_number(&record.serial, &order.serial)),
        Err(error) => return told("failed", true, error.to_string()),
    };
    let Some(record) = record else {
        return told("nothing-to-do", false, "this CA issued no such certificate".to_owned());
    };
    let found = hex::decode(&record.certificate).unwrap_or_default();
    if hex::encode(digest(&SHA256, &found)) != order.certificate_sha256 {
        return told("failed", false, "the certificate of that serial is another one".to_owned());
    }
    if record.revocation.is_some() {
        return told("nothing-to-do", false, "it was revoked before".to_owned());
    }
    match ca.revoke(&record.serial, order.reason) {
        Ok(()) => told("carried-out", false, String::new()),
        Err(error) => told("failed", true, error.to_string()),
    }
}

/// Serial numbers are numbers: a zero before them changes nothing.
fn same_number(one: &str, two: &str) -> bool {
    one.trim_start_matches('0') == two.trim_start_matches('0')
}

/// Through a file beside it: whoever fetches the list never reads half of it.
fn publish(path: &Path, crl: &[u8]) -> Result<(), LabCaError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, crl).and_then(|()| fs::rename(&beside, path)).map_err(LabCaError::file(path))
}

/// What was told of orders, so that one that comes again is answered and not done again.
struct Done {
    path: PathBuf,
    told: BTreeMap<String, Told>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    document: String,
    told: Told,
}

impl Done {
    fn open(path: &Path) -> Result<Self, LabCaError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(LabCaError::file(path)(error)),
        };
        // A last line that a crash cut is an order that is done again: revoking twice is nothing to do.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let told = lines.map(|line| (line.document, line.told)).collect();
        Ok(Self { path: path.to_owned(), told })
    }

    fn told(&self, document: &str) -> Option<&Told> {
        self.told.get(document)
    }

    fn keep(&mut self, document: String, told: Told) -> Result<(), LabCaError> {
        let failed = LabCaError::file(&self.path);
        let line = Line { document: document.clone(), told: told.clone() };
        let text = serde_json::to_string(&line).map_err(server)?;
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| {
                file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_data())
            })
            .map_err(failed)?;
        self.told.insert(document, told);
        Ok(())
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LabCaError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| LabCaError::Server(format!("{}: {error}", path.display())))
}

fn server(error: impl std::fmt::Display) -> LabCaError {
    LabCaError::Server(error.to_string())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::certificate::{self, Subject};
    use crate::key::{Algorithm, CaKey};
    use crate::order::tests::Signer;
    use crate::role::Role;
    use crate::{CertificateRecord, Options};

    struct World {
        ca: LabCa,
        signer: Signer,
        agent: Agent,
        _directory: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let options = Options { algorithm: Algorithm::P256, ..Options::default() };
            let ca = LabCa::create(&directory.path().join("ca"), options).unwrap();
            let signer = Signer::new();
            let agent = Agent {
                address: "localhost:1".to_owned(),
                roots: PathBuf::new(),
                certificate: PathBuf::new(),
                key: PathBuf::new(),
                order_key: signer.key(),
                authority: "lab".to_owned(),
                publish: None,
            };
            Self { ca, signer, agent, _directory: directory }
        }

        /// A certificate that the CA issued.
        fn issued(&self) -> CertificateRecord {
            let (not_before, not_after) = certificate::validity(1);
            let key = CaKey::generate(Algorithm::P256).unwrap();
            let subject = Subject {
                name: certificate::name("device").unwrap(),
                spki: &key.spki().unwrap(),
                key_use: Role::TlsClient.key_use(),
                extended_key_usages: Vec::new(),
                subject_alt_name: None,
                not_before,
                not_after,
                template: None,
                more_extensions: Vec::new(),
                publication: None,
            };
            let der = self.ca.issue_for_role(Role::TlsClient, subject).unwrap();
            let all = self.ca.certificates().unwrap();
            all.into_iter().find(|record| record.certificate == hex::encode(&der)).unwrap()
        }

        fn served(&self, number: u64, document: &str) -> Served {
            Served {
                number,
                document: STANDARD.encode(document),
                signature: self.signer.sign(document),
            }
        }

        /// One order, by an agent that was started anew: what it knows is on the disk.
        fn one(&self, served: &Served) -> (Option<Told>, Report) {
            let mut done = Done::open(&self.ca.directory().join("orders-done.jsonl")).unwrap();
            let mut report = Report::default();
            let told = self.agent.one(&self.ca, served, &mut done, &mut report).unwrap();
            (told, report)
        }

        fn is_revoked(&self, serial: &str) -> bool {
            let all = self.ca.certificates().unwrap();
            all.iter().any(|record| record.serial == serial && record.revocation.is_some())
        }
    }

    fn document(number: u64, record: &CertificateRecord) -> String {
        let der = hex::decode(&record.certificate).unwrap();
        format!(
            "countersign-revocation-order-1\nnumber: {number}\nauthority: lab\nserial: {}\n\
             certificate-sha256: {}\nreason: key-compromise\nordered: 1764547200\n",
            record.serial,
            hex::encode(digest(&SHA256, &der))
        )
    }

    #[test]
    fn an_order_is_carried_out_once_and_answered_as_often_as_it_comes() {
        let world = World::new();
        let record = world.issued();
        let served = world.served(1, &document(1, &record));
        let (told, report) = world.one(&served);
        assert_eq!(report, Report { carried_out: 1, ..Report::default() });
        assert!(world.is_revoked(&record.serial));
        let (again, report) = world.one(&served);
        assert_eq!(report, Report { replayed: 1, ..Report::default() });
        assert_eq!(again, told);
    }

    #[test]
    fn an_altered_foreign_or_renumbered_order_is_neither_done_nor_answered() {
        let world = World::new();
        let (record, other) = (world.issued(), world.issued());
        let good = document(1, &record);
        let signature = world.signer.sign(&good);
        let altered = Served {
            number: 1,
            document: STANDARD.encode(document(1, &other)),
            signature: signature.clone(),
        };
        let foreign = Served {
            number: 1,
            document: STANDARD.encode(&good),
            signature: Signer::new().sign(&good),
        };
        let renumbered = Served { number: 2, ..world.served(1, &good) };
        let elsewhere = world.served(1, &good.replace("authority: lab", "authority: other"));
        let no_form = world.served(1, &good.replace("order-1", "order-9"));
        for served in [altered, foreign, renumbered, elsewhere, no_form] {
            let (told, report) = world.one(&served);
            assert_eq!(told, None);
            assert_eq!(report, Report { refused: 1, ..Report::default() });
        }
        assert!(!world.is_revoked(&record.serial) && !world.is_revoked(&other.serial));
    }

    #[test]
    fn what_the_ca_does_not_know_or_knows_otherwise_is_told() {
        let world = World::new();
        let (record, other) = (world.issued(), world.issued());
        // The serial number of one, the hash of another.
        let mixed = document(1, &record).replace(&record.serial, &other.serial);
        let (told, report) = world.one(&world.served(1, &mixed));
        assert_eq!((report.failed, told.unwrap().retry), (1, false));
        assert!(!world.is_revoked(&other.serial));

        let unknown = document(2, &record).replace(&record.serial, "7f");
        assert_eq!(world.one(&world.served(2, &unknown)).1.nothing_to_do, 1);
        world.ca.revoke(&record.serial, 0).unwrap();
        let revoked = world.served(3, &document(3, &record));
        assert_eq!(world.one(&revoked).1.nothing_to_do, 1);
    }
}
