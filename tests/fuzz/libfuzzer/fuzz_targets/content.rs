//! See `content` in `countersign_fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (countersign_fuzz::target("content").run)(bytes);
});
