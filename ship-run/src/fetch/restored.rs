//! A bundle out of a restic repository. It gets its name only as a whole.

use crate::cli::Fetch;
use crate::fetch::choice::{Own, choose};
use crate::place::restic::Repository;
use crate::place::restic::snapshot::Snapshot;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::layout::SEAL;
use pipe_kit::text::hex;
use pipe_kit::{Exit, Stop, atomic, cleanup, info, output, text};
use rustix::fs::statvfs;
use sha2::{Digest, Sha256};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// What stays free of a filesystem; of a small one, a twentieth.
const RESERVE: u64 = 256 << 20;

/// Restores the bundle into the directory that the options name, and prints its path.
///
/// # Errors
/// [`Stop::refused`] if there is no room, it is there already, or it is not known which snapshot is meant;
/// [`Stop::damaged`] if it is not restored whole.
pub fn restore(
    repository: &Repository,
    bundle: &BundleName,
    own: &Own,
    args: &Fetch,
) -> Result<Exit> {
    let Some(into) = &args.into else {
        let why =
            "a snapshot is restored into a directory: --into DIR; restic itself: restic restore";
        return Err(Stop::usage(why).into());
    };
    let name = bundle.as_str();
    let snapshots = repository.snapshots()?;
    let snapshot = choose(&snapshots, bundle, own)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(into);
    made.with_context(|| format!("creating {}", into.display()))?;
    let target = into.join(name);
    if target.symlink_metadata().is_ok() {
        let why = format!("{} exists already; nothing was restored", target.display());
        return Err(Stop::refused(why).into());
    }
    let partial = into.join(format!(".{name}.partial"));
    remove(&partial)?;
    let room = repository.restore_size(snapshot)?;
    require_room(into, room)?;
    let made = DirBuilder::new().mode(0o700).create(&partial);
    made.with_context(|| format!("creating {}", partial.display()))?;
    let undone = partial.clone();
    let guard = cleanup::on_failure(move || drop(remove(&undone)));
    info!("restoring {name}, {}, from the snapshot {} …", text::size(room), snapshot.short_id);
    repository.restore(snapshot, &partial)?;
    let restored = partial.join(name);
    check(&restored, name, snapshot)?;
    std::fs::rename(&restored, &target)
        .with_context(|| format!("renaming to {}", target.display()))?;
    drop(guard);
    atomic::sync_directory(into)?;
    output::print(&format!("{}\n", target.display()))?;
    Ok(Exit::Done)
}

/// The bundle that was asked for, with the seal that the snapshot's tags name. The seal proves the files; the restore or
/// drill compares them.
fn check(restored: &Path, name: &str, snapshot: &Snapshot) -> Result<()> {
    let is_there = restored.symlink_metadata().is_ok_and(|found| found.is_dir());
    if !is_there {
        let id = &snapshot.short_id;
        return Err(Stop::damaged(format!("the snapshot {id} holds no {name}")).into());
    }
    let Some(seal) = snapshot.seal() else { return Ok(()) };
    let read = std::fs::read(restored.join(SEAL)).unwrap_or_default();
    match hex(&Sha256::digest(read)) == seal {
        true => Ok(()),
        false => {
            let why = "the bundle has another seal than its snapshot's tags name";
            Err(Stop::damaged(why).into())
        }
    }
}

fn require_room(dir: &Path, bytes: u64) -> Result<()> {
    let fs = statvfs(dir).with_context(|| format!("looking for room in {}", dir.display()))?;
    let free = fs.f_bavail.saturating_mul(fs.f_frsize);
    let reserve = RESERVE.min(fs.f_blocks.saturating_mul(fs.f_frsize) / 20);
    if free.saturating_sub(bytes) >= reserve {
        return Ok(());
    }
    Err(Stop::refused(format!(
        "not enough space in {}: {} are free, {} are needed, and {} must stay free; nothing was restored",
        dir.display(),
        text::size(free),
        text::size(bytes),
        text::size(reserve)
    ))
    .into())
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", dir.display()))
        }
        _ => Ok(()),
    }
}
