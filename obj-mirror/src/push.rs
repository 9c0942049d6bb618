//! Push: directory to bucket. Uploads come first, deletes last.

mod buffers;
mod listing;
mod outgoing;
mod plan;
mod queue;
mod reader;
mod salvage;
mod source;
mod transfer;
mod upload;

use crate::cli::Mirror;
use crate::external_sort::Sorter;
use crate::location::BucketPath;
use crate::mirror::tree::{Tree, require_directory};
use crate::push::listing::BucketListing;
use crate::push::plan::Rules;
use crate::push::transfer::{Planning, print_all, send_all};
use crate::push::upload::Uploader;
use crate::report::{DryRun, Summary};
use crate::s3::deletes::DELETED_AT_ONCE;
use crate::s3::fault::StoreError;
use crate::s3::retry::retrying;
use crate::s3::tasks::{RunTimeout, each, runtime};
use crate::s3::xml::can_carry;
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop};
use std::collections::HashSet;
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

/// Concurrent requests that compare or delete objects.
const JOBS: usize = 64;

/// Mirrors a directory into a bucket.
///
/// # Errors
/// [`Stop::incomplete`] if some objects failed.
pub fn run(dir: &Path, to: &BucketPath, args: &Mirror) -> Result<Exit> {
    require_directory(dir)?;
    let tree = Arc::new(Tree::open(dir)?);
    let sources = match args.skip_damaged {
        true => salvage::gather(dir, &tree)?,
        false => source::gather(source::open_index(dir)?, &tree)?,
    };
    let remote = args.link.remote(to, args.max_rate)?;
    let runtime = runtime()?;
    let first = runtime.block_on(remote.page(None))?;
    // As a whole, so that nothing changes if the server does not list everything.
    let listing = runtime.block_on(BucketListing::read(&remote, first))?;

    let empty = sources.count == 0 && sources.failures.is_empty();
    if args.delete && empty && !sources.indexed && !listing.is_empty() {
        return Err(Stop::refused(format!(
            "{} is empty and has no index: --delete would empty {to}; nothing was changed",
            dir.display()
        ))
        .into());
    }
    let mut summary = Summary::new("push").skipping_damaged(args.skip_damaged);
    summary.objects = sources.count;
    summary.take_unsendable(sources.failures);
    if args.delete {
        summary.failed.extend(listing.failures.iter().cloned());
    }
    let objects = listing.into_objects()?;
    let rules =
        Rules { ignore_existing: args.ignore_existing, delete: args.delete, tags: args.tags };

    let bar = pipe_kit::progress::bytes(Some(0), "upload");
    let uploader = Uploader::new(remote, tree, bar, args.tags);
    let total = RunTimeout::of(args.timeout);
    let jobs = args.jobs.unwrap_or(JOBS);
    let planning = Planning::start(&runtime, sources.objects, objects, rules);
    if args.dry_run {
        let mut dry = DryRun::new(args.json);
        let printing = print_all(&uploader, planning, jobs, &mut summary, &mut dry);
        let others = runtime.block_on(total.bound(printing))?;
        let failed = [summary.failed, summary.left_out].concat();
        if failed.is_empty() {
            others.extra.finish()?.try_for_each(|key| dry.add("delete", &text(key?.key)?))?;
        }
        return dry.finish(failed);
    }
    let sending = send_all(&uploader, planning, args.jobs, &mut summary);
    let others = runtime.block_on(total.bound(sending))?;
    if summary.failed.is_empty() {
        runtime.block_on(delete_all(&uploader, others.extra, jobs, &mut summary))?;
    }
    uploader.bar.finish_and_clear();
    summary.finish(args.json, "the other objects are in place; fix the cause and run it again")
}

/// A key that was kept as bytes.
fn text(key: Vec<u8>) -> Result<String> {
    String::from_utf8(key).context("reading a temporary file: unexpected content")
}

async fn delete_all(
    uploader: &Arc<Uploader>,
    extra: Sorter,
    jobs: usize,
    summary: &mut Summary,
) -> Result<()> {
    let mut keys = extra.finish()?.map(|key| text(key?.key)).peekable();
    // Not all batches at once: there may be millions of keys.
    let mut unreadable = None;
    let batches = std::iter::from_fn(|| {
        next_batch(&mut keys).unwrap_or_else(|error| {
            unreadable = Some(error);
            None
        })
    });
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
    .await?;
    unreadable.map_or(Ok(()), Err)
}

/// Keys that one request can delete; none after the last key. A key that XML cannot carry is deleted alone.
fn next_batch(
    keys: &mut Peekable<impl Iterator<Item = Result<String>>>,
) -> Result<Option<Vec<String>>> {
    let Some(first) = keys.next().transpose()? else { return Ok(None) };
    let most = if can_carry(&first) { DELETED_AT_ONCE } else { 1 };
    let mut batch = vec![first];
    let fits = |key: &Result<String>| key.as_ref().map_or(true, |key| can_carry(key));
    while batch.len() < most
        && let Some(key) = keys.next_if(fits)
    {
        batch.push(key?);
    }
    Ok(Some(batch))
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
