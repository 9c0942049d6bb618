//! `MANIFEST.txt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bundle_format::fuzzing::manifest(bytes);
});
