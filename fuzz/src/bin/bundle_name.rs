//! Bundles' names and lists of them; who seals and who removes agree on what is one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bundle_manifest::fuzzing::bundle_name(bytes);
    bundle_prune::fuzzing::listing(bytes);
    let name = String::from_utf8_lossy(bytes);
    assert_eq!(
        bundle_manifest::fuzzing::is_bundle_name(&name),
        bundle_prune::fuzzing::finishes_removal_of(&name)
    );
});
