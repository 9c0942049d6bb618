//! `obj-mirror make-bucket`: creates a bucket.

use crate::cli::MakeBucket;
use crate::location::BucketPath;
use crate::report;
use crate::s3::fault::Kind;
use crate::s3::remote::Remote;
use crate::s3::retry::retrying;
use crate::s3::tasks;
use anyhow::Result;
use pipe_kit::{Exit, Stop, info};
use serde::Serialize;

#[derive(Serialize)]
struct MakeBucketReport<'a> {
    bucket: &'a str,
    endpoint: &'a str,
    /// Whether this run created it.
    created: bool,
}

/// Creates a bucket if it is missing.
pub fn run(args: &MakeBucket) -> Result<Exit> {
    let path = BucketPath::parse(&args.bucket)?;
    if !path.prefix.is_empty() {
        return Err(Stop::usage(format!(
            "{path}: a bucket has no prefix: use s3://{}",
            path.bucket
        ))
        .into());
    }
    let remote = args.link.remote(&path, None)?;
    let created = tasks::runtime()?.block_on(make(&remote))?;
    let endpoint = remote.store.endpoint();
    match created {
        true => info!("created bucket {} at {endpoint}", path.bucket),
        false => info!("bucket {} already exists at {endpoint}", path.bucket),
    }
    if args.json {
        report::print_json(&MakeBucketReport { bucket: &path.bucket, endpoint, created })?;
    }
    Ok(Exit::Done)
}

async fn make(remote: &Remote) -> Result<bool> {
    if remote.first_page().await?.is_some() {
        return Ok(false);
    }
    match retrying(|_| remote.store.make_bucket()).await {
        Ok(()) => Ok(true),
        // Another client was faster, or the response to an earlier attempt was lost.
        Err(error) if error.kind == Kind::BucketThere => Ok(false),
        Err(error) => Err(remote.store.fatal(&error).context("cannot create the bucket")),
    }
}
