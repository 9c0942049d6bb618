//! Bucket to directory.

mod fetch;
mod plan;
mod received;

use crate::cli::Mirror;
use crate::location::BucketPath;
use crate::mirror::index;
use crate::mirror::journal::{Journal, Written};
use crate::mirror::leftovers::leftovers;
use crate::mirror::lookup::{Known, Line};
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use crate::object::Failure;
use crate::object::key::printable;
use crate::pull::fetch::{Done, Fetcher};
use crate::pull::plan::{How, Planner, Previous, Step, Unsorted};
use crate::report::{DryRun, Summary};
use crate::s3::concurrency::Pace;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::page::Listed;
use crate::s3::remote::{Listing, Remote};
use crate::s3::tagging::{Tagging, Wanted};
use crate::s3::tasks::{Total, runtime};
use anyhow::{Context, Result, anyhow};
use pipe_kit::{Exit, Stop, say, warning};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Objects that are planned ahead of those under way.
const STEPS_AHEAD: usize = 1024;

/// What goes on when some objects failed.
const AFTER: &str = "the other objects are in place; no index was written and nothing was deleted; run it again to continue";

/// Mirrors a bucket into a directory.
///
/// # Errors
/// Whatever stops it; [`Stop::incomplete`] if some objects failed.
pub fn run(from: &BucketPath, dir: &Path, args: &Mirror) -> Result<Exit> {
    match mirror(from, dir, args, false) {
        // What is done meanwhile is in the journal.
        Err(error) if error.is::<Unsorted>() => {
            say!("{Unsorted}; reading and sorting the whole listing first");
            mirror(from, dir, args, true)
        }
        other => other,
    }
}

/// Mirrors object by object as the listing comes, or, with `sorts`, once it is read to its end.
fn mirror(from: &BucketPath, dir: &Path, args: &Mirror, sorts: bool) -> Result<Exit> {
    let remote = args.link.remote(from, args.max_rate)?;
    let runtime = runtime()?;
    let mut first = runtime.block_on(remote.page(None))?;
    if sorts {
        first = (runtime.block_on(remote.list(first))?, None);
    }
    if args.dry_run {
        return dry_run(&runtime, &remote, dir, first, args);
    }
    let exists = dir.symlink_metadata().is_ok();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("creating {}", dir.display()))?;
    if !exists {
        pipe_kit::atomic::sync_directory(pipe_kit::atomic::directory_of(dir))?;
    }
    let tree = Arc::new(Tree::open(dir)?);
    let was_empty = tree.is_empty()?;
    check_deletes(dir, is_empty(&first), was_empty, args)?;
    tree.prepare()?;
    let known = known(dir);
    let journal = Journal::open(&tree)?;
    tree.clear_temps()?;
    let guard = tree.remove_temps_on_failure();

    let previous = args.link_dest.as_deref().map(|path| previous(path, dir)).transpose()?.flatten();
    let linked_from = previous.as_ref().map(|previous| Arc::clone(&previous.tree));
    let on_disk = (!was_empty || known.len() > 0).then(|| Arc::clone(&tree));
    let planner = Planner::new(known, on_disk, previous)
        .asking_tags(args.tags == Wanted::Always)
        .on_case_blind_disk(
            tree.is_case_blind()
                .with_context(|| format!("checking whether {} is case-sensitive", dir.display()))?,
        );
    let tagging = Tagging::new(args.tags);
    let fetcher = Fetcher::new(remote.clone(), Arc::clone(&tree), linked_from, journal, tagging);
    let mut work = Work {
        remote,
        dir,
        fetcher,
        summary: Summary::new("pull"),
        pace: Pace::new(args.jobs, Instant::now()),
    };
    let planner = runtime
        .block_on(Total::of(args.timeout).bound(work.transfer(planner, first)))
        .with_context(|| format!("mirroring {from} into {}", dir.display()))?;
    work.fetcher.bar.finish_and_clear();
    work.finish(&tree, planner, was_empty, args.delete).and_then(|summary| {
        guard.disarm();
        tree.remove_temp_directory();
        summary.finish(args.json, AFTER)
    })
}

/// What an index and a journal say was fetched. A damaged index says nothing: all is fetched again.
fn known(dir: &Path) -> Known {
    Known::read(dir).unwrap_or_else(|error| {
        warning!("{error:#}; every object will be fetched again");
        Known::read_journal(dir).unwrap_or_default()
    })
}

/// The mirror that unchanged objects are linked from, if it can be used.
fn previous(path: &Path, dir: &Path) -> Result<Option<Previous>> {
    crate::mirror::tree::require_directory(path).context("--link-dest")?;
    let same = |path: &Path| path.canonicalize().ok();
    if same(path) == same(dir) {
        return Err(Stop::usage("--link-dest is the destination itself").into());
    }
    match Known::read_index(path) {
        Ok(Some(known)) => Ok(Some(Previous { known, tree: Arc::new(Tree::open(path)?) })),
        Ok(None) => {
            warning!("{} has no index; nothing is linked from it", path.display());
            Ok(None)
        }
        Err(error) => {
            warning!("{error:#}; nothing is linked from it");
            Ok(None)
        }
    }
}

fn dry_run(
    runtime: &Runtime,
    remote: &Remote,
    dir: &Path,
    first: (Listing, Option<String>),
    args: &Mirror,
) -> Result<Exit> {
    let tree = dir.symlink_metadata().is_ok().then(|| Tree::open(dir)).transpose()?.map(Arc::new);
    let was_empty = tree.as_ref().map_or(Ok(true), |tree| tree.is_empty())?;
    check_deletes(dir, is_empty(&first), was_empty, args)?;
    let previous = args.link_dest.as_deref().map(|path| previous(path, dir)).transpose()?.flatten();
    let mut planner = Planner::new(known(dir), tree.clone(), previous);
    let mut dry = DryRun::new(args.json);
    let mut failed = Vec::new();
    let mut told = Ok(());
    let mut tell = |step: Step| {
        let action = if matches!(step.how, How::Link(_)) { "link" } else { "download" };
        if told.is_ok() {
            told = dry.add(action, &step.object.key);
        }
    };
    runtime.block_on(remote.pages(first, async |page| {
        failed.extend(page.failures);
        for object in page.objects {
            planner.add(object, &mut tell)?;
        }
        Ok(())
    }))?;
    planner.finish(&mut tell);
    told?;
    if let (true, true, Some(tree)) = (args.delete, failed.is_empty(), tree) {
        for path in leftovers(&tree, &mut planner.paths)? {
            dry.add("delete", &path.to_string_lossy())?;
        }
    }
    dry.finish(failed)
}

fn is_empty((listing, next): &(Listing, Option<String>)) -> bool {
    listing.objects.is_empty() && listing.failures.is_empty() && next.is_none()
}

/// The safeguards of `--delete` that can be checked before anything is changed.
fn check_deletes(dir: &Path, no_objects: bool, no_files: bool, args: &Mirror) -> Result<()> {
    let has_own = || dir.join(OWN).symlink_metadata().is_ok();
    let aside = || dir.join(OWN).join("objects").symlink_metadata().is_ok();
    if !args.delete || (no_files && !aside()) {
        return Ok(());
    }
    let shown = dir.display();
    if !has_own() {
        return Err(Stop::refused(format!(
            "{shown} contains files but is not a mirror, so --delete might remove unrelated files; \
             nothing was changed; mirror without --delete first, or name an empty directory"
        ))
        .into());
    }
    if no_objects {
        return Err(Stop::refused(format!(
            "the bucket is empty and {shown} is not: --delete would remove everything; nothing was changed"
        ))
        .into());
    }
    Ok(())
}

/// What the planner is given.
enum Page {
    Objects(Vec<Listed>),
    End,
}

/// A run that is under way.
struct Work<'a> {
    remote: Remote,
    dir: &'a Path,
    fetcher: Arc<Fetcher>,
    summary: Summary,
    pace: Pace,
}

impl Work<'_> {
    /// Lists, plans and fetches, all at once.
    async fn transfer(
        &mut self,
        planner: Planner,
        first: (Listing, Option<String>),
    ) -> Result<Planner> {
        let (pages, to_plan) = mpsc::channel(2);
        let (planned, mut steps) = mpsc::channel(STEPS_AHEAD);
        let planning = tokio::task::spawn_blocking(move || plan(planner, to_plan, &planned));
        let remote = self.remote.clone();
        let listing = async move {
            let mut unlistable = Vec::new();
            remote
                .pages(first, async |page| {
                    unlistable.extend(page.failures);
                    // A planner that is gone has told why.
                    let _ = pages.send(Page::Objects(page.objects)).await;
                    Ok(())
                })
                .await?;
            let _ = pages.send(Page::End).await;
            // The planner ends when nobody can send it pages any more.
            drop(pages);
            anyhow::Ok(unlistable)
        };
        let mut listing = std::pin::pin!(listing);
        let (mut is_listed, mut is_planned) = (false, false);
        // Dropped, it ends what is under way.
        let mut running = JoinSet::new();
        while !(is_listed && is_planned && running.is_empty()) {
            let has_room = running.len() < self.pace.limit();
            tokio::select! {
                unlistable = &mut listing, if !is_listed => {
                    let unlistable = unlistable?;
                    self.summary.objects = unlistable.len() as u64;
                    self.summary.failed.extend(unlistable);
                    is_listed = true;
                }
                step = steps.recv(), if !is_planned && has_room => match step {
                    None => is_planned = true,
                    Some(step) => {
                        self.fetcher.bar.inc_length(step.object.size);
                        let fetcher = Arc::clone(&self.fetcher);
                        running.spawn(async move {
                            let result = fetcher.run(&step).await;
                            (step, result)
                        });
                    }
                },
                Some(done) = running.join_next() => {
                    let (step, result) = done.context("transfer interrupted")?;
                    self.took(step, result, !has_room)?;
                }
            }
        }
        let planner = planning.await.context("planning interrupted")?;
        Ok(planner?)
    }

    fn took(&mut self, step: Step, result: Result<Done, StoreError>, is_full: bool) -> Result<()> {
        let now = Instant::now();
        match result {
            Ok(Done::Fetched(bytes)) => {
                self.summary.sent(bytes);
                self.pace.done(bytes, is_full, now);
            }
            Ok(Done::Linked) => self.summary.linked += 1,
            Ok(Done::Kept) => self.summary.unchanged += 1,
            Err(error) if error.kind == Kind::NoKey => {
                let key = printable(&step.object.key);
                say!("{key} was deleted before it was read; skipped");
                self.summary.vanished += 1;
            }
            Err(error) => {
                if error.kind == Kind::Busy {
                    self.pace.busy(now);
                }
                self.summary.fail(&self.remote.store, step.object.key, error)?;
            }
        }
        let done = self.summary.transferred + self.summary.linked;
        self.fetcher.bar.set_message(format!("{done} objects"));
        Ok(())
    }

    /// Deletes what is extra, makes it all durable, and writes the index: from here on the mirror is
    /// whole.
    fn finish(
        self,
        tree: &Arc<Tree>,
        mut planner: Planner,
        was_empty: bool,
        delete: bool,
    ) -> Result<Summary> {
        let Self { dir, fetcher, mut summary, .. } = self;
        summary.unchanged += planner.unchanged;
        summary.objects += planner.lines.len() as u64;
        fetcher.take_aside().iter().for_each(|path| planner.paths.insert(path));
        let broke_off = || anyhow!("a transfer is still running");
        let fetcher = Arc::into_inner(fetcher).ok_or_else(broke_off)?;
        let (journal, written): (File, Written) = fetcher.journal.finish()?;
        if !summary.failed.is_empty() {
            return Ok(summary);
        }
        for (number, line) in written {
            planner.lines[number as usize] = line;
        }
        if !was_empty {
            clear(tree, leftovers(tree, &mut planner.paths)?, delete, &mut summary);
            tree.sync_all().with_context(|| format!("syncing {}", dir.display()))?;
        }
        let reading = || format!("reading {}", crate::mirror::files::journal_path(dir).display());
        planner
            .known
            .follow(File::open(crate::mirror::files::journal_path(dir)).with_context(reading)?);
        index::save(dir, || {
            let lines = planner.lines.iter().filter(|line| **line != Line::NONE);
            Box::new(lines.map(|line| planner.known.text(*line)))
        })?;
        tree.sync(OWN)?;
        let removing = || format!("removing {}", crate::mirror::files::journal_path(dir).display());
        std::fs::remove_file(crate::mirror::files::journal_path(dir)).with_context(removing)?;
        tree.sync(OWN)?;
        // Until here it was locked.
        drop(journal);
        Ok(summary)
    }
}

/// Plans pages as they come, until the last; what was held back is decided only then.
fn plan(
    mut planner: Planner,
    mut pages: mpsc::Receiver<Page>,
    steps: &mpsc::Sender<Step>,
) -> Result<Planner, Unsorted> {
    let step = |step| {
        // Who no longer wants steps has ended the run.
        let _ = steps.blocking_send(step);
    };
    while let Some(page) = pages.blocking_recv() {
        match page {
            Page::Objects(objects) => {
                for object in objects {
                    planner.add(object, step)?;
                }
            }
            Page::End => planner.finish(step),
        }
    }
    Ok(planner)
}

/// Removes what is none of the mirror's objects, or says that it is there.
fn clear(tree: &Tree, left: Vec<PathBuf>, delete: bool, summary: &mut Summary) {
    if !delete && !left.is_empty() {
        warning!(
            "{} files in {} are not objects of the bucket; --delete removes them",
            left.len(),
            tree.path().display()
        );
        return;
    }
    for path in left {
        let removed = match path.to_str() {
            Some(path) => tree.remove(path).map_err(|e| e.to_string()),
            None => Err("its name is not UTF-8; remove it by hand".into()),
        };
        match removed {
            Ok(()) => summary.deleted += 1,
            Err(reason) => {
                let key = path.to_string_lossy().into_owned();
                summary.failed.push(Failure { key, reason });
            }
        }
    }
}
