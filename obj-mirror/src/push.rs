//! Directory to bucket: uploads first, deletes last.

use crate::cli::Mirror;
use crate::location::BucketPath;
use crate::plan;
use crate::remote::Remote;
use crate::report::{DryRun, Summary};
use crate::retry::retrying;
use crate::source::{self, Source};
use crate::store::Listed;
use crate::transfer::{each, runtime};
use crate::tree::{Tree, require_directory};
use crate::upload::Sender;
use anyhow::Result;
use pipe_kit::{Exit, Stop};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Mirrors a directory into a bucket.
///
/// # Errors
/// Whatever stops it; [`Stop::incomplete`] if some objects failed.
pub fn run(dir: &Path, to: &BucketPath, args: &Mirror) -> Result<Exit> {
    require_directory(dir)?;
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    let sources = match args.skip_damaged {
        true => source::gather_what_is_left(dir, &disk),
        false => source::gather(source::load_index(dir)?, &disk),
    };
    let remote = Remote::new(to, &args.link, args.max_rate)?;
    let runtime = runtime()?;
    let first = runtime.block_on(remote.page(None))?;
    let listing = runtime.block_on(remote.list(first))?;

    let empty = sources.keys.is_empty() && sources.failures.is_empty();
    if args.delete && empty && !sources.indexed && !listing.objects.is_empty() {
        return Err(Stop::refused(format!(
            "{} is empty and no index says that it should be: --delete would empty {to}; nothing was changed",
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
    let sender = Sender::new(remote, Arc::new(tree), bar);
    let mut send = plan.send;
    runtime.block_on(compare(
        &sender,
        plan.check,
        args.jobs.unwrap_or(32),
        &mut summary,
        &mut send,
    ))?;
    send.sort_by(|a, b| a.key.cmp(&b.key));
    if args.dry_run {
        let failed = [summary.failed, summary.left_out].concat();
        let mut dry = DryRun { failed, ..DryRun::default() };
        dry.add("upload", send.iter().map(|s| s.key.as_str()));
        if dry.failed.is_empty() {
            dry.add("delete", extra.iter().map(String::as_str));
        }
        return dry.finish(args.json);
    }
    runtime.block_on(send_all(&sender, send, args.jobs.unwrap_or(32), &mut summary))?;
    if summary.failed.is_empty() {
        runtime.block_on(delete_all(&sender, extra, args.jobs.unwrap_or(32), &mut summary))?;
    }
    sender.bar.finish_and_clear();
    summary.finish(args.json, "the other objects are in place; run it again once that is mended")
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
            Err(error) => summary.fail(&sender.remote, source.key, error)?,
        }
        Ok(())
    })
    .await
}

async fn send_all(
    sender: &Arc<Sender>,
    send: Vec<Source>,
    jobs: usize,
    summary: &mut Summary,
) -> Result<()> {
    let one = |source: Source| {
        let sender = Arc::clone(sender);
        async move {
            let sent = sender.send(&source).await;
            (source, sent)
        }
    };
    each(send, jobs, one, |(source, sent)| {
        match sent {
            Ok(()) => summary.sent(source.size),
            Err(error) => summary.fail(&sender.remote, source.key, error)?,
        }
        Ok(())
    })
    .await
}

async fn delete_all(
    sender: &Arc<Sender>,
    keys: BTreeSet<String>,
    jobs: usize,
    summary: &mut Summary,
) -> Result<()> {
    let one = |key: String| {
        let sender = Arc::clone(sender);
        async move {
            let full = sender.remote.full(&key);
            (key, retrying(|_| sender.remote.store.delete(&full)).await)
        }
    };
    each(keys, jobs, one, |(key, deleted)| {
        match deleted {
            Ok(()) => summary.deleted += 1,
            Err(error) => summary.fail(&sender.remote, key, error)?,
        }
        Ok(())
    })
    .await
}
