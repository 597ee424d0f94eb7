//! What the tokens do alone: the private-key operations of one enrolment (CEP unwrap, REP sign, EA
//! sign), one after the other, with nothing around them. In a process of its own, because a PKCS#11
//! module is found through the environment and has one owner.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use countersign_config::{Config, KeyPairSettings};
use countersign_keys::{Deadline, KeyTransport, RoleCertificate, SignatureAlgorithm, Tokens};
use countersign_tests::Installation;

use crate::numbers::microseconds;
use crate::proc;

/// Enrolments' worth of operations.
const TIMES: u32 = 400;

const PATIENCE: Duration = Duration::from_secs(120);

/// A content key of AES-256.
const CONTENT_KEY: [u8; 32] = [0x5a; 32];

/// Processor time of the operations of one enrolment in microseconds, measured by this program started
/// anew with the tokens of the installation in its environment.
pub(crate) fn in_a_process(installation: &Installation) -> f64 {
    let this = std::env::current_exe().expect("where this program lies");
    let mut command = Command::new(this);
    command.arg("--token-alone").arg(installation.config());
    command.envs(installation.token_environment());
    let output = command.output().expect("this program starts again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse().expect("a number")
}

/// What that process does.
pub(crate) fn measure(config: &Path) -> f64 {
    let config = Config::load(config).expect("the config has no faults").config;
    let (cep, rep, ea) = (&config.serve.keys.cep, &config.serve.keys.rep, &config.sign.keys.ea);
    let places = [cep, rep, ea].map(|pair| pair.key.place());
    let deadline = Deadline::after(PATIENCE);
    let tokens = Tokens::open(config.mode, &config.token_places(), &places, deadline)
        .expect("the tokens are usable");
    let [cep_at, rep_at, ea_at] = &places;
    let on = |place| tokens.pool(place).expect("its token is open").token();
    let ciphertext = encrypted(&certificate(cep));
    let algorithm = |pair| SignatureAlgorithm::preferred_for(certificate(pair).public_key().kind());
    let (rep_algorithm, ea_algorithm) = (algorithm(rep), algorithm(ea));
    let message = [0x5a; 512];
    let once = || {
        on(cep_at)
            .rsa_unwrap(
                &cep_at.key_name(),
                KeyTransport::Pkcs1v15,
                &ciphertext,
                CONTENT_KEY.len(),
                deadline,
            )
            .expect("the token unwraps");
        on(rep_at)
            .sign(&rep_at.key_name(), rep_algorithm, &message, deadline)
            .expect("the token signs");
        on(ea_at)
            .sign(&ea_at.key_name(), ea_algorithm, &message, deadline)
            .expect("the token signs");
    };
    (0..TIMES / 10).for_each(|_| once());
    let before = proc::processor_time(std::process::id());
    (0..TIMES).for_each(|_| once());
    let spent = proc::processor_time(std::process::id()) - before;
    microseconds(spent) / f64::from(TIMES)
}

fn certificate(pair: &KeyPairSettings) -> RoleCertificate {
    let octets = std::fs::read(&pair.certificate).expect("the certificate is there");
    RoleCertificate::parse(&octets).expect("a certificate")
}

fn encrypted(cep: &RoleCertificate) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(cep.public_key().spki_der()).expect("an RSA key");
    let key = Pkcs1PublicEncryptingKey::new(key).expect("an RSA key");
    let mut ciphertext = vec![0; key.ciphertext_size()];
    key.encrypt(&CONTENT_KEY, &mut ciphertext).expect("it encrypts").to_vec()
}
