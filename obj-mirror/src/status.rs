//! `obj-mirror status`: counts the objects of a bucket.

use crate::cli::Status;
use crate::location::BucketPath;
use crate::report;
use crate::s3::fault::Kind;
use crate::s3::remote::{Listing, Remote};
use crate::s3::retry::retrying;
use crate::s3::store::ObjectAttributes;
use crate::s3::tasks;
use anyhow::Result;
use bundle_format::report::BucketStatus;
use http::HeaderMap;
use pipe_kit::{Exit, warning};

/// The key of an upload that is begun and aborted.
const PROBE: &str = ".obj-mirror-probe";

/// Counts the objects of a bucket.
pub fn run(args: &Status) -> Result<Exit> {
    let path = BucketPath::parse(&args.bucket)?;
    let remote = args.link.remote(&path, None)?;
    let runtime = tasks::runtime()?;
    let found = runtime.block_on(count(&remote, args.quick))?;
    if args.writable && found.is_some() {
        runtime.block_on(try_to_write(&remote))?;
    }
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

/// Begins an upload and aborts it. Keys that may only read are refused then, and nothing is stored, which a bucket with
/// versions or a lock would keep. A server without such uploads shows nothing of the keys.
async fn try_to_write(remote: &Remote) -> Result<()> {
    let (headers, key) = (HeaderMap::new(), remote.full(PROBE));
    let attributes = ObjectAttributes { headers: &headers, tags: None };
    let upload = match retrying(|_| remote.store.begin_parts(&key, attributes)).await {
        Ok(upload) => upload,
        Err(error) if matches!(error.kind, Kind::Unsupported | Kind::Permanent | Kind::NoKey) => {
            warning!("whether the keys may write was not found out: {error}");
            return Ok(());
        }
        Err(error) => {
            let path = format!("s3://{}", remote.store.name());
            let failed = format!("writing to {path} was tried, and nothing was stored");
            return Err(remote.store.fatal(&error).context(failed));
        }
    };
    // An upload that stays holds no part; the storage's rule for unfinished uploads removes it.
    if let Err(error) = retrying(|_| remote.store.abort_parts(&upload)).await {
        warning!("an upload of {key}, which holds nothing, was not aborted: {error}");
    }
    Ok(())
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
