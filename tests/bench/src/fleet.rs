//! Devices and their requests, made before the clock starts.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use countersign_profile::Name;
use countersign_scep::client::{
    Ask, CsrDraft, DeviceKey, KeySize, Outgoing, Sealing, SelfSigned, Validity,
};
use countersign_scep::{Certificate, Nonce, TransactionId};

use crate::peer::Peer;

/// One of the keys that the devices share, with the certificate that it signs requests with.
#[derive(Debug)]
pub(crate) struct SharedKey {
    pub(crate) key: DeviceKey,
    pub(crate) signer: Certificate,
}

/// Devices: a few keys, as many names as are asked for.
#[derive(Debug)]
pub(crate) struct Fleet {
    keys: Vec<Arc<SharedKey>>,
    made: usize,
}

/// Who asks, before it has a challenge.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) common_name: String,
    pub(crate) names: [String; 2],
    key: Arc<SharedKey>,
}

/// A request that is ready to be sent, and what its answer must fit.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) message: Bytes,
    pub(crate) common_name: String,
    pub(crate) transaction_id: TransactionId,
    pub(crate) nonce: Nonce,
    pub(crate) key: Arc<SharedKey>,
}

impl Fleet {
    /// Makes the keys.
    pub(crate) fn new(keys: usize) -> Self {
        let keys = in_parallel((0..keys).collect(), |_| Arc::new(SharedKey::generate()));
        Self { keys, made: 0 }
    }

    /// Devices that never asked before.
    pub(crate) fn identities(&mut self, count: usize) -> Vec<Identity> {
        let first = self.made;
        self.made += count;
        (first..self.made)
            .map(|number| {
                let host = format!("device-{number}");
                let names = [format!("CN={host}"), format!("DNS:{host}.example.org")];
                let key = Arc::clone(&self.keys[number % self.keys.len()]);
                Identity { common_name: host, names, key }
            })
            .collect()
    }
}

impl SharedKey {
    fn generate() -> Self {
        let key = DeviceKey::generate(KeySize::Rsa2048).expect("a key can be made");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let names = ["CN=SCEP client".parse().expect("a name")];
        let validity = Validity { not_before: now - 3600, not_after: now + 86_400 };
        let signer = SelfSigned { names: &names, validity }.sign(&key).expect("the key signs");
        Self { key, signer }
    }
}

impl Identity {
    fn prepare(self, challenge: &str, peer: &Peer) -> Prepared {
        let names: Vec<Name> =
            self.names.iter().map(|name| name.parse().expect("a name")).collect();
        let draft = CsrDraft { names: &names, challenge: Some(challenge), ..CsrDraft::default() };
        let key = &self.key.key;
        let csr = draft.sign(key).expect("the key signs");
        let nonce = Nonce::random().expect("random octets");
        let transaction_id = TransactionId::new(&self.common_name).expect("printable");
        let outgoing = Outgoing {
            ask: Ask::PkcsReq(&csr),
            transaction_id: &transaction_id,
            sender_nonce: &nonce,
            signer: &self.key.signer,
            recipient: peer.certificates.recipient().expect("a certificate to encrypt to"),
            sealing: Sealing::for_server(&peer.capabilities),
        };
        let message = outgoing.to_be_signed().expect("the request is sealed");
        let digest = message.digest();
        let message = message.sign_with(|octets| key.sign(digest, octets)).expect("the key signs");
        Prepared {
            message: Bytes::from(message),
            common_name: self.common_name,
            transaction_id,
            nonce,
            key: self.key,
        }
    }
}

/// The requests of these devices, each with its challenge.
pub(crate) fn prepare(devices: Vec<(Identity, String)>, peer: &Peer) -> Vec<Prepared> {
    in_parallel(devices, |(identity, challenge)| identity.prepare(&challenge, peer))
}

/// Does what takes processor time on all cores, in order.
pub(crate) fn in_parallel<T: Send, U: Send>(items: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = items.len().div_ceil(threads).max(1);
    let mut items = items.into_iter();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        loop {
            let part: Vec<T> = items.by_ref().take(each).collect();
            if part.is_empty() {
                break;
            }
            let work = &work;
            running.push(scope.spawn(move || part.into_iter().map(work).collect::<Vec<_>>()));
        }
        running.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}
