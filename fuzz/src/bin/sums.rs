//! `SHA256SUMS`, of a bundle and of a mirror.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bundle_format::fuzzing::sums(bytes);
});
