//! A restic repository. It has its own encryption and deduplication, so bundles go there as they are.

mod access;
mod backup;
pub mod snapshot;

use crate::place::restic::access::{Access, PROGRAM};
use crate::place::restic::snapshot::{Groups, Snapshot};
use anyhow::{Context, Result, anyhow, ensure};
use bundle_format::layout::SEAL;
use bundle_format::retention::policy::Policy;
use pipe_kit::child::{self, Finished};
use pipe_kit::text::hex;
use pipe_kit::{Exit, Stop, info, text};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

/// The status of restic 0.17 and later if another program holds a lock.
const LOCKED: i32 = 11;
/// The most that the seal of a bundle has, and the list of the files beside it.
const LARGEST_SEAL: u64 = 64 << 20;

/// How the report of the versions begins that repair packs only with this variable.
const UNFINISHED: (&[u8], &str) = (b"restic 0.16.", "RESTIC_FEATURES=repair-packs-v1 ");

/// A repository, and how it is reached.
pub struct Repository {
    access: Access,
    /// Bytes per second.
    max_rate: Option<u64>,
}

/// How many bytes a snapshot restores.
#[derive(serde::Deserialize)]
struct Size {
    total_size: u64,
}

impl Repository {
    /// The one of a destination; `repository` is what follows `restic:`, `own` looks a setting of the destination up.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn new(
        repository: &str,
        number: u8,
        own: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let rate = own("MAX_RATE").map(|rate| text::parse_bytes(&rate));
        let max_rate = rate.transpose().map_err(|why| format!("SHIP_{number}_MAX_RATE: {why}"))?;
        Ok(Self { access: Access::own(repository, number, own)?, max_rate })
    }

    /// One with the settings of the environment.
    ///
    /// # Errors
    /// [`Stop::usage`] if the environment has none.
    pub fn of_environment(repository: &str, password_file: Option<&Path>) -> Result<Self> {
        let access = Access::of_environment(repository, password_file)?;
        Ok(Self { access, max_rate: None })
    }

    /// Creates it, unless it is there. Returns whether it was created.
    pub fn create(&self) -> Result<bool> {
        if self.run(&["cat", "config"]).is_ok() {
            return Ok(false);
        }
        self.run(&["init"]).map(|()| true)
    }

    /// The snapshots of bundles.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.json(&["snapshots", "--no-lock", "--json", "--tag", snapshot::TAG])
    }

    /// Checks the repository: its structure, and so many percent of its data, all without a number.
    ///
    /// # Errors
    /// [`Stop::damaged`] if it is damaged; [`Stop::incomplete`] if another program uses it, which proves nothing.
    pub fn check(&self, percent: Option<u32>) -> Result<()> {
        self.unlock();
        // Versions before 0.17 do not distinguish a lock from damage.
        let is_locked = self.is_locked()?;
        let part = match percent {
            None => "--read-data".to_owned(),
            Some(percent) => format!("--read-data-subset={percent}%"),
        };
        let finished = self.finish(&["check", &part])?;
        let code = finished.status.code();
        let Err(error) = self.ended(finished) else { return Ok(()) };
        // Nor does its status distinguish damage from a repository that cannot be reached.
        self.run(&["cat", "config", "--no-lock"])?;
        if code == Some(LOCKED) || is_locked || self.is_locked()? {
            let why =
                "another program uses the repository, so it is not checked; run this again later";
            return Err(Stop::incomplete(format!("{why} ({error:#})")).into());
        }
        Err(Stop::damaged(format!("{error:#}")).into())
    }

    /// Whether any program holds a lock.
    fn is_locked(&self) -> Result<bool> {
        let locks = self.capture(&["list", "locks", "--no-lock", "--quiet"], u64::MAX)?;
        Ok(!locks.trim_ascii().is_empty())
    }

    /// What to type if it is damaged: restic stores nothing again that its index lists.
    pub fn repair(&self) -> String {
        let restic = self.access.shown();
        let is_recent = self.run(&["repair", "packs", "--help"]).is_ok();
        let version = self.capture(&["version"], u64::MAX).unwrap_or_default();
        let variable = if version.starts_with(UNFINISHED.0) { UNFINISHED.1 } else { "" };
        let commands = match is_recent {
            true => format!(
                "{restic} repair index, and {variable}{restic} repair packs ID for each pack that check --read-data names"
            ),
            false => format!(
                "remove each pack that {restic} check --read-data names, then {restic} rebuild-index"
            ),
        };
        format!("{commands}; {restic} forget ID for what is still incomplete; then ship.sh verify")
    }

    /// The SHA-256 of the seal that a snapshot has, hex.
    ///
    /// # Errors
    /// [`Stop::damaged`] if it has none; if it cannot be read, or it is not known whether it is there.
    pub fn seal_of(&self, snapshot: &Snapshot, bundle: &str) -> Result<String> {
        let path = format!("/{bundle}/{SEAL}");
        match self.capture(&["dump", "--no-lock", &snapshot.id, &path], LARGEST_SEAL) {
            Ok(bytes) => Ok(hex(&Sha256::digest(bytes))),
            Err(error) => match self.has_seal(snapshot, bundle) {
                Ok(false) => Err(Stop::damaged(format!("it has no {SEAL}")).into()),
                Ok(true) | Err(_) => Err(error.context("its seal cannot be read")),
            },
        }
    }

    /// Whether a snapshot lists a seal, which needs no data of it.
    fn has_seal(&self, snapshot: &Snapshot, bundle: &str) -> Result<bool> {
        let dir = format!("/{bundle}");
        let listing = self.capture(&["ls", "--no-lock", &snapshot.id, &dir], LARGEST_SEAL)?;
        // One that was cut off proves nothing.
        ensure!((listing.len() as u64) < LARGEST_SEAL, "the list of its files is too long");
        let path = format!("{dir}/{SEAL}");
        Ok(listing.split(|byte| *byte == b'\n').any(|line| line == path.as_bytes()))
    }

    /// The ids of the snapshots that restic's own policy would remove.
    pub fn outdated(&self, policy: Policy, domain: Option<&str>) -> Result<BTreeSet<String>> {
        let of = policy.calendar;
        let rules = [
            ("--keep-within", format!("{}d", policy.keep_days)),
            ("--keep-last", policy.keep_last.max(1).to_string()),
            ("--keep-daily", of.daily.to_string()),
            ("--keep-weekly", of.weekly.to_string()),
            ("--keep-monthly", of.monthly.to_string()),
            ("--keep-yearly", of.yearly.to_string()),
        ];
        let tags = match domain {
            Some(domain) => format!("{},{}", snapshot::TAG, snapshot::domain_tag(domain)),
            None => snapshot::TAG.to_owned(),
        };
        let mut arguments =
            vec!["forget", "--no-lock", "--dry-run", "--json", "--group-by", "", "--tag", &tags];
        let set = rules.iter().filter(|(_, number)| number != "0");
        arguments.extend(set.flat_map(|(option, number)| [*option, number.as_str()]));
        let bytes = self.capture(&arguments, u64::MAX)?;
        // It prints nothing about no snapshot.
        let groups =
            if bytes.is_empty() { Ok(Groups::new()) } else { serde_json::from_slice(&bytes) };
        let groups = groups.context("reading the report of restic forget")?;
        let removed = groups.into_iter().flat_map(|group| group.remove.unwrap_or_default());
        Ok(removed.map(|snapshot| snapshot.id).collect())
    }

    /// Removes snapshots, and the data that no other one needs.
    pub fn remove(&self, ids: &[&str]) -> Result<()> {
        self.unlock();
        self.run(&[&["forget"], ids].concat())?;
        // It ends with 0 for one that it has not found.
        let left: BTreeSet<String> = self.snapshots()?.into_iter().map(|s| s.id).collect();
        if let Some(id) = ids.iter().find(|id| left.contains(**id)) {
            return Err(anyhow!("restic forget has not removed the snapshot {id}"));
        }
        self.run(&["prune"]).context("the snapshots are removed, and their data is not")
    }

    /// How many bytes a snapshot restores.
    pub fn restore_size(&self, snapshot: &Snapshot) -> Result<u64> {
        let arguments = ["stats", "--no-lock", "--json", "--mode", "restore-size", &snapshot.id];
        Ok(self.json::<Size>(&arguments)?.total_size)
    }

    /// Restores a snapshot into a directory.
    ///
    /// # Errors
    /// [`Stop::damaged`] if it cannot be restored whole, and the repository can be read.
    pub fn restore(&self, snapshot: &Snapshot, to: &Path) -> Result<()> {
        let rate = self.kib_per_second().map(|rate| format!("--limit-download={rate}"));
        let target = format!("--target={}", to.display());
        let mut arguments = vec!["restore", "--no-lock", &target];
        arguments.extend(rate.as_deref());
        arguments.push(&snapshot.id);
        let Err(error) = self.run(&arguments) else { return Ok(()) };
        self.run(&["cat", "config"])?;
        Err(Stop::damaged(format!("{error:#}")).into())
    }

    /// Removes locks that killed runs have left. One that is in use stays.
    fn unlock(&self) {
        if let Err(error) = self.run(&["unlock"]) {
            info!("the locks of killed runs are not removed: {error:#}");
        }
    }

    fn kib_per_second(&self) -> Option<u64> {
        self.max_rate.map(|rate| (rate / 1024).max(1))
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        self.ended(self.finish(arguments)?)
    }

    fn finish(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.access.command(arguments)?;
        command.stdout(Stdio::null());
        child::spawn_captured(&mut command, PROGRAM)?.finish()
    }

    fn capture(&self, arguments: &[&str], most: u64) -> Result<Vec<u8>> {
        let mut command = self.access.command(arguments)?;
        let mut running = child::spawn_captured(command.stdout(Stdio::piped()), PROGRAM)?;
        let mut bytes = Vec::new();
        if let Some(stdout) = running.take_stdout() {
            stdout.take(most).read_to_end(&mut bytes).context("reading from restic")?;
        }
        self.ended(running.finish()?).map(|()| bytes)
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let bytes = self.capture(arguments, u64::MAX)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("reading the report of restic {}", arguments[0]))
    }

    /// The failure of restic, with the line that names it.
    fn ended(&self, finished: Finished) -> Result<()> {
        if finished.status.success() {
            return Ok(());
        }
        let lines: Vec<&String> = finished.stderr.iter().filter(|line| !line.is_empty()).collect();
        let fatal = lines.iter().find(|line| line.starts_with("Fatal: "));
        let line = fatal.or(lines.last()).map(|line| self.access.mask(line));
        let how = finished.describe(line.as_deref());
        Err(Stop::with_exit(Exit::Failed, how).into())
    }
}
