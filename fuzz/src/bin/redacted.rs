//! Settings shown in a diff.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cfg_pack::fuzzing::redacted(bytes);
});
