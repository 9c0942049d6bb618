//! The directory `DEPLOY/.drills`.

use super::chain::{self, FILES, Link, Newest, Stored};
use super::{markdown, page};
use anyhow::{Context, Result, anyhow, bail};
use bundle_format::report::{DRILL_FORMAT, DrillReport, PreviousDrill, RunKind, RunRecord};
use chrono::{NaiveDateTime, TimeDelta};
use pipe_kit::atomic;
use pipe_kit::mutex::lock;
use pipe_kit::{cleanup, text};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const JSON: &str = "report.json";
const NEWEST: &str = "newest.json";
const NAME: &str = "drill_%Y%m%dT%H%M%SZ";
/// No file of a report is near this size, so that a wrong one does not fill the memory.
const LONGEST: u64 = 64 << 20;
/// Seconds after a drill's start that are tried for its name.
const TRIES: i64 = 3600;

/// The reports of a deployment's drills.
#[derive(Clone, Debug)]
pub struct Reports {
    dir: PathBuf,
    /// Where the record of the last drill is.
    state: PathBuf,
}

/// A report that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its directory.
    pub dir: PathBuf,
    /// Its name and hash.
    pub newest: PreviousDrill,
}

/// What a check of all reports found.
#[derive(Clone, Debug)]
pub struct ChainReport {
    /// What is wrong, a line each, which begins with a report's name.
    pub lines: Vec<String>,
    /// Number of reports.
    pub reports: usize,
    /// The newest report. Kept elsewhere, it shows later that all before it is as it was.
    pub newest: Option<PreviousDrill>,
}

impl ChainReport {
    /// Whether no report is missing and none was changed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lines.is_empty()
    }
}

/// A report's directory, and the bytes of its `report.json` or why they cannot be read.
struct Entry {
    stored: Stored,
    json: Result<Vec<u8>, String>,
}

impl Reports {
    /// The reports of the deployment in this directory, whose record of the last drill is in `state`. Nothing is read
    /// or created yet.
    #[must_use]
    pub fn open(deploy: &Path, state: &Path) -> Self {
        Self { dir: deploy.join(".drills"), state: state.to_owned() }
    }

    /// Every readable report, oldest first. Warns of the others.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn history(&self) -> Result<Vec<DrillReport>> {
        Ok(history_of(&self.entries()?))
    }

    /// Checks that no report is missing and that none was changed.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn verify(&self) -> Result<ChainReport> {
        // Before the reports: a drill that ends meanwhile writes its report first.
        let (recorded, newest) = (self.recorded(), self.newest());
        let entries = self.entries()?;
        let stored: Vec<&Stored> = entries.iter().map(|e| &e.stored).collect();
        let hash = |name: &str, file: &str| {
            read_file(&self.dir.join(name).join(file)).ok().map(|bytes| sha256(&bytes))
        };
        let last = stored
            .last()
            .and_then(|s| Some(PreviousDrill { drill: s.name.clone(), sha256: s.sha256.clone()? }));
        let lines = chain::findings(&stored, &newest, &recorded, hash);
        Ok(ChainReport { lines, reports: stored.len(), newest: last })
    }

    /// Writes a report, whose directory appears whole or not at all. Sets the report's `drill`, `previous` and
    /// `files`.
    ///
    /// The caller holds the lock of drills. A signal that arrives meanwhile ends the process when the report is
    /// written.
    ///
    /// # Errors
    /// If the directory cannot be read or written to.
    pub fn write(&self, report: &mut DrillReport) -> Result<Written> {
        let writing = Arc::new(Mutex::new(()));
        // Declared first, so that it is dropped last: if it ran on this thread, it would wait for this thread.
        let guard;
        let held = lock(&writing);
        let waited = Arc::clone(&writing);
        guard = cleanup::on_failure(move || drop(lock(&waited)));
        let written = self.write_next(report);
        drop(held);
        guard.disarm();
        written
    }

    fn write_next(&self, report: &mut DrillReport) -> Result<Written> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(e).with_context(|| format!("creating {}", self.dir.display()));
            }
            _ => {}
        }
        self.remove_leftovers()?;
        let newest = self.newest();
        if let Newest::Unreadable(reason) = &newest {
            pipe_kit::warning!("cannot read {}: {reason}", self.dir.join(NEWEST).display());
        }
        let entries = self.entries()?;
        let stored: Vec<&Stored> = entries.iter().map(|e| &e.stored).collect();
        report.previous = chain::before_next(&stored, &newest, &self.recorded());
        let before = history_of(&entries);
        for later in 0..TRIES {
            let time = report.started + TimeDelta::seconds(later);
            report.drill = time.format(NAME).to_string();
            let dir = self.dir.join(&report.drill);
            if dir.symlink_metadata().is_err()
                && let Some(sha256) = self.publish(report, &before)?
            {
                let newest = PreviousDrill { drill: report.drill.clone(), sha256 };
                self.note_newest(&newest).with_context(|| {
                    format!(
                        "the report is complete in {}, but is not noted as the newest",
                        dir.display()
                    )
                })?;
                return Ok(Written { dir, newest });
            }
        }
        bail!("{} has a report for each second after {}", self.dir.display(), report.started)
    }

    /// Removes what killed drills left of reports that they were writing.
    fn remove_leftovers(&self) -> Result<()> {
        atomic::remove_leftovers(&self.dir)?;
        for name in self.names()? {
            if name.strip_prefix('.').and_then(|n| n.strip_suffix(".partial")).is_some_and(is_name)
            {
                let path = self.dir.join(name);
                std::fs::remove_dir_all(&path)
                    .with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes the files under a temporary name and renames their directory. Returns the SHA-256 of `report.json`;
    /// nothing if the name was taken meanwhile.
    fn publish(&self, report: &mut DrillReport, before: &[DrillReport]) -> Result<Option<String>> {
        let texts = [markdown::render(report), page::render(report, before)];
        let hashes = texts.iter().map(|text| sha256(text.as_bytes()));
        report.files = FILES.iter().map(|f| (*f).to_owned()).zip(hashes).collect();
        let mut json = serde_json::to_vec_pretty(report).context("writing the report as JSON")?;
        json.push(b'\n');
        let partial = self.dir.join(format!(".{}.partial", report.drill));
        let target = self.dir.join(&report.drill);
        let written = DirBuilder::new()
            .mode(0o700)
            .create(&partial)
            .with_context(|| format!("creating {}", partial.display()))
            .and_then(|()| {
                for (name, text) in FILES.iter().zip(&texts) {
                    write_file(&partial.join(name), text.as_bytes())?;
                }
                write_file(&partial.join(JSON), &json)?;
                atomic::sync_directory(&partial)
            })
            .and_then(|()| match atomic::rename_new(CWD, &partial, &target) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(e) => Err(e).with_context(|| format!("renaming to {}", target.display())),
            });
        if !matches!(written, Ok(true)) {
            let _ = std::fs::remove_dir_all(&partial);
        }
        if !written? {
            return Ok(None);
        }
        atomic::sync_directory(&self.dir)?;
        Ok(Some(sha256(&json)))
    }

    fn note_newest(&self, newest: &PreviousDrill) -> Result<()> {
        let path = self.dir.join(NEWEST);
        let text = serde_json::to_string(newest).context("writing its name as JSON")? + "\n";
        // No `AtomicFile`: a signal lets this thread create none, but waits for it here.
        let new = self.dir.join(format!("{}{NEWEST}", atomic::PREFIX));
        let renamed = write_file(&new, text.as_bytes()).and_then(|()| {
            std::fs::rename(&new, &path).with_context(|| format!("renaming to {}", path.display()))
        });
        if renamed.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        renamed?;
        atomic::sync_directory(&self.dir)
    }

    /// The newest report by the record of the last drill.
    fn recorded(&self) -> Newest {
        let read = read_file(&self.state.join(RunKind::Drill.record_name()));
        let bytes = match read {
            Err(e) if e.downcast_ref() == Some(&Errno::NOENT) => return Newest::Missing,
            Err(e) => return Newest::Unreadable(format!("{e:#}")),
            Ok(bytes) => bytes,
        };
        match serde_json::from_slice::<RunRecord>(&bytes) {
            Ok(run) => {
                let named = run.drill.and_then(|drill| drill.newest_report);
                named.map_or(Newest::Missing, Newest::Names)
            }
            Err(e) => Newest::Unreadable(e.to_string()),
        }
    }

    fn newest(&self) -> Newest {
        let path = self.dir.join(NEWEST);
        if path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            return Newest::Missing;
        }
        let read = read_file(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        read.map_or_else(|e| Newest::Unreadable(format!("{e:#}")), Newest::Names)
    }

    /// The reports' directories, oldest first.
    fn entries(&self) -> Result<Vec<Entry>> {
        let names = self.names()?.into_iter().filter(|name| is_name(name));
        Ok(chain::in_order(names.map(|name| self.entry(name)).collect(), |e: &Entry| &e.stored))
    }

    fn entry(&self, name: String) -> Entry {
        let json = read_file(&self.dir.join(&name).join(JSON));
        let json = json.map_err(|e| format!("{JSON}: {e:#}"));
        let link = json.as_ref().map_err(Clone::clone).and_then(|bytes| {
            serde_json::from_slice::<Link>(bytes).map_err(|e| format!("{JSON}: {e}"))
        });
        let sha256 = json.as_ref().ok().map(|bytes| sha256(bytes));
        Entry { stored: Stored { name, sha256, link }, json }
    }

    fn names(&self) -> Result<Vec<String>> {
        let context = || format!("reading {}", self.dir.display());
        let entries = match std::fs::read_dir(&self.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(context)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.with_context(context)?.file_name().into_string());
        }
        Ok(names)
    }
}

fn history_of(entries: &[Entry]) -> Vec<DrillReport> {
    let readable = |entry: &Entry| match read_report(&entry.json) {
        Ok(report) => Some(report),
        Err(reason) => {
            let name = &entry.stored.name;
            pipe_kit::warning!("the drill report {name} is left out: {}", text::one_line(&reason));
            None
        }
    };
    entries.iter().filter_map(readable).collect()
}

fn read_report(json: &Result<Vec<u8>, String>) -> Result<DrillReport, String> {
    let bytes = json.as_ref().map_err(Clone::clone)?;
    let report: DrillReport = serde_json::from_slice(bytes).map_err(|e| format!("{JSON}: {e}"))?;
    if report.format > DRILL_FORMAT {
        return Err(format!("{JSON}: format {} is newer than {DRILL_FORMAT}", report.format));
    }
    Ok(report)
}

/// Whether this is the name of a report's directory.
fn is_name(name: &str) -> bool {
    let time = NaiveDateTime::parse_from_str(name, NAME);
    time.is_ok_and(|time| time.format(NAME).to_string() == name)
}

fn sha256(bytes: &[u8]) -> String {
    text::hex(&Sha256::digest(bytes))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.with_context(|| format!("writing {}", path.display()))
}

/// Reads a regular file; it follows no link and waits for no pipe's writer.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(anyhow!("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(anyhow!("longer than {}", text::size(LONGEST)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
