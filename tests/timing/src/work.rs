//! What opening does, without the time bucket: unwrap, decrypt, read, verify, compare the keys, as
//! `host/enrol/src/open.rs` calls them.

use std::time::{Duration, Instant};

use countersign_keys::{
    Deadline, DevelopmentToken, KeyName, KeyTransport, Mode, Token, secret_file,
};
use countersign_scep::client::{DeviceKey, KeySize, SelfSigned, Validity};
use countersign_scep::{
    Bounds, Certificate, ContentCipher, LegacyAlgorithms, Message, Request, RequestData,
};

use crate::classes::{Class, Stranger};
use crate::schedule::Shuffle;
use crate::verdict::Samples;

/// How many messages stand for each class: what one of them costs by chance must not decide.
const MESSAGES: usize = 32;

/// Who opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The product: a substitute key for what does not unwrap, and the same work after it.
    Product,
    /// A build without the substitute key: it stops where the unwrap fails.
    WithoutSubstituteKey,
}

/// A CEP key, and messages for it that fail.
pub struct Work {
    token: DevelopmentToken,
    name: KeyName,
    key: DeviceKey,
    certificate: Certificate,
    stranger: Stranger,
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

impl Work {
    /// A new RSA-2048 key on the development token.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("cep.key");
        let key = DeviceKey::generate(KeySize::Rsa2048).expect("a key");
        secret_file::create(&file, key.to_pkcs8()).expect("the key's file");
        let name = KeyName::new("cep");
        let token = DevelopmentToken::open(Mode::Lab, [(name.clone(), file.as_path())])
            .expect("the development token");
        let names = ["CN=CEP".parse().expect("a name")];
        let validity = Validity { not_before: 1_700_000_000, not_after: 4_000_000_000 };
        let certificate = SelfSigned { names: &names, validity }.sign(&key).expect("a certificate");
        let stranger = Stranger::new(&certificate);
        Self { token, name, key, certificate, stranger }
    }

    /// Times every class this many times under one cipher.
    ///
    /// # Panics
    /// A message opens that must not, or one does not that must.
    pub fn measure(
        &self,
        opener: Opener,
        cipher: ContentCipher,
        samples: usize,
        shuffle: &mut Shuffle,
        mut progress: impl FnMut(usize),
    ) -> Samples {
        let good = self.request(&self.stranger.good(cipher));
        assert!(self.open(opener, &good), "what is good opens");
        let requests: Vec<Vec<Request>> = Class::ALL
            .iter()
            .map(|class| {
                let failing = || self.request(&self.stranger.failing(*class, cipher));
                std::iter::repeat_with(failing).take(MESSAGES).collect()
            })
            .collect();

        let mut times = Samples::with_capacity(samples);
        // What is done first meets cold caches.
        let warm_up = (samples / 50).clamp(10, 500);
        for round in 0..warm_up + samples {
            for class in shuffle.round(Class::ALL.len()) {
                let request = &requests[class][shuffle.below(MESSAGES)];
                let begin = Instant::now();
                let opened = self.open(opener, request);
                let spent = begin.elapsed();
                assert!(!opened, "{} opened", Class::ALL[class]);
                if round >= warm_up {
                    times.add(Class::ALL[class], nanoseconds(spent));
                }
            }
            progress(round);
        }
        times
    }

    fn request(&self, message: &[u8]) -> Request {
        let message = Message::parse(message, &Bounds::REQUEST).expect("a message");
        message.verify(&LegacyAlgorithms::default()).expect("a well-signed message")
    }

    /// The steps of zone A. Never inlined: both openers and all classes go through one body each.
    #[inline(never)]
    fn open(&self, opener: Opener, request: &Request) -> bool {
        let addressed = request.envelope().addressed_to([&self.certificate]).expect("for us");
        let content_key = match opener {
            Opener::Product => {
                let deadline = Deadline::after(Duration::from_secs(60));
                let key = self.token.rsa_unwrap(
                    &self.name,
                    KeyTransport::Pkcs1v15,
                    addressed.encrypted_key,
                    addressed.content_key_len,
                    deadline,
                );
                key.expect("the token is there").as_bytes().to_vec()
            }
            Opener::WithoutSubstituteKey => match self.key.unwrap(&addressed) {
                Ok(key) if key.len() == addressed.content_key_len => key.to_vec(),
                _ => return false,
            },
        };
        match request.open(&content_key) {
            Ok(RequestData::Pkcs10(csr)) => request.is_signed_with_key_of(&csr),
            _ => false,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
