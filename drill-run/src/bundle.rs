//! The bundle that is restored: which one, what its manifest has, and the lock that keeps it from being pruned.

use crate::settings::Settings;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::domain::UNKNOWN;
use bundle_format::layout;
use bundle_format::manifest::{self, Parsed};
use bundle_format::report::{ComponentBytes, DrilledBundle, ListedBundle, Listing};
use chrono::{DateTime, TimeDelta, Utc};
use pipe_kit::Stop;
use pipe_kit::text::{hex, one_line};
use pipe_kit::tool::Tool;
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A random bundle is older than this.
const OLD: TimeDelta = TimeDelta::days(7);

/// Which bundle to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Given(PathBuf),
    /// The newest of the root.
    Newest,
    /// Any good one that is older than a week.
    Random,
}

/// The bundles of this deployment, newest first; none where there is no root.
///
/// # Errors
/// If they cannot be listed.
pub fn list(settings: &Settings) -> Result<Listing> {
    if !settings.root.is_dir() {
        return Ok(Listing::default());
    }
    list_tool(settings).json().context("listing the bundles")
}

/// The command that lists them.
pub fn list_tool(settings: &Settings) -> Tool {
    let domain = (!settings.domain.is_empty()).then_some(["--domain", &settings.domain]);
    Tool::new("bundle-manifest")
        .args(["list", "--quiet", "--json"])
        .args(domain.into_iter().flatten())
        .arg(&settings.root)
}

/// Chooses a bundle. `random` is any number.
///
/// # Errors
/// [`Stop::refused`] if there is none.
pub fn choose(
    choice: &Choice,
    listing: &Listing,
    now: DateTime<Utc>,
    random: usize,
) -> Result<PathBuf> {
    let is_ahead = |bundle: &&ListedBundle| !listing.ahead.contains(&bundle.name);
    let newest = || listing.bundles.iter().find(is_ahead).or(listing.bundles.first());
    let found = match choice {
        Choice::Given(dir) => return Ok(dir.clone()),
        Choice::Newest => newest(),
        Choice::Random => {
            let is_old = |b: &&ListedBundle| b.state.is_good() && now - b.timestamp > OLD;
            let old: Vec<_> = listing.bundles.iter().filter(is_old).collect();
            if old.is_empty() { newest() } else { Some(old[random % old.len()]) }
        }
    };
    found.map(|bundle| PathBuf::from(&bundle.path)).ok_or_else(|| {
        let root = &listing.root;
        let there = if root.is_empty() { String::new() } else { format!(" in {root}") };
        Stop::refused(format!(
            "there is no bundle of this deployment{there}; nothing was done; bash scripts/backup.sh makes one"
        ))
        .into()
    })
}

/// A bundle's directory, locked against removal. Not yet validated.
#[derive(Debug)]
pub struct Bundle {
    /// Absolute.
    pub dir: PathBuf,
    /// The directory's name.
    pub name: String,
    /// When it was taken, by its name.
    pub taken: Option<DateTime<Utc>>,
    /// What could be read of its manifest.
    pub manifest: Parsed,
    /// The version of the database's server, by the manifest.
    pub postgres: Option<String>,
    /// The SHA-256 of its seal.
    pub seal: Option<String>,
    _lock: File,
}

impl Bundle {
    /// Opens a bundle, and locks its directory, so that `bundle-prune` keeps it.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is no directory; [`Stop::refused`] if it is being removed.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().ok().filter(|dir| dir.is_dir()).ok_or_else(|| {
            Stop::usage(format!(
                "there is no bundle {}; restore.sh without an argument lists the bundles",
                dir.display()
            ))
        })?;
        let lock = lock(&dir)?;
        let text = read_regular(&dir.join(layout::MANIFEST))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let seal = read_regular(&dir.join(layout::SEAL))?;
        let name = dir.file_name().unwrap_or_default().to_owned();
        Ok(Self {
            taken: BundleName::parse(&name).map(|name| name.taken()),
            name: one_line(&name.to_string_lossy()),
            manifest: Parsed::read(&text),
            postgres: manifest::value(&text, "Postgres").map(str::to_owned),
            seal: seal.map(|bytes| hex(&Sha256::digest(bytes))),
            dir,
            _lock: lock,
        })
    }

    /// `database.sql.gz`
    pub fn dump(&self) -> PathBuf {
        self.dir.join(layout::DATABASE)
    }

    /// `minio/.obj-mirror/index.jsonl`, where the bundle has one.
    pub fn mirror_index(&self) -> Option<PathBuf> {
        Some(self.dir.join(layout::MIRROR_INDEX)).filter(|index| index.is_file())
    }

    /// `config.tar.gz`, where the bundle has one: those of the older script have none.
    pub fn config(&self) -> Option<PathBuf> {
        Some(self.dir.join(layout::CONFIG)).filter(|archive| archive.is_file())
    }

    /// What a manifest has, or that it is not known.
    pub fn version(&self) -> String {
        one_line(self.manifest.version.as_deref().unwrap_or(UNKNOWN))
    }

    /// The deployment's domain, or that it is not known.
    pub fn domain(&self) -> String {
        one_line(self.manifest.domain.as_deref().unwrap_or(UNKNOWN))
    }

    /// The major version of the database's server, by the manifest.
    pub fn major(&self) -> Option<u32> {
        self.postgres.as_deref().and_then(major_of)
    }

    /// The sizes of its components, by the manifest.
    pub fn bytes(&self) -> ComponentBytes {
        let Parsed { database, objects, config, .. } = &self.manifest;
        let objects = objects.flatten().map(|extent| extent.bytes);
        ComponentBytes { database: *database, objects, config: *config }
    }

    /// For the report.
    pub fn described(&self) -> DrilledBundle {
        let extent = self.manifest.objects.flatten();
        DrilledBundle {
            name: self.name.clone(),
            path: self.dir.to_string_lossy().into_owned(),
            taken: self.taken,
            domain: self.domain(),
            version: self.version(),
            seal: self.seal.clone(),
            database_bytes: self.manifest.database,
            objects_bytes: extent.map(|extent| extent.bytes),
            objects: extent.map(|extent| extent.objects),
            config_bytes: self.manifest.config,
        }
    }
}

/// The major of a server's version: `15` of `15.18 (Debian …)`.
pub fn major_of(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Locks a bundle's directory together with other readers. A filesystem without such locks is no reason to refuse.
fn lock(dir: &Path) -> Result<File> {
    let opened = File::open(dir).with_context(|| format!("opening {}", dir.display()))?;
    let is_removed = match opened.try_lock_shared() {
        Err(TryLockError::WouldBlock) => true,
        Ok(()) | Err(TryLockError::Error(_)) => {
            let own = opened.metadata().with_context(|| format!("reading {}", dir.display()))?;
            dir.metadata()
                .map_or(true, |named| (named.dev(), named.ino()) != (own.dev(), own.ino()))
        }
    };
    if is_removed {
        let dir = dir.display();
        return Err(Stop::refused(format!(
            "{dir} is being removed by bundle-prune; nothing was done; name another bundle"
        ))
        .into());
    }
    Ok(opened)
}

/// A file's content; none if it is missing or no regular file. Reading a pipe in its place could wait without end.
fn read_regular(path: &Path) -> Result<Option<Vec<u8>>> {
    match path.metadata() {
        Ok(found) if found.is_file() => {
            std::fs::read(path).map(Some).with_context(|| format!("reading {}", path.display()))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::BundleState;

    fn listed(name: &str, state: BundleState) -> ListedBundle {
        let read = BundleName::parse(name.as_ref()).unwrap();
        let path = format!("/b/{name}");
        ListedBundle {
            name: name.to_owned(),
            path,
            timestamp: read.taken(),
            state,
            ..ListedBundle::default()
        }
    }

    fn listing() -> Listing {
        use BundleState::{Damaged, Intact, Unsealed};
        let bundles = vec![
            listed("piprio_20270101T000000Z", Intact),
            listed("piprio_20260421T020000Z", Intact),
            listed("piprio_20260410T020000Z", Damaged),
            listed("piprio_20260409T020000Z", Intact),
            listed("piprio_20260408T020000Z", Unsealed),
        ];
        let ahead = vec!["piprio_20270101T000000Z".to_owned()];
        Listing { root: "/b".into(), bundles, ahead, ..Listing::default() }
    }

    fn chosen(choice: &Choice, listing: &Listing, random: usize) -> Result<String> {
        let now = "2026-04-21T03:00:00Z".parse().unwrap();
        Ok(choose(choice, listing, now, random)?.to_string_lossy().into_owned())
    }

    #[test]
    fn the_newest_is_not_one_of_the_future_and_a_random_one_is_old_and_good() {
        let all = listing();
        assert_eq!(chosen(&Choice::Newest, &all, 0).unwrap(), "/b/piprio_20260421T020000Z");
        let random: Vec<String> =
            (0..3).map(|n| chosen(&Choice::Random, &all, n).unwrap()).collect();
        let (one, other) = ("/b/piprio_20260409T020000Z", "/b/piprio_20260408T020000Z");
        assert_eq!(random, [one, other, one]);
        let young = Listing { bundles: all.bundles[..3].to_vec(), ..all.clone() };
        assert_eq!(chosen(&Choice::Random, &young, 5).unwrap(), "/b/piprio_20260421T020000Z");
        let given = Choice::Given("/elsewhere".into());
        assert_eq!(chosen(&given, &Listing::default(), 0).unwrap(), "/elsewhere");
        for choice in [Choice::Newest, Choice::Random] {
            let error = chosen(&choice, &Listing::default(), 0).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        }
    }

    #[test]
    fn an_open_bundle_cannot_be_locked_by_who_would_remove_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("SHA256SUMS"), "x").unwrap();
        let bundle = Bundle::open(dir.path()).unwrap();
        let other = Bundle::open(dir.path()).unwrap();
        let remover = File::open(dir.path()).unwrap();
        assert!(remover.try_lock().is_err());
        assert_eq!(bundle.seal, other.seal);
        drop((bundle, other));
        remover.try_lock().unwrap();
        let error = Bundle::open(dir.path()).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
        let error = Bundle::open(&dir.path().join("absent")).unwrap_err();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
    }

    #[test]
    fn majors_are_read_of_any_version() {
        for (version, major) in
            [("15.18 (Debian 15.18-0)", Some(15)), ("18beta1", Some(18)), ("x", None)]
        {
            assert_eq!(major_of(version), major, "{version}");
        }
    }
}
