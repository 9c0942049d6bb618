//! `obj-mirror status`: counts the objects of a bucket.

use crate::cli::Status;
use crate::location::BucketPath;
use crate::report;
use crate::s3::remote::{Listing, Remote};
use crate::s3::tasks;
use anyhow::Result;
use bundle_format::report::BucketStatus;
use pipe_kit::Exit;

/// Counts the objects of a bucket.
pub fn run(args: &Status) -> Result<Exit> {
    let path = BucketPath::parse(&args.bucket)?;
    let remote = args.link.remote(&path, None)?;
    let found = tasks::runtime()?.block_on(count(&remote, args.quick))?;
    // A caller that creates a missing bucket must be able to distinguish it from an unreachable server.
    if found.is_none() && !args.json {
        return Err(remote.store.no_bucket());
    }
    let exists = found.is_some();
    let Found { objects, bytes, more } = found.unwrap_or_default();
    let report = BucketStatus {
        bucket: path.bucket.clone(),
        prefix: path.prefix.clone(),
        endpoint: remote.store.endpoint().to_owned(),
        exists,
        objects: objects as u64,
        bytes,
        complete: !more,
    };
    if args.json {
        report::print_json(&report)?;
    } else {
        let least = if more { "at least " } else { "" };
        let text = format!("objects: {least}{}\nbytes: {least}{}\n", report.objects, report.bytes);
        pipe_kit::output::print(&text)?;
    }
    Ok(Exit::Done)
}

#[derive(Default)]
struct Found {
    objects: usize,
    bytes: u64,
    more: bool,
}

/// Counts the objects of the bucket or of its first page; none if the bucket does not exist.
async fn count(remote: &Remote, quick: bool) -> Result<Option<Found>> {
    let mut found = Found::default();
    let mut add = |page: Listing| {
        found.objects += page.objects.len() + page.failures.len();
        found.bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
    };
    let Some(first) = remote.first_page().await? else { return Ok(None) };
    if quick {
        add(first.0);
        found.more = first.1.is_some();
        return Ok(Some(found));
    }
    remote
        .pages(first, async |page| {
            add(page);
            Ok(())
        })
        .await?;
    Ok(Some(found))
}
