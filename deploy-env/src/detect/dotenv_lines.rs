//! Lines that are added to the end of an `.env`. What is there stays as it is, with its owner and mode.

use crate::deployment::Deployment;
use crate::dotenv::quote;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Appends a line for each setting. A new file belongs to the owner of the directory, who alone may read it.
///
/// # Errors
/// If the file cannot be written; it is then as before.
pub fn append<'a>(
    deployment: &Deployment,
    settings: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<()> {
    let lines: String = settings.map(|(key, value)| quote::line(key, value)).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let path = deployment.dotenv();
    append_to(&path, &lines, deployment.dir())
        .with_context(|| format!("adding settings to {}", path.display()))
}

fn append_to(path: &Path, lines: &str, dir: &Path) -> Result<()> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(is_new).mode(0o600).open(path)?;
    if is_new {
        let owner = dir.metadata()?;
        // Only root may give it away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    let mut before = Vec::new();
    file.read_to_end(&mut before)?;
    let end = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let text = format!("{end}{lines}");
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a line would be another setting.
        file.set_len(before.len() as u64)?;
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn lines_come_after_what_is_there_and_the_mode_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        append_to(&path, "A=1\n", dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\n");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        fs::write(&path, "# mine\nB=2").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        append_to(&path, "C='a b'\n", dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nB=2\nC='a b'\n");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
    }
}
