//! `publish`: the one moment at which a bundle comes to exist.

use crate::bundle_name::BundleName;
use crate::report::State;
use crate::structure::{self, Structure};
use crate::tree::{self, Tree};
use crate::{marker, mirror, shrunk, sums, verify};
use anyhow::{Context, Result};
use pipe_kit::atomic::sync_directory;
use pipe_kit::{Exit, Stop};
use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Makes a partial bundle durable, gives it its final name, and prints the path of that.
///
/// # Errors
/// [`Exit::Refused`] if the final name exists, [`Exit::Damaged`] if the partial is not a whole
/// bundle; if it cannot be synced or renamed. The final name then does not come to exist.
pub fn run(partial: &Path) -> Result<Exit> {
    let (partial, name) = (tree::resolve(partial)?, partial);
    let bundle = BundleName::parse_partial(tree::name(&partial)).ok_or_else(|| {
        Stop::usage(format!("{} is not named .piprio_YYYYMMDDTHHMMSSZ.partial", name.display()))
    })?;
    let found = structure::read(&partial)?;
    let target = place(&partial, &bundle, found, false)?;
    if let Some(root) = target.parent()
        && tree::is_open(root)
    {
        let root = root.display();
        pipe_kit::warning!(
            "{root} can be read by others, and bundles hold every secret of the deployment; chmod 700 {root}"
        );
    }
    pipe_kit::output::print(&format!("{}\n", target.display()))?;
    Ok(Exit::Done)
}

/// Gives a partial its final name. `old` are bundles of the older script, without a seal, welcome.
///
/// # Errors
/// As for [`run`].
pub fn place(partial: &Path, name: &BundleName, found: Structure, old: bool) -> Result<PathBuf> {
    let root = partial.parent().context("a bundle cannot be the root directory")?;
    let target = root.join(name.as_str());
    if target.symlink_metadata().is_ok() {
        return Err(exists(&target).into());
    }
    std::fs::set_permissions(partial, Permissions::from_mode(0o700))
        .with_context(|| format!("closing {} to others", partial.display()))?;
    sync(partial, &found.tree)?;
    require_whole(partial, found, old)?;
    // Marks of a bundle that had this name before say nothing of this one.
    marker::clear(&target);
    shrunk::clear(&target)?;
    rename(partial, &target)?;
    sync_directory(root)?;
    Ok(target)
}

/// A bundle is never replaced.
#[must_use]
pub fn exists(target: &Path) -> Stop {
    Stop::refused(format!("{} exists already; it is left as it is", target.display()))
}

/// A name that says finished must not come to stand on anything less.
fn require_whole(partial: &Path, found: Structure, old: bool) -> Result<()> {
    let sealed = found.sealed;
    let report = verify::quick(partial, found);
    match report.state {
        State::Intact => Ok(()),
        State::Unsealed if old => Ok(()),
        State::Unknown => anyhow::bail!(
            "{} could not be checked and is not published: {}",
            partial.display(),
            report.unchecked.join("; ")
        ),
        _ => {
            let why = match report.problems.summary() {
                Some(why) => why,
                None if !sealed => format!("{} is missing", sums::FILE),
                None => "it is not whole".to_owned(),
            };
            let partial = partial.display();
            Err(Stop::damaged(format!("{partial} is not published: {why}")).into())
        }
    }
}

/// Everything on its way to the disk first, at once; then, one by one, what must not have failed.
fn sync(partial: &Path, tree: &Tree) -> Result<()> {
    let open = |path: &Path| {
        File::open(path).with_context(|| format!("opening {} to sync it", path.display()))
    };
    syncfs(open(partial)?).with_context(|| format!("syncing {}", partial.display()))?;
    let own = [mirror::OWN.as_bytes(), b"/"].concat();
    for path in tree.files.keys() {
        let bytes = path.as_bytes();
        if !bytes.contains(&b'/') || bytes.starts_with(&own) {
            let path = partial.join(path);
            open(&path)?.sync_all().with_context(|| format!("syncing {}", path.display()))?;
        }
    }
    tree.directories.iter().rev().try_for_each(|dir| sync_directory(&partial.join(dir)))
}

fn rename(partial: &Path, target: &Path) -> Result<()> {
    let failed = || format!("renaming {} to {}", partial.display(), target.display());
    match renameat_with(CWD, partial, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(exists(target).into()),
        // A filesystem without the flag: the root's lock keeps others out between look and rename.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if target.symlink_metadata().is_ok() {
                return Err(exists(target).into());
            }
            std::fs::rename(partial, target).with_context(failed)
        }
        Err(error) => Err(error).with_context(failed),
    }
}
