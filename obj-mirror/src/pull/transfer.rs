//! A pull in progress: listing, planning and fetching at the same time, and what completes the mirror.

use crate::mirror::files::journal_path;
use crate::mirror::index;
use crate::mirror::leftovers::leftovers;
use crate::mirror::lookup::LineRef;
use crate::mirror::placement::OWN;
use crate::mirror::tree::Tree;
use crate::object::Failure;
use crate::object::key::printable;
use crate::pull::fetch::{Fetcher, Outcome};
use crate::pull::plan::{PlanItem, Planner, UnsortedListing};
use crate::report::Summary;
use crate::s3::concurrency::ConcurrencyLimiter;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::listed::Listed;
use crate::s3::remote::{Listing, Remote};
use anyhow::{Context, Result, anyhow};
use pipe_kit::mutex::lock;
use pipe_kit::{info, warning};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Items that may be planned ahead of the transfers.
const ITEMS_AHEAD: usize = 1024;

enum PlannerInput {
    Objects(Vec<Listed>),
    End,
}

/// A pull in progress.
pub struct PullRun<'a> {
    pub remote: Remote,
    pub dir: &'a Path,
    pub fetcher: Arc<Fetcher>,
    pub summary: Summary,
    pub limiter: ConcurrencyLimiter,
    /// Where the mirror would have objects that were deleted after they were listed, and may have them as they
    /// were before.
    pub vanished: Vec<String>,
}

impl PullRun<'_> {
    /// Lists, plans and fetches concurrently.
    pub async fn transfer(
        &mut self,
        planner: Planner,
        first: (Listing, Option<String>),
    ) -> Result<Planner> {
        let (pages, to_plan) = mpsc::channel(2);
        let (planned, mut items) = mpsc::channel(ITEMS_AHEAD);
        let planning = tokio::task::spawn_blocking(move || plan(planner, to_plan, &planned));
        let remote = self.remote.clone();
        let listing = async move {
            let mut unlistable = Vec::new();
            remote
                .pages(first, async |page| {
                    unlistable.extend(page.failures);
                    // If the planner is gone, its own result has the reason.
                    let _ = pages.send(PlannerInput::Objects(page.objects)).await;
                    Ok(())
                })
                .await?;
            let _ = pages.send(PlannerInput::End).await;
            // The planner ends when the channel closes.
            drop(pages);
            anyhow::Ok(unlistable)
        };
        let mut listing = std::pin::pin!(listing);
        let (mut is_listed, mut is_planned) = (false, false);
        // Dropping it aborts the running transfers.
        let mut running = JoinSet::new();
        while !(is_listed && is_planned && running.is_empty()) {
            let has_room = running.len() < self.limiter.limit();
            tokio::select! {
                unlistable = &mut listing, if !is_listed => {
                    let unlistable = unlistable?;
                    self.summary.objects = unlistable.len() as u64;
                    self.summary.failed.extend(unlistable);
                    is_listed = true;
                }
                item = items.recv(), if !is_planned && has_room => match item {
                    None => is_planned = true,
                    Some(item) => {
                        self.fetcher.bar.inc_length(item.object.size);
                        let fetcher = Arc::clone(&self.fetcher);
                        running.spawn(async move {
                            let result = fetcher.run(&item).await;
                            (item, result)
                        });
                    }
                },
                Some(done) = running.join_next() => {
                    let (item, result) = done.context("transfer interrupted")?;
                    self.record(item, result, !has_room)?;
                }
            }
        }
        let planner = planning.await.context("planning interrupted")?;
        Ok(planner?)
    }

    fn record(
        &mut self,
        item: PlanItem,
        result: Result<Outcome, StoreError>,
        is_full: bool,
    ) -> Result<()> {
        let now = Instant::now();
        match result {
            Ok(Outcome::Fetched(bytes)) => {
                self.summary.sent(bytes);
                self.limiter.done(bytes, is_full, now);
            }
            Ok(Outcome::Linked) => self.summary.linked += 1,
            Ok(Outcome::Kept) => self.summary.unchanged += 1,
            Err(error) if error.kind == Kind::NoKey => {
                let key = printable(&item.object.key);
                info!("{key} was deleted before it was read; skipped");
                self.summary.vanished += 1;
                self.vanished.push(item.path);
            }
            Err(error) => {
                if error.kind == Kind::Busy {
                    self.limiter.busy(now);
                }
                self.summary.fail(&self.remote.store, item.object.key, error)?;
            }
        }
        let done = self.summary.transferred + self.summary.linked;
        self.fetcher.bar.set_message(format!("{done} objects"));
        Ok(())
    }

    /// Deletes what is extra, syncs, and writes the index. From then on the mirror is complete.
    pub fn finish(
        self,
        tree: &Arc<Tree>,
        mut planner: Planner,
        was_empty: bool,
        delete: bool,
    ) -> Result<Summary> {
        let Self { dir, fetcher, mut summary, vanished, .. } = self;
        summary.unchanged += planner.unchanged;
        summary.objects += lock(&planner.lines).len() as u64;
        fetcher.take_aside().iter().for_each(|path| planner.paths.insert(path));
        // The index does not have them, so their files are no objects either.
        vanished.iter().for_each(|path| planner.paths.remove(path));
        let running = || anyhow!("a transfer is still running");
        let fetcher = Arc::into_inner(fetcher).ok_or_else(running)?;
        let journal: File = fetcher.journal.finish()?;
        if !summary.failed.is_empty() {
            return Ok(summary);
        }
        if !was_empty {
            clear(tree, leftovers(tree, &mut planner.paths)?, delete, &mut summary);
            tree.sync_all().with_context(|| format!("syncing {}", dir.display()))?;
        }
        let reading = || format!("reading {}", journal_path(dir).display());
        planner.known.follow(File::open(journal_path(dir)).with_context(reading)?);
        let places = std::mem::take(&mut *lock(&planner.lines));
        index::save(dir, || {
            let lines = places.iter().filter(|line| **line != LineRef::NONE);
            Box::new(lines.map(|line| planner.known.text(*line)))
        })?;
        tree.sync(OWN)?;
        let removing = || format!("removing {}", journal_path(dir).display());
        std::fs::remove_file(journal_path(dir)).with_context(removing)?;
        tree.sync(OWN)?;
        // Dropping the journal releases its lock.
        drop(journal);
        Ok(summary)
    }
}

/// Plans pages as they arrive; the keys held back are decided after the last page.
fn plan(
    mut planner: Planner,
    mut pages: mpsc::Receiver<PlannerInput>,
    items: &mpsc::Sender<PlanItem>,
) -> Result<Planner, UnsortedListing> {
    let emit = |item| {
        // If nobody receives items, the run has ended.
        let _ = items.blocking_send(item);
    };
    while let Some(page) = pages.blocking_recv() {
        match page {
            PlannerInput::Objects(objects) => {
                for object in objects {
                    planner.add(object, emit)?;
                }
            }
            PlannerInput::End => planner.finish(emit),
        }
    }
    Ok(planner)
}

/// Removes files that are not objects, or reports them.
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
