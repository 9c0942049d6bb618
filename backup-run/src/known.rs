//! The files of the bundle that this run writes itself, hashed while they are written, so that the seal need not read
//! them again.

use anyhow::{Context, Result};
use bundle_format::known::{Known, Written, line};
use pipe_kit::tool::Tool;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;

/// What was written so far, by its name in the bundle.
#[derive(Default)]
pub struct KnownSums(Known);

impl KnownSums {
    /// Runs a stage whose output is a file of the bundle.
    ///
    /// # Errors
    /// If the stage fails, or the file cannot be written.
    pub fn run(&mut self, tool: &Tool, name: &str) -> Result<()> {
        let (mut hash, mut size) = (Sha256::new(), 0);
        let file = tool.run_observed(|bytes| {
            hash.update(bytes);
            size += bytes.len() as u64;
        })?;
        let meta = file.metadata().with_context(|| format!("reading {name}"))?;
        let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let written = Written { size, modified, digest: hash.finalize().into() };
        self.0.insert(name.into(), written);
        Ok(())
    }

    /// The tool of the seal, with what it need not read.
    #[must_use]
    pub fn given_to(&self, tool: Tool) -> Tool {
        let lines = self.0.iter().flat_map(|(path, written)| line(OsStr::new(path), written));
        tool.args(["--known", "-"]).input_text(lines.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seal_is_given_what_lies_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.tar.gz");
        let mut known = KnownSums::default();
        let tool = Tool::new("printf").arg("abc").output(&path);
        known.run(&tool, "config.tar.gz").unwrap();
        let given = dir.path().join("given");
        let seal = Tool::new("sh").args(["-c", "cat; echo \"$@\"", "sums", "DIR"]).output(&given);
        known.given_to(seal).run().unwrap();
        let (meta, given) = (path.metadata().unwrap(), std::fs::read_to_string(given).unwrap());
        let (seconds, nanoseconds) = (meta.mtime(), meta.mtime_nsec());
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let line = format!("3 {seconds}{nanoseconds:09} {sum}  config.tar.gz\n");
        assert_eq!(given, format!("{line}DIR --known -\n"));
        let failing = Tool::new("sh").args(["-c", "echo half; exit 4"]).output(&path);
        assert!(KnownSums::default().run(&failing, "config.tar.gz").is_err());
    }
}
