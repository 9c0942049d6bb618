//! Runs the command of the command line.

use crate::cli::{Cli, Command, Mirror};
use crate::location::Location;
use crate::{get, keys, make_bucket, pull, push, put, status, verify};
use anyhow::Result;
use pipe_kit::{Exit, Stop};

/// Runs the command of the command line.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    cli.progress.apply();
    match cli.command {
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Status(args)) => status::run(&args),
        Some(Command::MakeBucket(args)) => make_bucket::run(&args),
        Some(Command::Put(args)) => put::run(&args),
        Some(Command::Get(args)) => get::run(&args),
        Some(Command::List(args)) => keys::list(&args),
        Some(Command::Delete(args)) => keys::delete(&args),
        None => mirror(&cli.mirror),
    }
}

fn mirror(args: &Mirror) -> Result<Exit> {
    if let Some(verb @ ("verify" | "status" | "make-bucket" | "put" | "get")) =
        args.source.as_deref()
    {
        return Err(Stop::usage(format!(
            "options of {verb} must follow it: obj-mirror {verb} … --quiet; write a directory of that name as ./{verb}"
        ))
        .into());
    }
    let side = |text: &Option<String>| Location::parse(text.as_deref().unwrap_or_default());
    match (side(&args.source)?, side(&args.destination)?) {
        (Location::Bucket(_), Location::Directory(_)) if args.skip_damaged => {
            Err(Stop::usage("--skip-damaged requires a directory as the source").into())
        }
        (Location::Bucket(_), Location::Directory(_)) if args.ignore_existing => {
            Err(Stop::usage("--ignore-existing requires a directory as the source").into())
        }
        (Location::Directory(_), Location::Bucket(_)) if args.link_dest.is_some() => {
            Err(Stop::usage("--link-dest requires a directory as the destination").into())
        }
        (Location::Bucket(bucket), Location::Directory(dir)) => pull::run(&bucket, &dir, args),
        (Location::Directory(dir), Location::Bucket(bucket)) => push::run(&dir, &bucket, args),
        _ => {
            Err(Stop::usage("one side must be s3://BUCKET[/PREFIX], the other a directory").into())
        }
    }
}
