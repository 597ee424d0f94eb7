//! Bytes behind a good signature: what only a device with a key can send.
#![no_main]

#[path = "../exercise.rs"]
mod exercise;
#[path = "../../tests/forge/mod.rs"]
mod forge;

use std::sync::LazyLock;

use countersign_scep::Certificate;
use countersign_scep::client::DeviceKey;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<DeviceKey> = LazyLock::new(|| forge::golden_key("device"));
static CERTIFICATES: LazyLock<[Certificate; 3]> =
    LazyLock::new(|| ["device", "cep", "rep"].map(forge::golden_certificate));

fuzz_target!(|bytes: &[u8]| {
    let [device, cep, rep] = &*CERTIFICATES;
    let message = forge::Forge::new("19", device, bytes).message(&KEY);
    exercise::exercise(&message, cep, rep);
});
