//! A bundle changed in one place: a full verify finds it, and a restore is refused before it asks.

use crate::change::{Change, Files};
use crate::fault::{Ending, Fault, Scale};
use crate::script::Script;
use crate::stand::Stand;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use pipe_kit::Exit;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use test_kit::deployment::{APPS, STATEFUL};

/// What a change is made of; the counts are those of the full and of the bounded campaign.
#[derive(Clone, Copy)]
enum Damage {
    Flipped,
    CutShort,
    CutAtMember,
    Emptied,
    Removed,
    Added,
    Extended,
    Swapped,
}

pub fn faults() -> Vec<Box<dyn Fault>> {
    use Damage::{Added, CutAtMember, CutShort, Emptied, Extended, Flipped, Removed, Swapped};
    [Flipped, CutShort, CutAtMember, Emptied, Removed, Added, Extended, Swapped]
        .map(|damage| Box::new(damage) as Box<dyn Fault>)
        .into()
}

impl Fault for Damage {
    fn name(&self) -> String {
        let what = match self {
            Self::Flipped => "one bit of a file flipped",
            Self::CutShort => "a file cut short",
            Self::CutAtMember => "the dump cut where a gzip member ends",
            Self::Emptied => "a file emptied",
            Self::Removed => "a file removed",
            Self::Added => "a file or link added",
            Self::Extended => "bytes appended to a file",
            Self::Swapped => "two files swapped",
        };
        format!("bundle: {what}")
    }

    fn tries(&self, stand: &Stand, scale: Scale) -> usize {
        let files = Files::of(&stand.bundle);
        let count = |of: fn(&Files) -> usize| files.as_ref().map(of).unwrap_or(1);
        let all = count(|files| files.all.len());
        match self {
            Self::Flipped => scale.of(400, 20),
            Self::CutShort => scale.of(60, 6),
            Self::CutAtMember => count(|files| files.boundaries().len()),
            Self::Emptied | Self::Removed => scale.of(all, 6),
            Self::Added => scale.of(20, 5),
            Self::Extended => scale.of(30, 5),
            Self::Swapped => scale.of(30, 4),
        }
    }

    fn attempt(&self, stand: &Stand, n: usize, rng: &mut Rng, scale: Scale) -> Result<Ending> {
        let files = Files::of(&stand.bundle)?;
        let change = self.change(&files, stand, (n, scale), rng)?;
        let root = tempfile::tempdir_in(stand.root()?).context("a directory")?;
        let copy = copy(&stand.bundle, &root)?;
        change.apply(&copy)?;
        let report = |error: anyhow::Error| error.context(change.to_string());
        stand.verify(&copy, Exit::Damaged.code().into()).map_err(report)?;
        if scale == Scale::Bounded && !n.is_multiple_of(5) {
            return Ending::held("found");
        }
        refused(stand, &copy).map_err(report)?;
        drop(root);
        stand.bundle_is_as_it_was()?;
        Ending::held("found and refused")
    }
}

impl Damage {
    fn change(
        self,
        files: &Files,
        stand: &Stand,
        (n, scale): (usize, Scale),
        rng: &mut Rng,
    ) -> Result<Change> {
        // A few tries must not always meet the same few files.
        let any = if scale == Scale::Full { n } else { rng.usize(..files.all.len()) };
        match self {
            Self::Flipped => files.flip(n, rng),
            Self::CutShort => files.cut(n, rng),
            Self::CutAtMember => files.cut_at_member(n),
            Self::Emptied => files.emptied(any),
            Self::Removed => files.removed(any),
            Self::Added => files.added(n, rng),
            Self::Extended => files.extended(n, &stand.bundle, rng),
            Self::Swapped => files.swapped(&stand.bundle, rng),
        }
    }
}

/// A copy whose files are other names of the bundle's.
fn copy(bundle: &Path, root: &TempDir) -> Result<PathBuf> {
    let copy = root.path().join(bundle.file_name().context("a bundle has a name")?);
    for entry in walkdir::WalkDir::new(bundle) {
        let entry = entry.context("reading a bundle")?;
        let path = copy.join(entry.path().strip_prefix(bundle).context("a path below")?);
        match entry.file_type().is_dir() {
            true => std::fs::create_dir(&path).context("copying a directory")?,
            false => std::fs::hard_link(entry.path(), &path).context("copying a file")?,
        }
    }
    Ok(copy)
}

/// A restore ends with 4, without a question and without having touched anything.
fn refused(stand: &Stand, bundle: &Path) -> Result<()> {
    let services = [&APPS[..], &STATEFUL[..]].concat();
    let pids = || services.iter().map(|s| stand.deployment.pid(s)).collect::<Result<Vec<_>>>();
    let before = pids()?;
    let run = stand.launch(Script::Restore, &[bundle.as_os_str()])?.finish()?;
    ensure!(
        run.status == i32::from(Exit::Damaged.code()),
        "restore ended with {}: {}",
        run.status,
        run.stderr
    );
    ensure!(!run.stderr.contains("Type the deployment's domain"), "restore asked: {}", run.stderr);
    ensure!(pids()? == before, "a service was stopped or started");
    let database = stand.database()?;
    ensure!(stand.is_bundled_database(&database), "the database has changed");
    Ok(())
}
