//! `ship-run fetch`: writes one copy to standard output.

use crate::cli::Fetch;
use crate::place::Place;
use crate::place::bucket::{self, Bucket};
use crate::settings;
use anyhow::{Context, Result};
use bundle_format::shipped::{SUFFIX, ShippedManifest, sealed_name};
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, child, deploy_env, info, warning};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a copy to standard output, or to the standard input of the command that is named.
///
/// # Errors
/// [`Stop::damaged`] if it is not what its description has.
pub fn run(args: &Fetch) -> Result<Exit> {
    let usage =
        || Stop::usage(format!("{}: a copy is written s3://BUCKET/NAME.tar.age", args.copy));
    let rest = args.copy.strip_prefix("s3://").ok_or_else(usage)?;
    let (folder, name) = rest.rsplit_once('/').ok_or_else(usage)?;
    sealed_name(name).ok_or_else(usage)?;
    let variables = variables();
    let own = settings::destinations(&|name| variables.get(name).cloned())?;
    let fitting = own.into_iter().find_map(|destination| {
        let shown = destination.to_string();
        match destination.place {
            Place::Bucket(bucket) if bucket.name_of(rest).is_some() => Some((shown, bucket)),
            _ => None,
        }
    });
    let bucket = match fitting {
        Some((destination, bucket)) => {
            info!("with the settings of {destination}");
            bucket
        }
        None => Bucket::of_environment(folder),
    };
    let sha256 = match described(&bucket, name)? {
        Ok(manifest) => Some(manifest.sha256),
        Err(why) => {
            warning!("{}: {why}; only its own encryption is checked", args.copy);
            None
        }
    };
    let fetching = || format!("fetching {}", args.copy);
    let Some((program, arguments)) = args.command.split_first() else {
        let get = bucket.start_get(name, sha256.as_deref(), Stdio::inherit())?;
        bucket::ended(get.finish()?).with_context(fetching)?;
        return Ok(Exit::Done);
    };
    let mut get = bucket.start_get(name, sha256.as_deref(), Stdio::piped())?;
    let from = get.take_stdout().context("a pipe")?;
    let shown = program.to_string_lossy().into_owned();
    let mut command = Command::new(program);
    let reader = child::spawn(command.args(arguments).stdin(from), shown)?.finish()?;
    let get = get.finish()?;
    // A reader that ends early breaks the pipe; then its own failure is the cause.
    let is_broken_pipe = get.status.code() == Some(Exit::ClosedPipe.code().into());
    if reader.status.success() || !is_broken_pipe {
        bucket::ended(get).with_context(fetching)?;
    }
    let exit = match reader.status.code() {
        Some(0) => return Ok(Exit::Done),
        Some(2) => Exit::Usage,
        Some(4) => Exit::Damaged,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    Err(Stop::with_exit(exit, format!("{}: {}", args.copy, reader.describe(None))).into())
}

/// The settings of the deployment, if it has any, else the environment. The variables of other clients stay as they
/// are: they may be those that the copy needs.
fn variables() -> BTreeMap<String, String> {
    let own = || std::env::vars().filter(|(_, value)| !value.is_empty()).collect();
    let deploy = std::env::var_os("PIPRIO_DEPLOY").unwrap_or_default();
    let is_configured = Path::new(&deploy).join(".env").symlink_metadata().is_ok();
    if deploy.is_empty() || !is_configured || deploy_env::is_resolved() {
        return own();
    }
    match Tool::new("deploy-env").args(["--", "env", "-0"]).capture() {
        Ok(text) => {
            let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        Err(error) => {
            warning!("the settings of {} are not used: {error:#}", Path::new(&deploy).display());
            own()
        }
    }
}

/// The description of a copy, or why it cannot be used.
///
/// # Errors
/// [`Stop::damaged`] if it is that of another copy.
fn described(bucket: &Bucket, name: &str) -> Result<Result<ShippedManifest, String>> {
    let bytes = match bucket.read(&format!("{name}{SUFFIX}")) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(format!("its description cannot be read ({error:#})"))),
    };
    match ShippedManifest::parse(&bytes) {
        Ok(manifest) if manifest.file != name => {
            let other = manifest.file;
            Err(Stop::damaged(format!("the description of {name} is that of {other}")).into())
        }
        Ok(manifest) => Ok(Ok(manifest)),
        Err(why) => Ok(Err(format!("its description is damaged: {why}"))),
    }
}
