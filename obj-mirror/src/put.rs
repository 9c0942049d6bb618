//! `obj-mirror put`: stores one object.

mod buffer;
mod ending;
mod input;
mod resume;
mod room;
mod source;
mod upload;

use crate::cli::Put;
use crate::location::{BucketPath, ObjectPath};
use crate::put::buffer::Buffers;
use crate::put::ending::Ending;
use crate::put::input::{Input, Opened};
use crate::put::upload::{Destination, Failed, Stored};
use crate::report::print_json;
use crate::s3::fault::{Answer, Kind, StoreError};
use crate::s3::lock::Retention;
use crate::s3::retry::retrying;
use crate::s3::store::Store;
use crate::s3::tasks::runtime;
use crate::spool;
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Duration, Utc};
use pipe_kit::{Exit, cleanup, info, warning};
use serde::Serialize;
use std::sync::{Arc, mpsc};
use tokio::sync::watch;

/// How long a signal waits for the upload to be aborted.
const ABORT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Serialize)]
struct PutReport<'a> {
    bucket: &'a str,
    key: &'a str,
    bytes: u64,
    /// Hex.
    sha256: Option<&'a str>,
    parts: u32,
    /// Parts that an earlier run had sent.
    resumed: u32,
}

/// Stores the input as an object, or nothing.
///
/// # Errors
/// [`Stop::damaged`](pipe_kit::Stop::damaged) if the input does not have the given SHA-256.
pub fn run(args: &Put) -> Result<Exit> {
    let to = ObjectPath::parse(&args.object)?;
    let bucket = BucketPath { bucket: to.bucket.clone(), prefix: String::new() };
    let store = args.link.remote(&bucket, args.max_rate)?.store;
    let retention = args.retain_days.map(|days| Retention {
        mode: args.retain_mode,
        until: Utc::now() + Duration::days(days.into()),
    });
    let opened = input::open(args)?;
    let size = match &opened.input {
        Input::File(file) => Some(file.size),
        _ => None,
    };
    let destination = Arc::new(Destination {
        store,
        key: to.key.clone(),
        retention,
        resumes: size.is_some() && !args.discard_unfinished,
        bar: pipe_kit::progress::bytes(size, "upload"),
    });
    let stored = transfer(&destination, opened, args);
    destination.bar.finish_and_clear();
    let stored = stored.map_err(|Failed { error, is_unknown }| {
        error.context(match is_unknown {
            false => format!("{to} was not stored"),
            true => format!("it is not known whether {to} was stored; run it again"),
        })
    })?;
    if let Some(retention) = retention {
        // The connections of the upload ended with it.
        let store = args.link.remote(&bucket, None)?.store;
        runtime()?.block_on(async {
            let shown = locked_until(&store, &to, retention, stored.parts > 1).await;
            prove_lock(shown, &to, retention)
        })?;
    }
    report(&to, &stored, args.json)
}

/// Until when the server shows the object as locked. Some servers (Ceph 16 is one) lose the lock of an upload in parts,
/// and keep one that is set afterwards.
async fn locked_until(
    store: &Store,
    to: &ObjectPath,
    wanted: Retention,
    is_in_parts: bool,
) -> Answer<Option<DateTime<Utc>>> {
    let ask = || retrying(|_| store.locked_until(&to.key));
    let shown = ask().await;
    let is_unseen = match &shown {
        Ok(until) => until.is_none(),
        Err(error) => error.kind == Kind::Denied,
    };
    if !is_in_parts || !is_unseen {
        return shown;
    }
    match (retrying(|_| store.set_retention(&to.key, wanted)).await, shown) {
        (Ok(()), _) => ask().await,
        // Whoever sees that there is no lock needs no other reason.
        (Err(_), Ok(none)) => Ok(none),
        (Err(error), Err(_)) => Err(StoreError::permanent(error.message)),
    }
}

/// Some servers accept a lock and do not know what it is.
fn prove_lock(
    shown: Answer<Option<DateTime<Utc>>>,
    to: &ObjectPath,
    wanted: Retention,
) -> Result<()> {
    let what = format!("{to} is stored");
    match shown {
        Ok(Some(until)) if until >= wanted.until - Duration::minutes(1) => Ok(()),
        Ok(Some(until)) => bail!("{what}, but it is locked only until {}", until.to_rfc3339()),
        Ok(None) => bail!(
            "{what}, but the server shows no lock of it: it does not support Object Lock, or the keys may read objects \
             and lack s3:GetObjectRetention"
        ),
        // Keys that can only upload.
        Err(error) if error.kind == Kind::Denied => Ok(()),
        Err(error) => {
            warning!("{what}; whether it is locked could not be checked: {error}");
            Ok(())
        }
    }
}

/// Sends the input. A signal aborts the upload before it ends the process.
fn transfer(destination: &Arc<Destination>, opened: Opened, args: &Put) -> Result<Stored, Failed> {
    let runtime = runtime()?;
    let (stop, mut stopped) = watch::channel(false);
    let (done, is_done) = mpsc::channel();
    let guard = cleanup::on_failure(move || {
        let _ = stop.send(true);
        let _ = is_done.recv_timeout(ABORT_TIMEOUT);
    });
    let mut ending = Ending::new(&opened.input, opened.child, args.sha256.clone());
    if args.discard_unfinished {
        runtime.block_on(discard(destination));
    }
    let buffers = Buffers::new(args.spool.clone().unwrap_or_else(spool::directory));
    let with_sha256 = args.json || args.sha256.is_some();
    let events = source::start(opened.input, buffers, with_sha256).context("starting a thread")?;
    let stored = runtime.block_on(destination.store_input(events, &mut ending, &mut stopped));
    let _ = done.send(());
    match stored {
        Ok(_) => guard.disarm(),
        Err(_) => drop(guard),
    }
    // A read of a silent input is not waited for.
    runtime.shutdown_background();
    stored
}

async fn discard(destination: &Destination) {
    match resume::discard_unfinished(&destination.store, &destination.key).await {
        Ok(0) => {}
        Ok(n) => info!("aborted {}", pipe_kit::text::count(n, "unfinished upload")),
        Err(error) => warning!("unfinished uploads of this key cannot be aborted: {error}"),
    }
}

fn report(to: &ObjectPath, stored: &Stored, json: bool) -> Result<Exit> {
    let Stored { whole, parts, resumed } = stored;
    let known = match resumed {
        0 => String::new(),
        n => format!(", {n} of them sent by an earlier run"),
    };
    let parts_text = pipe_kit::text::count(*parts as usize, "part");
    info!("stored {to}: {} bytes in {parts_text}{known}", whole.bytes);
    if json {
        print_json(&PutReport {
            bucket: &to.bucket,
            key: &to.key,
            bytes: whole.bytes,
            sha256: whole.sha256.as_deref(),
            parts: *parts,
            resumed: *resumed,
        })?;
    }
    Ok(Exit::Done)
}
