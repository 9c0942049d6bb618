//! Pull: bucket to directory.

mod fetch;
mod plan;
mod received;
mod transfer;

use crate::cli::Mirror;
use crate::location::BucketPath;
use crate::mirror::journal::{Journal, Lines};
use crate::mirror::leftovers::leftovers;
use crate::mirror::lookup::EntryLookup;
use crate::mirror::placement::OWN;
use crate::mirror::tree::{Tree, require_directory};
use crate::pull::fetch::Fetcher;
use crate::pull::plan::{PlanItem, Planner, PreviousMirror, PullAction, UnsortedListing};
use crate::pull::transfer::PullRun;
use crate::report::{DryRun, Summary};
use crate::s3::concurrency::ConcurrencyLimiter;
use crate::s3::remote::{Listing, Remote};
use crate::s3::tagging::{TagPolicy, Tagging};
use crate::s3::tasks::{RunTimeout, runtime};
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop, info, warning};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

/// The state of things after some objects failed.
const AFTER: &str = "the other objects are in place; no index was written and nothing was deleted; run it again to continue";

/// Mirrors a bucket into a directory.
///
/// # Errors
/// [`Stop::incomplete`] if some objects failed.
pub fn run(from: &BucketPath, dir: &Path, args: &Mirror) -> Result<Exit> {
    match mirror(from, dir, args, false) {
        // The journal lists what is done already.
        Err(error) if error.is::<UnsortedListing>() => {
            info!("{UnsortedListing}; reading and sorting the whole listing first");
            mirror(from, dir, args, true)
        }
        other => other,
    }
}

/// Mirrors object by object as the listing arrives; with `sorts`, after the whole listing has been read.
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
    let lines = Lines::default();
    let journal = Journal::open(&tree, Arc::clone(&lines))?;
    tree.clear_temps()?;
    let guard = tree.remove_temps_on_failure();

    let previous = args.link_dest.as_deref().map(|path| previous(path, dir)).transpose()?.flatten();
    let linked_from = previous.as_ref().map(|previous| Arc::clone(&previous.tree));
    let on_disk = (!was_empty || known.len() > 0).then(|| Arc::clone(&tree));
    let planner = Planner::new(known, on_disk, previous)
        .noting(lines)
        .asking_tags(args.tags == TagPolicy::Always)
        .on_case_blind_disk(
            tree.is_case_blind()
                .with_context(|| format!("checking whether {} is case-sensitive", dir.display()))?,
        );
    let tagging = Tagging::new(args.tags);
    let fetcher = Fetcher::new(remote.clone(), Arc::clone(&tree), linked_from, journal, tagging);
    let mut run = PullRun {
        remote,
        dir,
        fetcher,
        summary: Summary::new("pull"),
        limiter: ConcurrencyLimiter::new(args.jobs, Instant::now()),
        vanished: Vec::new(),
    };
    let planner = runtime
        .block_on(RunTimeout::of(args.timeout).bound(run.transfer(planner, first)))
        .with_context(|| format!("mirroring {from} into {}", dir.display()))?;
    run.fetcher.bar.finish_and_clear();
    run.finish(&tree, planner, was_empty, args.delete).and_then(|summary| {
        guard.disarm();
        tree.remove_temp_directory();
        summary.finish(args.json, AFTER)
    })
}

/// Reads index and journal. If the index is damaged, every object is fetched again.
fn known(dir: &Path) -> EntryLookup {
    EntryLookup::read(dir).unwrap_or_else(|error| {
        warning!("{error:#}; every object will be fetched again");
        EntryLookup::read_journal(dir).unwrap_or_default()
    })
}

/// The mirror of `--link-dest`, if it can be used.
fn previous(path: &Path, dir: &Path) -> Result<Option<PreviousMirror>> {
    require_directory(path).context("--link-dest")?;
    let same = |path: &Path| path.canonicalize().ok();
    if same(path) == same(dir) {
        return Err(Stop::usage("--link-dest is the destination itself").into());
    }
    match EntryLookup::read_index(path) {
        Ok(Some(known)) => Ok(Some(PreviousMirror { known, tree: Arc::new(Tree::open(path)?) })),
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
    let mut printed = Ok(());
    let mut print = |item: PlanItem| {
        let action = if matches!(item.action, PullAction::Link(_)) { "link" } else { "download" };
        if printed.is_ok() {
            printed = dry.add(action, &item.object.key);
        }
    };
    runtime.block_on(remote.pages(first, async |page| {
        failed.extend(page.failures);
        for object in page.objects {
            planner.add(object, &mut print)?;
        }
        Ok(())
    }))?;
    planner.finish(&mut print);
    printed?;
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

/// The safeguards of `--delete` that can be checked before anything changes.
fn check_deletes(dir: &Path, no_objects: bool, no_files: bool, args: &Mirror) -> Result<()> {
    let has_own = || dir.join(OWN).symlink_metadata().is_ok();
    if !args.delete || no_files {
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
