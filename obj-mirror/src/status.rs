//! `obj-mirror status`: what a bucket holds.

use crate::cli::Status;
use crate::location::BucketPath;
use crate::remote::Remote;
use crate::{report, transfer};
use anyhow::Result;
use pipe_kit::Exit;
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    bucket: &'a str,
    prefix: &'a str,
    endpoint: &'a str,
    /// Whether there is such a bucket.
    exists: bool,
    objects: usize,
    bytes: u64,
    /// Whether that is all: with `--quick`, only the first page is counted.
    complete: bool,
}

/// Counts.
///
/// # Errors
/// If the bucket cannot be listed to its end.
pub fn run(args: &Status) -> Result<Exit> {
    let path = BucketPath::parse(&args.bucket)?;
    let remote = Remote::new(&path, &args.resolve.resolve)?;
    let found = transfer::runtime()?.block_on(async {
        match args.quick {
            true => remote.list_some().await,
            false => remote.list().await.map(|listing| Some((listing, false))),
        }
    })?;
    // A caller that means to make what is missing must tell that from a storage that does not answer.
    if found.is_none() && !args.json {
        return Err(remote.no_bucket());
    }
    let exists = found.is_some();
    let (listing, more) = found.unwrap_or_default();
    let report = Report {
        bucket: &path.bucket,
        prefix: &path.prefix,
        endpoint: remote.store.endpoint(),
        exists,
        objects: listing.objects.len() + listing.failures.len(),
        bytes: listing.objects.iter().map(|o| o.size).sum(),
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
