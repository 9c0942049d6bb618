//! Archives of settings, compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cfg_pack::fuzzing::zipped(bytes);
});
