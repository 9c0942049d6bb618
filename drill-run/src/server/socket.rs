//! The socket's path. The server creates it in its data directory, which it knows by a short name; a client has
//! to write the path out, and the system takes 107 bytes at most.

use super::settings::PORT;
use anyhow::{Context, Result};
use rustix::process::geteuid;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// As much as `sun_path` holds, without its last byte of 0.
const LONGEST: usize = 107;
/// The link in a short directory.
const LINK: &str = "d";

/// The socket in a directory.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(format!(".s.PGSQL.{PORT}"))
}

/// Whether a client can name the socket in a directory. Its settings are text, and libpq takes a comma for the end
/// of a host.
pub fn is_usable(dir: &Path) -> bool {
    let path = file(dir);
    path.as_os_str().len() <= LONGEST && dir.to_str().is_some_and(|dir| !dir.contains(','))
}

/// Makes a directory of mode 0700 with a short name, and a link in it to another directory. `note` writes down the
/// name before the directory is made.
///
/// # Errors
/// If it cannot be made.
pub fn make_short(to: &Path, note: impl Fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let parent = runtime_directory().unwrap_or_else(|| PathBuf::from("/tmp"));
    let make = |path: &Path| {
        note(path).map_err(std::io::Error::other)?;
        DirBuilder::new().mode(0o700).create(path)?;
        Ok(path.to_owned())
    };
    // Another name is tried where one is taken.
    let made = tempfile::Builder::new().prefix("drill-").make_in(&parent, make);
    let made = made.with_context(|| format!("creating a directory in {}", parent.display()))?;
    let (_, path) = made.keep().map_err(|error| error.error).context("a short directory")?;
    symlink(to, path.join(LINK))
        .with_context(|| format!("creating a link in {}", path.display()))?;
    Ok(path.join(LINK))
}

/// `XDG_RUNTIME_DIR` where it is ours alone: after `sudo` it may be another user's.
fn runtime_directory() -> Option<PathBuf> {
    let dir = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    let meta = dir.metadata().ok().filter(|_| dir.is_absolute())?;
    let is_ours = meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0;
    // What is long itself is of no use.
    (is_ours && meta.is_dir() && is_usable(&dir.join("drill-123456").join(LINK))).then_some(dir)
}

/// Removes such a directory, and nothing else that may be in it.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_short(path: &Path) -> Result<()> {
    // Others may write in the directory above, and have put something else there since.
    let ours = geteuid().as_raw();
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == ours) {
        return Ok(());
    }
    for result in [std::fs::remove_file(path.join(LINK)), std::fs::remove_dir(path)] {
        match result {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.with_context(|| format!("removing {}", path.display()))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_path_is_usable_up_to_107_bytes() {
        let of = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        // `/.s.PGSQL.5432`
        assert!(is_usable(&of(93)) && !is_usable(&of(94)));
        assert!(!is_usable(Path::new("/a,b")) && is_usable(Path::new("/a b")));
    }

    #[test]
    fn a_short_directory_is_noted_first_is_private_and_goes_with_its_link_alone() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(200));
        std::fs::create_dir(&long).unwrap();
        std::fs::write(long.join("in"), "").unwrap();
        let noted = Mutex::new(PathBuf::new());
        let note = |path: &Path| {
            assert!(!path.exists());
            *noted.lock().unwrap() = path.to_owned();
            Ok(())
        };
        let link = make_short(&long, note).unwrap();
        let short = noted.lock().unwrap().clone();
        assert!(is_usable(&link) && link.join("in").exists() && link.starts_with(&short));
        assert_eq!(short.metadata().unwrap().mode() & 0o777, 0o700);
        remove_short(&short).unwrap();
        assert!(!short.exists() && long.join("in").exists());
        remove_short(&short).unwrap();
        let failed = make_short(&long, |_| anyhow::bail!("no"));
        assert!(failed.is_err());
    }
}
