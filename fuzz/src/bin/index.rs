//! A mirror's index, its sums as the bundle reads them, and the keys of a listing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    obj_mirror::fuzzing::index(bytes);
    obj_mirror::fuzzing::listed_key(bytes);
    let Some((sums, mut paths)) = obj_mirror::fuzzing::sums(bytes) else { return };
    let listed = bundle_manifest::fuzzing::listed(sums.as_bytes());
    let listed = listed.expect("the bundle reads the sums of every index that is read");
    paths.sort();
    assert_eq!(listed, paths.into_iter().map(|(p, s)| (p.into(), s)).collect::<Vec<_>>());
});
