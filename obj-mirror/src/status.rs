//! `obj-mirror status`: what a bucket holds.

use crate::cli::Status;
use crate::location::BucketPath;
use crate::remote::{Listing, Remote};
use crate::{report, transfer};
use anyhow::Result;
use bundle_format::report::BucketStatus;
use pipe_kit::Exit;

/// Counts.
///
/// # Errors
/// If the bucket cannot be listed to its end.
pub fn run(args: &Status) -> Result<Exit> {
    let path = BucketPath::parse(&args.bucket)?;
    let remote = Remote::new(&path, &args.link, None)?;
    let found = transfer::runtime()?.block_on(count(&remote, args.quick))?;
    // A caller that means to make what is missing must tell that from a storage that does not answer.
    if found.is_none() && !args.json {
        return Err(remote.no_bucket());
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

/// Counts the bucket's objects, or those of its first page; nothing if there is no such bucket.
async fn count(remote: &Remote, quick: bool) -> Result<Option<Found>> {
    let mut found = Found::default();
    let mut add = |page: Listing| {
        found.objects += page.objects.len() + page.failures.len();
        found.bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
    };
    let Some(first) = remote.list_some().await? else { return Ok(None) };
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
