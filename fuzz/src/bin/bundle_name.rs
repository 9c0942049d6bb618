//! Bundles' names and lists of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bundle_format::fuzzing::bundle_name(bytes);
    bundle_prune::fuzzing::listing(bytes);
});
