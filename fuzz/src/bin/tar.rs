//! Archives of settings, as tar.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cfg_pack::fuzzing::tar(bytes);
});
