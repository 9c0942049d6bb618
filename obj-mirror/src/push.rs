//! Directory to bucket: uploads first, deletes last.

mod buffers;
mod outgoing;
mod plan;
mod queue;
mod reading;
mod salvage;
mod source;
mod upload;

use crate::cli::Mirror;
use crate::location::BucketPath;
use crate::mirror::tree::{Tree, require_directory};
use crate::object::Failure;
use crate::push::queue::Queue;
use crate::push::source::Source;
use crate::push::upload::Sender;
use crate::report::{DryRun, Summary};
use crate::s3::concurrency::Pace;
use crate::s3::deletes::DELETED_AT_ONCE;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::page::Listed;
use crate::s3::retry::retrying;
use crate::s3::tasks::{Total, each, runtime};
use crate::s3::xml::can_carry;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Requests at once that look, or delete.
const JOBS: usize = 64;

/// Mirrors a directory into a bucket.
///
/// # Errors
/// Whatever stops it; [`Stop::incomplete`] if some objects failed.
pub fn run(dir: &Path, to: &BucketPath, args: &Mirror) -> Result<Exit> {
    require_directory(dir)?;
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    let sources = match args.skip_damaged {
        true => salvage::gather_what_is_left(dir, &disk),
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
    let plan = plan::push(sources.objects, listing.objects, &sources.keys);
    summary.unchanged = plan.keep;
    let mut extra = BTreeSet::new();
    if args.delete {
        summary.failed.extend(listing.failures);
        extra = plan.extra;
    }

    let bar = pipe_kit::progress::bytes(Some(plan.send.iter().map(|s| s.size).sum()), "upload");
    let sender = Sender::new(remote, Arc::new(tree), bar, args.tags);
    let mut send = plan.send;
    let total = Total::of(args.timeout);
    let jobs = args.jobs.unwrap_or(JOBS);
    let compared = compare(&sender, plan.check, jobs, &mut summary, &mut send);
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
    runtime.block_on(total.bound(send_all(&sender, send, args.jobs, &mut summary)))?;
    if summary.failed.is_empty() {
        runtime.block_on(delete_all(&sender, extra, jobs, &mut summary))?;
    }
    sender.bar.finish_and_clear();
    summary.finish(args.json, "the other objects are in place; fix the cause and run it again")
}

/// Finds out of which objects it takes a request or a reading to know whether they are there.
async fn compare(
    sender: &Arc<Sender>,
    checks: Vec<(Source, Listed)>,
    jobs: usize,
    summary: &mut Summary,
    send: &mut Vec<Source>,
) -> Result<()> {
    let one = |(source, object): (Source, Listed)| {
        let sender = Arc::clone(sender);
        async move {
            let there = sender.is_there(&source, &object).await;
            (source, there)
        }
    };
    each(checks, jobs, one, |(source, there)| {
        match there {
            Ok(true) => summary.unchanged += 1,
            Ok(false) => {
                sender.bar.inc_length(source.size);
                send.push(source);
            }
            Err(error) => summary.fail(&sender.remote.store, source.key, error)?,
        }
        Ok(())
    })
    .await
}

async fn send_all(
    sender: &Arc<Sender>,
    send: Vec<Source>,
    jobs: Option<usize>,
    summary: &mut Summary,
) -> Result<()> {
    let mut pace = Pace::new(jobs, Instant::now());
    let mut queue = Queue::new(send);
    // Dropped, it ends what is under way.
    let mut running = JoinSet::new();
    loop {
        while running.len() < pace.limit()
            && let Some(source) = queue.next()
        {
            let sender = Arc::clone(sender);
            running.spawn(async move {
                let sent = sender.send(&source).await;
                (source, sent)
            });
        }
        let is_full = running.len() == pace.limit();
        let Some(done) = running.join_next().await else { return Ok(()) };
        let (source, sent) = done.context("transfer interrupted")?;
        queue.is_done(&source);
        match sent {
            Ok(refused) => {
                summary.sent(source.size);
                pace.done(source.size, is_full, Instant::now());
                if let Some(refused) = refused {
                    let reason = refused.reason();
                    summary.failed.push(Failure { key: source.key, reason });
                }
            }
            Err(error) => {
                if error.kind == Kind::Busy {
                    pace.busy(Instant::now());
                }
                summary.fail(&sender.remote.store, source.key, error)?;
            }
        }
        sender.bar.set_message(format!("{} of {} objects", summary.transferred, summary.objects));
    }
}

async fn delete_all(
    sender: &Arc<Sender>,
    keys: BTreeSet<String>,
    jobs: usize,
    summary: &mut Summary,
) -> Result<()> {
    // What XML cannot carry is deleted by a request of its own.
    let (many, single): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| can_carry(key));
    let batches = many.chunks(DELETED_AT_ONCE).map(<[_]>::to_vec);
    let batches: Vec<_> = batches.chain(single.into_iter().map(|key| vec![key])).collect();
    let one = |keys: Vec<String>| {
        let sender = Arc::clone(sender);
        async move { delete_batch(&sender, keys).await }
    };
    each(batches, jobs, one, |deleted: Vec<(String, Result<(), StoreError>)>| {
        for (key, deleted) in deleted {
            match deleted {
                Ok(()) => summary.deleted += 1,
                Err(error) => summary.fail(&sender.remote.store, key, error)?,
            }
        }
        Ok(())
    })
    .await
}

/// Deletes keys together, and one by one those that failed, or all where the server cannot do many.
async fn delete_batch(sender: &Sender, keys: Vec<String>) -> Vec<(String, Result<(), StoreError>)> {
    let store = &sender.remote.store;
    let mut left: HashSet<String> = keys.iter().map(|key| sender.remote.full(key)).collect();
    if keys.len() > 1 {
        let full: Vec<String> = left.iter().cloned().collect();
        if let Ok(failed) = retrying(|_| store.delete_many(&full)).await {
            left = failed.into_iter().map(|(key, _)| key).collect();
        }
    }
    let mut deleted = Vec::with_capacity(keys.len());
    for key in keys {
        let full = sender.remote.full(&key);
        let result = match left.contains(&full) {
            true => retrying(|_| store.delete(&full)).await,
            false => Ok(()),
        };
        deleted.push((key, result));
    }
    deleted
}
