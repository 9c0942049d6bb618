//! Dumps, compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    pg_snap::fuzzing::zipped(bytes);
});
