//! `obj-mirror list` and `obj-mirror delete`: the objects of a bucket by their keys.

use crate::cli::{Delete, List};
use crate::location::{BucketPath, ObjectPath};
use crate::object::key::printable;
use crate::report::print_json;
use crate::s3::fault::StoreError;
use crate::s3::retry::retrying;
use crate::s3::tasks::{each, runtime};
use anyhow::Result;
use bundle_format::report::{BucketObject, BucketObjects};
use pipe_kit::{Exit, Stop, info};

/// Objects that are deleted at the same time.
const JOBS: usize = 16;

/// Lists the objects below a prefix.
///
/// # Errors
/// [`Stop::incomplete`] if a key cannot be read.
pub fn list(args: &List) -> Result<Exit> {
    let BucketPath { bucket, prefix } = BucketPath::parse(&args.bucket)?;
    let path = BucketPath { bucket, prefix: format!("{prefix}{}", args.begins) };
    let remote = args.link.remote(&path, None)?;
    let runtime = runtime()?;
    let first = match args.json {
        false => runtime.block_on(remote.page(None))?,
        true => match runtime.block_on(remote.first_page_if_allowed())? {
            Some(page) => page,
            None => {
                print_json(&BucketObjects { allowed: false, objects: Vec::new() })?;
                return Ok(Exit::Done);
            }
        },
    };
    let listing = runtime.block_on(remote.list(first))?;
    for failure in &listing.failures {
        pipe_kit::log::line(format_args!("{}: {}", printable(&failure.key), failure.reason));
    }
    let object = |object: crate::s3::listed::Listed| BucketObject {
        key: format!("{}{}", args.begins, object.key),
        size: object.size,
        modified: object.modified,
    };
    let objects: Vec<BucketObject> = listing.objects.into_iter().map(object).collect();
    if args.json {
        print_json(&BucketObjects { allowed: true, objects })?;
    } else {
        let line =
            |object: &BucketObject| format!("{:>15} {}\n", object.size, printable(&object.key));
        pipe_kit::output::print(&objects.iter().map(line).collect::<String>())?;
    }
    match listing.failures.len() {
        0 => Ok(Exit::Done),
        n => Err(Stop::incomplete(format!("{n} keys cannot be read, each named above")).into()),
    }
}

/// Deletes objects. One that is missing counts as deleted.
///
/// # Errors
/// [`Stop::incomplete`] if some could not be deleted.
pub fn delete(args: &Delete) -> Result<Exit> {
    let paths = args.objects.iter().map(|text| ObjectPath::parse(text));
    let paths = paths.collect::<Result<Vec<_>, _>>()?;
    let bucket = paths.first().map(|path| path.bucket.clone()).unwrap_or_default();
    if paths.iter().any(|path| path.bucket != bucket) {
        return Err(Stop::usage("all objects must be of one bucket").into());
    }
    let store = args.link.remote(&BucketPath { bucket, prefix: String::new() }, None)?.store;
    let one = |path: ObjectPath| {
        let store = store.clone();
        async move {
            let deleted = retrying(|_| store.delete(&path.key)).await;
            (path, deleted)
        }
    };
    let mut failed = 0;
    let deleted =
        each(paths, JOBS, one, |(path, deleted): (ObjectPath, Result<(), StoreError>)| {
            match deleted {
                Ok(()) => info!("deleted {path}"),
                Err(error) => {
                    failed += 1;
                    pipe_kit::log::line(format_args!("{path}: not deleted: {error}"));
                }
            }
            Ok(())
        });
    runtime()?.block_on(deleted)?;
    match failed {
        0 => Ok(Exit::Done),
        n => Err(Stop::incomplete(format!("{n} not deleted, each named above")).into()),
    }
}
