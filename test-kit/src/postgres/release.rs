//! Releases of PostgreSQL on this machine.

use crate::user::{as_server_user, give_to_server_user};
use anyhow::{Context, Result};
use pipe_kit::child;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Whether this machine has a locale, and PostgreSQL its language: without, the server speaks English.
#[must_use]
pub fn has_locale(locale: &str) -> bool {
    let all = Command::new("locale").arg("-a").output().map(|out| out.stdout).unwrap_or_default();
    let plain = |name: &str| name.to_lowercase().replace('-', "");
    let has = String::from_utf8_lossy(&all).lines().any(|name| plain(name) == plain(locale));
    let language = locale.split(['_', '.']).next().unwrap_or_default();
    let catalogs = format!("/usr/share/locale/{language}/LC_MESSAGES");
    let files = std::fs::read_dir(catalogs).into_iter().flatten().flatten();
    has && files.into_iter().any(|f| f.file_name().to_string_lossy().starts_with("postgres-"))
}

/// The directory with the newest PostgreSQL server on this machine: in `/usr/lib/postgresql`, else
/// on PATH.
///
/// # Errors
/// If there is none.
pub fn programs() -> Result<PathBuf> {
    let major = |dir: &Path| dir.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|dir| dir.join("bin/initdb").exists())
        .filter_map(|dir| Some((major(&dir)?, dir.join("bin"))))
        .max();
    if let Some((_, dir)) = newest {
        return Ok(dir);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .context("no PostgreSQL server is installed (initdb and postgres not found)")
}

/// A release of PostgreSQL that tests can run: that of this machine, and those of other majors that
/// `scripts/postgres-majors.sh` has fetched.
#[derive(Debug)]
pub struct Release {
    /// Such as 15.
    pub major: u32,
    /// The directory of its programs.
    pub programs: PathBuf,
    /// The directory of clients for it: its own, or those of the newest release that has any.
    pub clients: PathBuf,
    _copy: Option<TempDir>,
}

/// The folder below Cargo's target directory with a `VERSION/bin` for each release fetched.
const FETCHED: &str = "postgres-majors";

impl Release {
    /// All that there are, oldest first, one of each major: this machine's own goes before.
    ///
    /// # Errors
    /// If this machine has none, or one that is there does not run.
    pub fn all() -> Result<Vec<Self>> {
        let mut releases = vec![Self::of(programs()?)?];
        let this = std::env::current_exe().context("this program's path")?;
        let fetched = this.ancestors().map(|dir| dir.join(FETCHED)).find(|dir| dir.is_dir());
        for version in fetched.iter().flat_map(std::fs::read_dir).flatten().flatten() {
            if version.path().join("bin/postgres").exists() {
                releases.push(Self::of(version.path().join("bin"))?);
            }
        }
        releases.sort_by_key(|release| release.major);
        releases.dedup_by_key(|release| release.major);
        let newest = releases.iter().rev().find(|release| release.has_own_clients());
        let newest = newest.context("no release has clients")?.clients.clone();
        for release in releases.iter_mut().filter(|release| !release.has_own_clients()) {
            release.clients.clone_from(&newest);
        }
        Ok(releases)
    }

    /// Whether it came with clients: some releases fetched are servers alone.
    #[must_use]
    pub fn has_own_clients(&self) -> bool {
        self.programs.join("psql").exists()
    }

    fn of(programs: PathBuf) -> Result<Self> {
        // Clients are run as us, who can go where they lie.
        let clients = programs.clone();
        let mut release = Self { major: 0, programs, clients, _copy: None };
        // Asked by a program of that user's: starting one, root itself still opens the way to it.
        let mut test = as_server_user("test");
        if child::capture(test.arg("-x").arg(release.programs.join("postgres")), "test").is_err() {
            release.copy()?;
        }
        let mut postgres = as_server_user(release.programs.join("postgres"));
        let banner = child::capture(postgres.arg("--version"), "postgres --version")?;
        // `postgres (PostgreSQL) 15.18 (Debian …)`
        let version = banner.split_whitespace().nth(2).unwrap_or_default();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        release.major = major.parse().with_context(|| format!("postgres prints {banner}"))?;
        Ok(release)
    }

    /// The target directory may lie where the server's user cannot go.
    fn copy(&mut self) -> Result<()> {
        let copy = tempfile::Builder::new().prefix("pg-").tempdir().context("a copy's folder")?;
        give_to_server_user(copy.path())?;
        let all = self.programs.parent().context("a release's folder")?;
        child::capture(Command::new("cp").arg("-R").arg(all.join(".")).arg(copy.path()), "cp")?;
        self.programs = copy.path().join("bin");
        self._copy = Some(copy);
        Ok(())
    }
}
