//! SHA-256 of files.

use anyhow::{Context, Result};
use bundle_format::sums::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK: usize = 1024 * 1024;

/// Hashes a file; `progress` is called with the number of bytes of each step.
pub fn file(path: &Path, mut progress: impl FnMut(u64)) -> Result<Digest> {
    let failed = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).with_context(failed)? {
            0 => return Ok(hasher.finalize().into()),
            n => {
                hasher.update(&block[..n]);
                progress(n as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_that_of_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let mut bytes = 0;
        let digest = super::file(&path, |n| bytes += n).unwrap();
        assert_eq!(
            pipe_kit::text::hex(&digest),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(bytes, 3);
    }
}
