//! What this machine can do at this moment: speeds differ threefold between processors, so ratios to
//! these are quoted.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use countersign_profile::DigestAlgorithm;
use countersign_scep::client::{DeviceKey, KeySize};

use crate::numbers::{median, microseconds};

const EACH: Duration = Duration::from_millis(150);

/// Microseconds of one operation, the median of all that were made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Yardsticks {
    pub(crate) rsa_sign: f64,
    pub(crate) p256_sign: f64,
    pub(crate) p256_verify: f64,
    pub(crate) fsync: f64,
}

/// Measures when asked, in between the turns.
#[derive(Debug)]
pub(crate) struct Workbench<'a> {
    rsa: DeviceKey,
    p256: EcdsaKeyPair,
    signature: Vec<u8>,
    directory: &'a Path,
    samples: [Vec<f64>; 4],
}

impl<'a> Workbench<'a> {
    /// `directory` lies where the databases lie.
    pub(crate) fn new(directory: &'a Path) -> Self {
        let rsa = DeviceKey::generate(KeySize::Rsa2048).expect("a key can be made");
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let signature = p256.sign(&SystemRandom::new(), MESSAGE).expect("a signature");
        let signature = signature.as_ref().to_vec();
        Self { rsa, p256, signature, directory, samples: Default::default() }
    }

    /// Takes each once more.
    pub(crate) fn measure(&mut self) {
        let Self { rsa, p256, signature, directory, samples } = self;
        repeat(&mut samples[0], || {
            rsa.sign(DigestAlgorithm::Sha256, MESSAGE).expect("the key signs");
        });
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, p256.public_key().as_ref());
        repeat(&mut samples[1], || key.verify(MESSAGE, signature).expect("it is good"));
        let path = directory.join("yardstick");
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .expect("a file in the installation's directory");
        let random = SystemRandom::new();
        repeat(&mut samples[3], || {
            p256.sign(&random, MESSAGE).expect("a signature");
        });
        repeat(&mut samples[2], || {
            file.write_all(&[0x5a; 4096]).expect("space on the disk");
            file.sync_data().expect("the disk takes it");
        });
        std::fs::remove_file(&path).expect("the file is ours");
    }

    /// The medians of all.
    pub(crate) fn medians(self) -> Yardsticks {
        let [rsa_sign, p256_verify, fsync, p256_sign] = self.samples.map(median);
        Yardsticks { rsa_sign, p256_sign, p256_verify, fsync }
    }
}

const MESSAGE: &[u8] = &[0x5a; 512];

fn repeat(samples: &mut Vec<f64>, mut operation: impl FnMut()) {
    let begin = Instant::now();
    while begin.elapsed() < EACH {
        let begin = Instant::now();
        operation();
        samples.push(microseconds(begin.elapsed()));
    }
}
