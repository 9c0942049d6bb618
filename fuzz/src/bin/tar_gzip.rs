//! Archives, compressed: of settings, and of a sealed bundle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cfg_pack::fuzzing::archive(bytes);
    bundle_manifest::fuzzing::archive(bytes);
});
