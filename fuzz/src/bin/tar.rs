//! Archives, as tar: of settings, and of a sealed bundle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let tar = pipeline_fuzz::tar(bytes);
    cfg_pack::fuzzing::archive(&pipeline_fuzz::gzip(&tar));
    bundle_manifest::fuzzing::archive(&tar);
});
