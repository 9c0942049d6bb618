//! Texts that `dump --level fast` compresses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pg_snap::fuzzing::deflated(bytes);
});
