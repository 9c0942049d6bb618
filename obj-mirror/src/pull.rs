//! Bucket to directory.

use crate::cli::Mirror;
use crate::fault::{Kind, StoreError};
use crate::headers::Head;
use crate::index::{self, Entry};
use crate::location::BucketPath;
use crate::placement::{OWN, hex};
use crate::plan::{self, Fetch, is_md5};
use crate::remote::{Listing, Remote};
use crate::report::{DryRun, Failure, Summary};
use crate::retry::retrying;
use crate::store::Listed;
use crate::transfer::{each, on_disk, runtime};
use crate::tree::{Contents, Tree, split};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use md5::Md5;
use pipe_kit::{Exit, Stop, say, warning};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs::{DirBuilder, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Mirrors a bucket into a directory.
///
/// # Errors
/// Whatever stops it; [`Stop::incomplete`] if some objects failed.
pub fn run(from: &BucketPath, dir: &Path, args: &Mirror) -> Result<Exit> {
    let remote = Remote::new(from, &args.resolve.resolve)?;
    let runtime = runtime()?;
    let listing = runtime.block_on(remote.list())?;
    if args.dry_run {
        return dry_run(dir, listing, args);
    }
    let exists = dir.symlink_metadata().is_ok();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("making {}", dir.display()))?;
    if !exists {
        pipe_kit::atomic::sync_directory(pipe_kit::atomic::directory_of(dir))?;
    }
    let tree = Tree::open(dir)?;
    let disk = tree.contents()?;
    check_deletes(dir, &listing, &disk, args)?;
    tree.prepare()?;
    let journal = Journal::open(&tree)?;
    tree.clear_temps()?;
    let guard = tree.remove_temps_on_failure();

    let mut summary = Summary::new("pull", listing.objects.len() + listing.failures.len());
    let mut plan = plan::pull(listing.objects, known(dir), &disk);
    summary.failed = listing.failures;
    summary.failed.append(&mut plan.failures);
    summary.unchanged = plan.keep.len() as u64;

    let mut entries = plan.keep;
    let work = Work::new(remote, tree, journal, &plan.fetch);
    runtime
        .block_on(fetch_all(&work, plan.fetch, args.jobs, &mut summary, &mut entries))
        .with_context(|| format!("mirroring {from} into {}", dir.display()))?;
    work.bar.finish_and_clear();
    if summary.failed.is_empty() {
        finish(&work, &disk, &mut entries, args.delete, &mut summary)?;
    }
    guard.disarm();
    work.tree.remove_temp_directory();
    summary.finish(
        args.json,
        "the other objects are in place, no index was written and nothing deleted; run it again to continue",
    )
}

/// What an index and a journal say was fetched. A damaged one says nothing: all is fetched again.
fn known(dir: &Path) -> HashMap<String, Entry> {
    let index = index::load(dir).unwrap_or_else(|error| {
        warning!("{error:#}; every object will be fetched again");
        None
    });
    let journal = index::load_journal(dir).unwrap_or_default();
    let all = index.unwrap_or_default().into_iter().chain(journal);
    all.map(|entry| (entry.key.clone(), entry)).collect()
}

fn dry_run(dir: &Path, listing: Listing, args: &Mirror) -> Result<Exit> {
    let disk = match dir.symlink_metadata() {
        Ok(_) => Tree::open(dir)?.contents()?,
        Err(_) => Contents::default(),
    };
    check_deletes(dir, &listing, &disk, args)?;
    let plan = plan::pull(listing.objects, known(dir), &disk);
    let mut dry = DryRun::default();
    dry.add("download", plan.fetch.iter().map(|f| f.object.key.as_str()));
    dry.failed = listing.failures;
    dry.failed.extend(plan.failures);
    if args.delete && dry.failed.is_empty() {
        let kept = plan.keep.iter().map(|e| e.path.as_str());
        let paths = kept.chain(plan.fetch.iter().map(|f| f.path.as_str()));
        let foreign = disk.foreign.iter().map(|p| p.to_string_lossy().into_owned());
        let gone: Vec<_> = plan::leftovers(&disk, paths).into_iter().chain(foreign).collect();
        dry.add("delete", gone.iter().map(String::as_str));
    }
    dry.finish(args.json)
}

/// The safeguards of `--delete` that can be checked before anything is changed.
fn check_deletes(dir: &Path, listing: &Listing, disk: &Contents, args: &Mirror) -> Result<()> {
    if !args.delete || (disk.files.is_empty() && disk.foreign.is_empty()) {
        return Ok(());
    }
    let shown = dir.display();
    if dir.join(OWN).symlink_metadata().is_err() {
        return Err(Stop::refused(format!(
            "{shown} has files and is no mirror, so --delete would remove what may be something else; \
             nothing was changed; mirror without --delete first, or name an empty directory"
        ))
        .into());
    }
    if listing.objects.is_empty() && listing.failures.is_empty() {
        return Err(Stop::refused(format!(
            "the bucket is empty and {shown} is not: --delete would remove everything; nothing was changed"
        ))
        .into());
    }
    Ok(())
}

/// What every transfer needs.
struct Work {
    remote: Remote,
    tree: Arc<Tree>,
    journal: Arc<Journal>,
    bar: ProgressBar,
}

impl Work {
    fn new(remote: Remote, tree: Tree, journal: Journal, fetches: &[Fetch]) -> Arc<Self> {
        let bytes = fetches.iter().map(|f| f.object.size).sum();
        let bar = pipe_kit::progress::bytes(Some(bytes), "download");
        Arc::new(Self { remote, tree: Arc::new(tree), journal: Arc::new(journal), bar })
    }
}

async fn fetch_all(
    work: &Arc<Work>,
    fetches: Vec<Fetch>,
    jobs: usize,
    summary: &mut Summary,
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let one = |(number, fetch): (usize, Fetch)| {
        let work = Arc::clone(work);
        async move {
            let result = retrying(|_| attempt(&work, &fetch, number)).await;
            (fetch.object.key, result)
        }
    };
    each(fetches.into_iter().enumerate(), jobs, one, |(key, result)| {
        match result {
            Ok(entry) => {
                summary.sent(entry.size);
                entries.push(entry);
            }
            Err(error) if error.kind == Kind::NoKey => {
                say!("{} went away before it was read; skipped", crate::key::printable(&key));
                summary.vanished += 1;
            }
            Err(error) => summary.fail(&work.remote, key, error)?,
        }
        Ok(())
    })
    .await
}

/// Fetches one object once.
async fn attempt(work: &Arc<Work>, fetch: &Fetch, number: usize) -> Result<Entry, StoreError> {
    let temp = format!("get-{number}");
    let mut seen = 0;
    let result = receive(work, fetch, &temp, &mut seen).await;
    if result.is_err() {
        work.bar.dec(seen);
        work.tree.remove_temp(&temp);
    }
    result
}

async fn receive(
    work: &Arc<Work>,
    fetch: &Fetch,
    temp: &str,
    seen: &mut u64,
) -> Result<Entry, StoreError> {
    let local = |e: std::io::Error| StoreError::local(&e);
    let mut download = work.remote.store.get(&work.remote.full(&fetch.object.key)).await?;
    let mut file = work.tree.create_temp(temp).map_err(local)?;
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    let check_md5 = download.head.etag_is_md5 && is_md5(&download.head.etag);
    while let Some(bytes) = download.chunk().await? {
        file.write_all(&bytes).map_err(local)?;
        sha256.update(&bytes);
        if check_md5 {
            md5.update(&bytes);
        }
        *seen += bytes.len() as u64;
        work.bar.inc(bytes.len() as u64);
    }
    let head = download.head;
    let announced = head.size.unwrap_or(fetch.object.size);
    if *seen != announced {
        return Err(StoreError::transient(format!("{seen} bytes came of {announced}")));
    }
    if check_md5 && hex(&md5.finalize()) != head.etag.to_ascii_lowercase() {
        return Err(StoreError::transient("what came does not fit its ETag"));
    }
    let entry = Entry {
        key: fetch.object.key.clone(),
        path: fetch.path.clone(),
        size: *seen,
        last_modified: written(&fetch.object, &head),
        etag: head.etag,
        sha256: hex(&sha256.finalize()),
        properties: head.properties,
    };
    let (work, temp, placed) = (Arc::clone(work), temp.to_owned(), entry.clone());
    on_disk(move || place(&work, &file, &temp, &placed)).await?;
    Ok(entry)
}

fn place(work: &Work, file: &File, temp: &str, entry: &Entry) -> std::io::Result<()> {
    file.set_times(FileTimes::new().set_modified(entry.last_modified.into()))?;
    file.sync_all()?;
    work.tree.place_temp(temp, &entry.path)?;
    work.journal.add(entry)
}

/// When an object was written: the listing's time is finer, but counts only if it is of the same state.
fn written(listed: &Listed, head: &Head) -> DateTime<Utc> {
    match head.modified {
        Some(time) if head.etag != listed.etag => time,
        Some(time) if (time - listed.modified).num_seconds().abs() > 1 => time,
        _ => listed.modified,
    }
}

/// Deletes what is extra, makes it all durable, and writes the index: from here on the mirror is whole.
fn finish(
    work: &Work,
    disk: &Contents,
    entries: &mut [Entry],
    delete: bool,
    summary: &mut Summary,
) -> Result<()> {
    let extra = plan::leftovers(disk, entries.iter().map(|e| e.path.as_str()));
    if delete {
        let foreign = disk.foreign.iter().map(|p| p.to_str().ok_or(p)).collect::<Vec<_>>();
        for path in extra.iter().map(|p| Ok(p.as_str())).chain(foreign) {
            let removed = match path {
                Ok(path) => work.tree.remove(path).map_err(|e| e.to_string()),
                Err(_) => Err("its name is not UTF-8; remove it by hand".into()),
            };
            let name = || path.map_or_else(|p| p.to_string_lossy().into_owned(), str::to_owned);
            match removed {
                Ok(()) => summary.deleted += 1,
                Err(reason) => summary.failed.push(Failure { key: name(), reason }),
            }
        }
    } else if !extra.is_empty() || !disk.foreign.is_empty() {
        warning!(
            "{} files in {} are none of the bucket's objects; --delete removes them",
            extra.len() + disk.foreign.len(),
            work.tree.path().display()
        );
    }
    let mut directories = BTreeSet::from([""]);
    for mut path in entries.iter().map(|e| e.path.as_str()).chain(extra.iter().map(String::as_str))
    {
        while !path.is_empty() {
            path = split(path).0;
            directories.insert(path);
        }
    }
    directories.into_iter().try_for_each(|d| work.tree.sync(d))?;
    index::save(work.tree.path(), entries)?;
    work.tree.sync(OWN)?;
    work.journal.remove(&work.tree)?;
    work.tree.sync(OWN)
}

/// The index as it grows, one line a finished object. Only one run at a time holds it.
struct Journal(Mutex<File>);

impl Journal {
    fn open(tree: &Tree) -> Result<Self> {
        let shown = tree.path().display();
        let mut file =
            tree.open_journal().with_context(|| format!("opening the journal in {shown}"))?;
        if file.try_lock().is_err() {
            return Err(Stop::refused(format!("another run is mirroring into {shown}")).into());
        }
        // The last line may have been cut by a crash.
        file.write_all(b"\n").with_context(|| format!("writing the journal in {shown}"))?;
        tree.sync(OWN)?;
        Ok(Self(Mutex::new(file)))
    }

    fn add(&self, entry: &Entry) -> std::io::Result<()> {
        let line = index::line(entry).map_err(std::io::Error::other)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }

    fn remove(&self, tree: &Tree) -> Result<()> {
        let path = index::journal_path(tree.path());
        std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
    }
}
