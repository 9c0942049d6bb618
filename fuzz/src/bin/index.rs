//! A mirror's index, and the keys of a listing.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    obj_mirror::fuzzing::index(bytes);
    obj_mirror::fuzzing::listed_key(bytes);
});
