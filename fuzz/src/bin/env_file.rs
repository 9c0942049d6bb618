//! A deployment's `.env`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    deploy_env::fuzzing::env_file(bytes);
});
