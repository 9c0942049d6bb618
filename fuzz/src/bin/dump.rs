//! Dumps, as SQL.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bundle_manifest::fuzzing::dump_head(bytes);
    pg_snap::fuzzing::dump(bytes);
});
