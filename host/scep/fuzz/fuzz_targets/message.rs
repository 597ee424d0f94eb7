//! Bytes as they come off the wire.
#![no_main]

#[path = "../exercise.rs"]
mod exercise;

use std::sync::LazyLock;

use countersign_scep::Certificate;
use libfuzzer_sys::fuzz_target;

static CEP: LazyLock<Certificate> = LazyLock::new(|| {
    Certificate::parse(include_bytes!("../../../../tests/golden/scep/cep.der")).unwrap()
});
static REP: LazyLock<Certificate> = LazyLock::new(|| {
    Certificate::parse(include_bytes!("../../../../tests/golden/scep/rep.der")).unwrap()
});

fuzz_target!(|bytes: &[u8]| exercise::exercise(bytes, &CEP, &REP));
