//! Push: directory to bucket. Uploads come first, deletes last.

mod buffers;
mod outgoing;
mod plan;
mod queue;
mod reader;
mod salvage;
mod source;
mod upload;

use crate::cli::Mirror;
use crate::location::BucketPath;
use crate::mirror::tree::{Tree, require_directory};
use crate::object::Failure;
use crate::push::queue::Queue;
use crate::push::source::Source;
use crate::push::upload::Uploader;
use crate::report::{DryRun, Summary};
use crate::s3::concurrency::ConcurrencyLimiter;
use crate::s3::deletes::DELETED_AT_ONCE;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::page::Listed;
use crate::s3::retry::retrying;
use crate::s3::tasks::{RunTimeout, each, runtime};
use crate::s3::xml::can_carry;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Concurrent requests that compare or delete objects.
const JOBS: usize = 64;

/// Mirrors a directory into a bucket.
///
/// # Errors
/// [`Stop::incomplete`] if some objects failed.
pub fn run(dir: &Path, to: &BucketPath, args: &Mirror) -> Result<Exit> {
    require_directory(dir)?;
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    let sources = match args.skip_damaged {
        true => salvage::gather(dir, &disk),
        false => source::gather(source::load_index(dir)?, &disk),
    };
    let remote = args.link.remote(to, args.max_rate)?;
    let runtime = runtime()?;
    let first = runtime.block_on(remote.page(None))?;
    let listing = runtime.block_on(remote.list(first))?;

    let empty = sources.keys.is_empty() && sources.failures.is_empty();
    if args.delete && empty && !sources.indexed && !listing.objects.is_empty() {
        return Err(Stop::refused(format!(
            "{} is empty and has no index: --delete would empty {to}; nothing was changed",
            dir.display()
        ))
        .into());
    }
    let mut summary = Summary::new("push");
    summary.objects = sources.keys.len() as u64;
    summary.take_unsendable(sources.failures, args.skip_damaged);
    let plan =
        plan::plan_push(sources.objects, listing.objects, &sources.keys, args.ignore_existing);
    summary.unchanged = plan.keep;
    let mut extra = BTreeSet::new();
    if args.delete {
        summary.failed.extend(listing.failures);
        extra = plan.extra;
    }

    let bar = pipe_kit::progress::bytes(Some(plan.send.iter().map(|s| s.size).sum()), "upload");
    let uploader = Uploader::new(remote, Arc::new(tree), bar, args.tags);
    let mut send = plan.send;
    let total = RunTimeout::of(args.timeout);
    let jobs = args.jobs.unwrap_or(JOBS);
    let compared = compare(&uploader, plan.check, jobs, &mut summary, &mut send);
    runtime.block_on(total.bound(compared))?;
    send.sort_by(|a, b| a.key.cmp(&b.key));
    if args.dry_run {
        let failed = [summary.failed, summary.left_out].concat();
        let mut dry = DryRun::new(args.json);
        send.iter().try_for_each(|source| dry.add("upload", &source.key))?;
        if failed.is_empty() {
            extra.iter().try_for_each(|key| dry.add("delete", key))?;
        }
        return dry.finish(failed);
    }
    runtime.block_on(total.bound(send_all(&uploader, send, args.jobs, &mut summary)))?;
    if summary.failed.is_empty() {
        runtime.block_on(delete_all(&uploader, extra, jobs, &mut summary))?;
    }
    uploader.bar.finish_and_clear();
    summary.finish(args.json, "the other objects are in place; fix the cause and run it again")
}

/// Compares the objects that need a request or a read to be compared.
async fn compare(
    uploader: &Arc<Uploader>,
    checks: Vec<(Source, Listed)>,
    jobs: usize,
    summary: &mut Summary,
    send: &mut Vec<Source>,
) -> Result<()> {
    let one = |(source, object): (Source, Listed)| {
        let uploader = Arc::clone(uploader);
        async move {
            let there = uploader.is_uploaded(&source, &object).await;
            (source, there)
        }
    };
    each(checks, jobs, one, |(source, there)| {
        match there {
            Ok(true) => summary.unchanged += 1,
            Ok(false) => {
                uploader.bar.inc_length(source.size);
                send.push(source);
            }
            Err(error) => summary.fail(&uploader.remote.store, source.key, error)?,
        }
        Ok(())
    })
    .await
}

async fn send_all(
    uploader: &Arc<Uploader>,
    send: Vec<Source>,
    jobs: Option<usize>,
    summary: &mut Summary,
) -> Result<()> {
    let mut limiter = ConcurrencyLimiter::new(jobs, Instant::now());
    let mut queue = Queue::new(send);
    // Dropping it aborts the running uploads.
    let mut running = JoinSet::new();
    loop {
        while running.len() < limiter.limit()
            && let Some(source) = queue.next()
        {
            let uploader = Arc::clone(uploader);
            running.spawn(async move {
                let sent = uploader.send(&source).await;
                (source, sent)
            });
        }
        let is_full = running.len() == limiter.limit();
        let Some(done) = running.join_next().await else { return Ok(()) };
        let (source, sent) = done.context("transfer interrupted")?;
        queue.is_done(&source);
        match sent {
            Ok(refused) => {
                summary.sent(source.size);
                limiter.done(source.size, is_full, Instant::now());
                if let Some(refused) = refused {
                    let reason = refused.reason();
                    summary.failed.push(Failure { key: source.key, reason });
                }
            }
            Err(error) => {
                if error.kind == Kind::Busy {
                    limiter.busy(Instant::now());
                }
                summary.fail(&uploader.remote.store, source.key, error)?;
            }
        }
        uploader.bar.set_message(format!("{} of {} objects", summary.transferred, summary.objects));
    }
}

async fn delete_all(
    uploader: &Arc<Uploader>,
    keys: BTreeSet<String>,
    jobs: usize,
    summary: &mut Summary,
) -> Result<()> {
    // A key that XML cannot carry needs a request of its own.
    let (many, single): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| can_carry(key));
    let batches = many.chunks(DELETED_AT_ONCE).map(<[_]>::to_vec);
    let batches: Vec<_> = batches.chain(single.into_iter().map(|key| vec![key])).collect();
    let one = |keys: Vec<String>| {
        let uploader = Arc::clone(uploader);
        async move { delete_batch(&uploader, keys).await }
    };
    each(batches, jobs, one, |deleted: Vec<(String, Result<(), StoreError>)>| {
        for (key, deleted) in deleted {
            match deleted {
                Ok(()) => summary.deleted += 1,
                Err(error) => summary.fail(&uploader.remote.store, key, error)?,
            }
        }
        Ok(())
    })
    .await
}

/// Deletes keys together, then one by one those that failed, or all if the server does not support it.
async fn delete_batch(
    uploader: &Uploader,
    keys: Vec<String>,
) -> Vec<(String, Result<(), StoreError>)> {
    let store = &uploader.remote.store;
    let mut left: HashSet<String> = keys.iter().map(|key| uploader.remote.full(key)).collect();
    if keys.len() > 1 {
        let full: Vec<String> = left.iter().cloned().collect();
        if let Ok(failed) = retrying(|_| store.delete_many(&full)).await {
            left = failed.into_iter().map(|(key, _)| key).collect();
        }
    }
    let mut deleted = Vec::with_capacity(keys.len());
    for key in keys {
        let full = uploader.remote.full(&key);
        let result = match left.contains(&full) {
            true => retrying(|_| store.delete(&full)).await,
            false => Ok(()),
        };
        deleted.push((key, result));
    }
    deleted
}
