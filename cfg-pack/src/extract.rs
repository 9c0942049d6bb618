//! `extract`: what the archive holds, back on disk.

use crate::accounts::Accounts;
use crate::archive::{self, Archive, Kind};
use crate::cli;
use crate::disk::{Disk, Spot, Walked};
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
    pipe_kit::say!(
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
    let told = Arc::clone(&journal);
    let guard = cleanup::on_failure(move || {
        let journal = lock(&told);
        if journal.done.is_empty() {
            pipe_kit::log::line(format_args!("nothing was changed"));
        } else {
            let done = journal.done.join("; ");
            pipe_kit::log::line(format_args!(
                "stopped half way; done already: {done}; all else is as it was"
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
    pipe_kit::say!(
        "{} created, {} replaced, {} as they were",
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
            (Action::Adjust(change), _) => self.adjust(step, change, &self.spot(path)?),
            (_, Kind::Dir) => self.make_dir(step, &self.spot(path)?),
            (_, Kind::File { offset, size }) => {
                let spot = self.spot(path)?;
                let temp = self.begin(|_| Temp::file(&spot))?;
                self.fill(step, &spot, &temp, *offset, *size)
                    .with_context(|| format!("writing {}", spot.shown()))?;
                self.put(step, &spot, temp)
            }
            (_, Kind::Link(target)) => {
                let spot = self.spot(path)?;
                let temp = self.begin(|_| Temp::link(&spot, target))?;
                self.dress_link(step, &temp)
                    .with_context(|| format!("writing the link {}", spot.shown()))?;
                self.put(step, &spot, temp)
            }
        }
    }

    fn spot(&self, path: &RelPath) -> Result<Spot> {
        match self.disk.walk(path, None)? {
            Walked::Here(spot) => Ok(spot),
            Walked::Missing => bail!("the directory of {path} went away meanwhile"),
            Walked::Blocked(at) => bail!("{at} was made something else meanwhile"),
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
            pipe_kit::say!("{done}");
            journal.done.push(done);
            Ok(())
        })
    }

    fn fill(
        &self,
        step: &Step<'_>,
        spot: &Spot,
        temp: &Temp,
        offset: u64,
        size: u64,
    ) -> Result<()> {
        let mut file = temp.file.as_ref().context("a temporary file")?;
        self.rights.strip(file, &directory(&step.chosen.path), false)?;
        io::copy(&mut self.archive.content(offset, size), &mut file)?;
        self.rights.dress(file, step, &spot.shown())?;
        rustix::fs::futimens(file, &times(step))?;
        file.sync_all()?;
        Ok(())
    }

    fn dress_link(&self, step: &Step<'_>, temp: &Temp) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        // Nobody reads a link by its owner.
        if let (Some(uid), gid) = self.rights.owner(step) {
            rustix::fs::chownat(&*temp.dir, temp.name.as_slice(), Some(uid), gid, flags)?;
        }
        rustix::fs::utimensat(&*temp.dir, temp.name.as_slice(), &times(step), flags)?;
        Ok(())
    }

    /// Brings what was written under a temporary name to its own.
    fn put(&self, step: &Step<'_>, spot: &Spot, temp: Temp) -> Result<()> {
        self.change(|| {
            let what = || format!("putting {} in its place", spot.shown());
            let Action::Replace { was, .. } = &step.action else {
                rename_new(&spot.dir, &temp.name, &spot.name).with_context(what)?;
                return Ok(format!("created {}", spot.shown()));
            };
            let kept = keep(spot, self.now, was != "a directory")?;
            if let Err(error) = rustix::fs::renameat(
                &spot.dir,
                temp.name.as_slice(),
                &spot.dir,
                spot.name.as_slice(),
            ) {
                kept.undo(spot);
                return Err(anyhow!(error).context(what()));
            }
            Ok(replaced(spot, &kept))
        })?;
        temp.guard.disarm();
        Ok(())
    }

    fn make_dir(&self, step: &Step<'_>, spot: &Spot) -> Result<()> {
        self.change(|| {
            let make = || {
                rustix::fs::mkdirat(&spot.dir, spot.name.as_slice(), Mode::RWXU)
                    .with_context(|| format!("making the directory {}", spot.shown()))
            };
            if !matches!(step.action, Action::Replace { .. }) {
                make()?;
                return Ok(format!("created {}/", spot.shown()));
            }
            let kept = keep(spot, self.now, false)?;
            make().inspect_err(|_| kept.undo(spot))?;
            Ok(replaced(spot, &kept))
        })?;
        self.rights
            .strip(spot.open_dir()?, &directory(&step.chosen.path), true)
            .with_context(|| format!("setting the rights of {}", spot.shown()))
    }

    fn adjust(&self, step: &Step<'_>, change: &Change, spot: &Spot) -> Result<()> {
        let what = || format!("setting the mode of {}", spot.shown());
        let Some(entry) = step.chosen.entry else { return Ok(()) };
        self.change(|| {
            let (fd, keep): (OwnedFd, u32) = if matches!(step.chosen.kind(), Kind::Dir) {
                // The group of new files in it is the deployment's affair.
                let dir = spot.open_dir()?;
                let keep = rustix::fs::fstat(&dir).with_context(what)?.st_mode & 0o7000;
                (dir, keep)
            } else {
                let file = spot.read(false).with_context(what)?;
                (file.with_context(|| format!("{} is no file any more", spot.shown()))?.into(), 0)
            };
            self.rights.change(fd, change, keep, entry, &spot.shown()).with_context(what)?;
            Ok(changed(change, spot))
        })
    }

    /// Gives directories their modes and times, the innermost first.
    fn finish_directories(&self, steps: &[Step<'_>]) -> Result<()> {
        for step in steps.iter().rev().filter(|s| matches!(s.chosen.kind(), Kind::Dir)) {
            match &step.action {
                Action::Leave => {}
                Action::Adjust(change) => {
                    self.adjust(step, change, &self.spot(&step.chosen.path)?)?;
                }
                Action::Create | Action::Replace { .. } => {
                    let spot = self.spot(&step.chosen.path)?;
                    let what = || format!("setting the mode of {}", spot.shown());
                    let dir = spot.open_dir()?;
                    self.rights.dress(&dir, step, &spot.shown()).with_context(what)?;
                    rustix::fs::futimens(&dir, &times(step)).with_context(what)?;
                    rustix::fs::fsync(&dir).with_context(what)?;
                }
            }
        }
        Ok(())
    }

    fn sync_directories(&self, steps: &[Step<'_>]) -> Result<()> {
        for spot in self.directories(steps.iter().filter(|step| step.action != Action::Leave)) {
            rustix::fs::fsync(&spot.dir)
                .with_context(|| format!("syncing the directory of {}", spot.shown()))?;
        }
        Ok(())
    }

    /// What a killed run has left half-written may be half a secret, and nobody would look for it.
    fn remove_leftovers(&self, steps: &[Step<'_>]) -> Result<()> {
        for spot in self.directories(steps.iter()) {
            let what = || format!("removing leftovers beside {}", spot.shown());
            for entry in rustix::fs::Dir::read_from(&spot.dir).with_context(what)? {
                let entry = entry.with_context(what)?;
                if names::is_leftover(entry.file_name().to_bytes()) {
                    rustix::fs::unlinkat(&spot.dir, entry.file_name(), AtFlags::empty())
                        .with_context(what)?;
                }
            }
        }
        Ok(())
    }

    /// A spot in each of the directories that steps lie in, as far as they are there.
    fn directories<'s>(&self, steps: impl Iterator<Item = &'s Step<'s>>) -> Vec<Spot> {
        let (mut seen, mut spots) = (BTreeSet::new(), Vec::new());
        for step in steps {
            // A first-level name may lie anywhere; those are few.
            let parent = step.chosen.path.parent();
            if parent.as_ref().is_none_or(|parent| seen.insert(parent.clone())) {
                spots.extend(self.spot(&step.chosen.path));
            }
        }
        spots
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

fn changed(change: &Change, spot: &Spot) -> String {
    let shown = spot.shown();
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

fn replaced(spot: &Spot, kept: &Kept) -> String {
    format!("replaced {}, the old one is {}", spot.shown(), spot.shown_beside(kept.name()))
}
