//! `extract`: what the archive holds, back on disk.

use crate::accounts::Accounts;
use crate::archive::{self, Archive};
use crate::cli;
use crate::disk::{Disk, Location, Walked};
use crate::entry::Kind;
use crate::names;
use crate::plan::{self, Action, Change, Step};
use crate::rel_path::RelPath;
use crate::rights::Rights;
use crate::select::Selection;
use crate::swap::{Kept, Temp, keep, rename_new};
use anyhow::{Context, Result, anyhow, bail};
use bundle_format::report::PlannedFile;
use chrono::{DateTime, Utc};
use pipe_kit::mutex::lock;
use pipe_kit::{Exit, cleanup};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

/// Runs `extract`.
pub fn run(args: &cli::Extract) -> Result<Exit> {
    let selection = Selection::new(&args.paths, &args.chosen.optional)?;
    let mut disk = Disk::open(&args.chosen.root)?;
    let archive = archive::read(pipe_kit::input::stdin()?)?;
    let missing = selection.missing(|path| archive.holds(path));
    if let Some(path) = missing.first() {
        bail!("{path} is not in the archive; nothing was changed (cfg-pack list shows what is)");
    }
    let accounts = Accounts::here();
    let chosen = selection.choose(&archive.entries);
    let steps = plan::plan(&archive, chosen, &mut disk, &accounts)?;
    if args.dry_run {
        return report(&steps, args.json);
    }
    extract(&archive, &disk, &steps, &accounts)?;
    Ok(Exit::Done)
}

fn report(steps: &[Step<'_>], json: bool) -> Result<Exit> {
    let word = |step: &Step<'_>| match &step.action {
        Action::Leave => None,
        Action::Adjust(change) => Some(match &change.rights {
            Some(to) if to.is_extended() || change.here.is_extended() => "set the ACL of",
            Some(_) => "set the mode of",
            None => "set the attributes of",
        }),
        Action::Create => Some("create"),
        Action::Replace { .. } => Some("replace"),
    };
    let planned = steps.iter().filter_map(|step| {
        word(step).map(|action| PlannedFile {
            path: step.chosen.path.to_string(),
            action: action.to_owned(),
        })
    });
    let planned: Vec<PlannedFile> = planned.collect();
    let mut text = String::new();
    if json {
        text = serde_json::to_string_pretty(&planned).context("writing JSON")? + "\n";
    } else {
        for one in &planned {
            let _ = writeln!(text, "would {} {}", one.action, one.path);
        }
    }
    pipe_kit::output::print(&text)?;
    pipe_kit::info!(
        "{} of {} entries would change; nothing was changed",
        planned.len(),
        steps.len()
    );
    Ok(Exit::Done)
}

/// What was done so far, for the operator of a run that fails half way.
#[derive(Default)]
struct Journal {
    done: Vec<String>,
}

fn extract(archive: &Archive, disk: &Disk, steps: &[Step<'_>], accounts: &Accounts) -> Result<()> {
    let journal = Arc::new(Mutex::new(Journal::default()));
    let at_failure = Arc::clone(&journal);
    let guard = cleanup::on_failure(move || {
        let journal = lock(&at_failure);
        if journal.done.is_empty() {
            pipe_kit::log::line(format_args!("nothing was changed"));
        } else {
            let done = journal.done.join("; ");
            pipe_kit::log::line(format_args!(
                "interrupted; already done: {done}; everything else is unchanged"
            ));
        }
    });
    let rights = Rights::of_process(accounts);
    let run = Run { archive, disk, rights, now: Utc::now(), journal };
    run.remove_leftovers(steps)?;
    for step in steps {
        run.step(step)?;
    }
    run.finish_directories(steps)?;
    run.sync_directories(steps)?;
    guard.disarm();
    run.rights.report();
    let count = |wanted: fn(&Action) -> bool| steps.iter().filter(|s| wanted(&s.action)).count();
    pipe_kit::info!(
        "{} created, {} replaced, {} unchanged",
        count(|a| *a == Action::Create),
        count(|a| matches!(a, Action::Replace { .. })),
        count(|a| matches!(a, Action::Leave | Action::Adjust(_))),
    );
    Ok(())
}

struct Run<'r> {
    archive: &'r Archive,
    disk: &'r Disk,
    rights: Rights<'r>,
    now: DateTime<Utc>,
    journal: Arc<Mutex<Journal>>,
}

impl Run<'_> {
    fn step(&self, step: &Step<'_>) -> Result<()> {
        let path = &step.chosen.path;
        match (&step.action, step.chosen.kind()) {
            // A directory's mode comes last: it may forbid to write into it.
            (Action::Leave, _) | (Action::Adjust(_), Kind::Dir) => Ok(()),
            (Action::Adjust(change), _) => self.adjust(step, change, &self.location(path)?),
            (_, Kind::Dir) => self.make_dir(step, &self.location(path)?),
            (_, Kind::File { offset, size }) => {
                let location = self.location(path)?;
                let temp = self.begin(|_| Temp::file(&location))?;
                self.fill(step, &location, &temp, *offset, *size)
                    .with_context(|| format!("writing {}", location.shown()))?;
                self.move_into_place(step, &location, temp)
            }
            (_, Kind::Link(target)) => {
                let location = self.location(path)?;
                let temp = self.begin(|_| Temp::link(&location, target))?;
                self.set_link_owner_and_time(step, &temp)
                    .with_context(|| format!("writing the link {}", location.shown()))?;
                self.move_into_place(step, &location, temp)
            }
        }
    }

    fn location(&self, path: &RelPath) -> Result<Location> {
        match self.disk.walk(path, None)? {
            Walked::At(location) => Ok(location),
            Walked::Missing => bail!("the directory of {path} has disappeared"),
            Walked::Blocked(at) => bail!("{at} changed during the run"),
        }
    }

    /// Holds the journal while something is begun that a signal must find whole or not at all, and
    /// begins nothing once one came: the signal's own undoing ends with the journal.
    fn begin<T>(&self, begin: impl FnOnce(&mut Journal) -> Result<T>) -> Result<T> {
        let mut journal = lock(&self.journal);
        if cleanup::signal().is_some() {
            bail!("ended by a signal");
        }
        begin(&mut journal)
    }

    /// Makes one change and notes it.
    fn change(&self, change: impl FnOnce() -> Result<String>) -> Result<()> {
        self.begin(|journal| {
            let done = change()?;
            pipe_kit::info!("{done}");
            journal.done.push(done);
            Ok(())
        })
    }

    fn fill(
        &self,
        step: &Step<'_>,
        location: &Location,
        temp: &Temp,
        offset: u64,
        size: u64,
    ) -> Result<()> {
        let mut file = temp.file.as_ref().context("a temporary file")?;
        self.rights.strip(file, &directory(&step.chosen.path), false)?;
        io::copy(&mut self.archive.content(offset, size), &mut file)?;
        self.rights.apply_to_new(file, step, &location.shown())?;
        rustix::fs::futimens(file, &times(step))?;
        file.sync_all()?;
        Ok(())
    }

    fn set_link_owner_and_time(&self, step: &Step<'_>, temp: &Temp) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        // Nobody reads a link by its owner.
        if let (Some(uid), gid) = self.rights.owner(step) {
            rustix::fs::chownat(&*temp.dir, temp.name.as_slice(), Some(uid), gid, flags)?;
        }
        rustix::fs::utimensat(&*temp.dir, temp.name.as_slice(), &times(step), flags)?;
        Ok(())
    }

    /// Brings what was written under a temporary name to its own.
    fn move_into_place(&self, step: &Step<'_>, location: &Location, temp: Temp) -> Result<()> {
        self.change(|| {
            let what = || format!("putting {} in its place", location.shown());
            let Action::Replace { was, .. } = &step.action else {
                rename_new(&location.dir, &temp.name, &location.name).with_context(what)?;
                return Ok(format!("created {}", location.shown()));
            };
            let kept = keep(location, self.now, was != "a directory")?;
            if let Err(error) = rustix::fs::renameat(
                &location.dir,
                temp.name.as_slice(),
                &location.dir,
                location.name.as_slice(),
            ) {
                kept.undo(location);
                return Err(anyhow!(error).context(what()));
            }
            Ok(replaced(location, &kept))
        })?;
        temp.guard.disarm();
        Ok(())
    }

    fn make_dir(&self, step: &Step<'_>, location: &Location) -> Result<()> {
        self.change(|| {
            let make = || {
                rustix::fs::mkdirat(&location.dir, location.name.as_slice(), Mode::RWXU)
                    .with_context(|| format!("making the directory {}", location.shown()))
            };
            if !matches!(step.action, Action::Replace { .. }) {
                make()?;
                return Ok(format!("created {}/", location.shown()));
            }
            let kept = keep(location, self.now, false)?;
            make().inspect_err(|_| kept.undo(location))?;
            Ok(replaced(location, &kept))
        })?;
        self.rights
            .strip(location.open_dir()?, &directory(&step.chosen.path), true)
            .with_context(|| format!("setting the rights of {}", location.shown()))
    }

    fn adjust(&self, step: &Step<'_>, change: &Change, location: &Location) -> Result<()> {
        let what = || format!("setting the mode of {}", location.shown());
        let Some(entry) = step.chosen.entry else { return Ok(()) };
        self.change(|| {
            let (fd, keep): (OwnedFd, u32) = if matches!(step.chosen.kind(), Kind::Dir) {
                // The group of new files in it is the deployment's affair.
                let dir = location.open_dir()?;
                let keep = rustix::fs::fstat(&dir).with_context(what)?.st_mode & 0o7000;
                (dir, keep)
            } else {
                let file = location.read(false).with_context(what)?;
                (
                    file.with_context(|| format!("{} is no longer a file", location.shown()))?
                        .into(),
                    0,
                )
            };
            self.rights.change(fd, change, keep, entry, &location.shown()).with_context(what)?;
            Ok(changed(change, location))
        })
    }

    /// Gives directories their modes and times, the innermost first.
    fn finish_directories(&self, steps: &[Step<'_>]) -> Result<()> {
        for step in steps.iter().rev().filter(|s| matches!(s.chosen.kind(), Kind::Dir)) {
            match &step.action {
                Action::Leave => {}
                Action::Adjust(change) => {
                    self.adjust(step, change, &self.location(&step.chosen.path)?)?;
                }
                Action::Create | Action::Replace { .. } => {
                    let location = self.location(&step.chosen.path)?;
                    let what = || format!("setting the mode of {}", location.shown());
                    let dir = location.open_dir()?;
                    self.rights.apply_to_new(&dir, step, &location.shown()).with_context(what)?;
                    rustix::fs::futimens(&dir, &times(step)).with_context(what)?;
                    rustix::fs::fsync(&dir).with_context(what)?;
                }
            }
        }
        Ok(())
    }

    fn sync_directories(&self, steps: &[Step<'_>]) -> Result<()> {
        for location in self.directories(steps.iter().filter(|step| step.action != Action::Leave)) {
            rustix::fs::fsync(&location.dir)
                .with_context(|| format!("syncing the directory of {}", location.shown()))?;
        }
        Ok(())
    }

    /// What a killed run has left half-written may be half a secret, and nobody would look for it.
    fn remove_leftovers(&self, steps: &[Step<'_>]) -> Result<()> {
        for location in self.directories(steps.iter()) {
            let what = || format!("removing leftovers beside {}", location.shown());
            for entry in rustix::fs::Dir::read_from(&location.dir).with_context(what)? {
                let entry = entry.with_context(what)?;
                if names::is_leftover(entry.file_name().to_bytes()) {
                    rustix::fs::unlinkat(&location.dir, entry.file_name(), AtFlags::empty())
                        .with_context(what)?;
                }
            }
        }
        Ok(())
    }

    /// A location in each of the directories that steps lie in, as far as they are there.
    fn directories<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>) -> Vec<Location> {
        let (mut seen, mut locations) = (BTreeSet::new(), Vec::new());
        for step in steps {
            // A first-level name may lie anywhere; those are few.
            let parent = step.chosen.path.parent();
            if parent.as_ref().is_none_or(|parent| seen.insert(parent.clone())) {
                locations.extend(self.location(&step.chosen.path));
            }
        }
        locations
    }
}

fn times(step: &Step<'_>) -> Timestamps {
    let seconds =
        step.chosen.entry.map_or_else(|| Utc::now().timestamp(), |e| e.mtime.cast_signed());
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// What a directory's default list is called by.
fn directory(path: &RelPath) -> String {
    path.parent().map_or_else(|| ".".to_owned(), |parent| parent.to_string())
}

fn changed(change: &Change, location: &Location) -> String {
    let shown = location.shown();
    match &change.rights {
        Some(to) if to.is_extended() || change.here.is_extended() => {
            format!("changed the ACL of {shown}")
        }
        Some(to) => format!(
            "changed the mode of {shown} from {:04o} to {:04o}",
            change.here.mode() | change.special,
            to.mode()
        ),
        None => format!("changed the attributes of {shown}"),
    }
}

fn replaced(location: &Location, kept: &Kept) -> String {
    format!("replaced {}, the old one is {}", location.shown(), location.shown_beside(kept.name()))
}
