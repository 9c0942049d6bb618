//! What an extraction would do, decided before anything is done.

use crate::access::{self, CurrentAccess};
use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::archive::Archive;
use crate::compare;
use crate::disk::{Disk, Found, Location, Walked};
use crate::entry::{Entry, Kind};
use crate::extra::{self, Recorded};
use crate::kept;
use crate::links;
use crate::rel_path::{RelPath, shown};
use crate::select::Chosen;
use crate::xattr;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use rustix::fd::AsFd;
use rustix::fs::Stat;
use std::collections::BTreeSet;
use std::io::ErrorKind;

/// One entry, and what becomes of it.
pub struct Step<'a> {
    pub chosen: Chosen<'a>,
    pub action: Action,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// It is as archived.
    Leave,
    /// Its content is as archived; what is beside that becomes the archive's.
    Adjust(Change),
    /// There is nothing there.
    Create,
    /// What is there is kept aside.
    Replace {
        /// What it is, in words.
        was: String,
        /// Whose it is, and who may use it.
        here: CurrentAccess,
    },
}

/// How something with the archive's content differs from the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Who may use it.
    pub here: Acl,
    /// Its setuid, setgid and sticky bits, if they are to go.
    pub special: u32,
    /// Who is to use it, if that differs.
    pub rights: Option<Acl>,
    /// Extended attributes that it lacks, or has with another value.
    pub attributes: Vec<Vec<u8>>,
    /// What new files in it are to begin with, if that differs.
    pub default_acl: Option<Acl>,
    /// What of the archive's rights cannot be: phrases.
    pub losses: Vec<String>,
}

/// Decides for each entry, in order.
///
/// # Errors
/// [`Stop::damaged`] if an entry would go through a link that is on disk; [`Stop::refused`] if a
/// first-level link is dangling; if the disk cannot be read.
pub fn plan<'a>(
    archive: &Archive,
    chosen: Vec<Chosen<'a>>,
    disk: &mut Disk,
    accounts: &Accounts,
) -> Result<Vec<Step<'a>>> {
    follow_tops(&chosen, disk)?;
    let (fresh, left) = (BTreeSet::new(), BTreeSet::new());
    let mut planner = Planner { archive, disk, accounts, fresh, left };
    let mut steps = Vec::with_capacity(chosen.len());
    for (at, one) in chosen.iter().enumerate() {
        let action = planner.step(one, &chosen[at + 1..])?;
        steps.push(Step { chosen: one.clone(), action });
    }
    Ok(steps)
}

/// A first-level name that is a link to the same kind of thing as archived is followed.
fn follow_tops(chosen: &[Chosen<'_>], disk: &mut Disk) -> Result<()> {
    for top in chosen.iter().filter(|c| c.path.depth() == 1 && !matches!(c.kind(), Kind::Link(_))) {
        let Found::Link(_, target) = disk.look(&top.path)? else { continue };
        let here = top.path.at(disk.path());
        let meta = std::fs::metadata(&here).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Stop::refused(format!(
                "{} is a link to {}, which does not exist (is its disk mounted?); nothing was changed",
                here.display(),
                shown(&target)
            ))
            .into(),
            _ => anyhow::Error::new(e).context(format!("following the link {}", here.display())),
        })?;
        if meta.is_dir() == matches!(top.kind(), Kind::Dir) && (meta.is_dir() || meta.is_file()) {
            disk.follow(&top.path)?;
            stays_on_its_disk(&top.path, chosen)?;
        }
    }
    Ok(())
}

fn stays_on_its_disk(top: &RelPath, chosen: &[Chosen<'_>]) -> Result<()> {
    for one in chosen.iter().filter(|one| one.path.is_under(top)) {
        if let Kind::Link(target) = one.kind()
            && links::leaves_its_top(&one.path, target)
        {
            return Err(Stop::damaged(format!(
                "refused, and nothing was changed: the archive's link {} to {} would lead outside, because {top} is a link to another place here",
                one.path,
                shown(target)
            ))
            .into());
        }
    }
    Ok(())
}

struct Planner<'p> {
    archive: &'p Archive,
    disk: &'p Disk,
    accounts: &'p Accounts,
    /// Directories that will be created: they are empty.
    fresh: BTreeSet<RelPath>,
    /// Links to directories whose content is as archived: nothing is done below them.
    left: BTreeSet<RelPath>,
}

impl Planner<'_> {
    fn step(&mut self, one: &Chosen<'_>, after: &[Chosen<'_>]) -> Result<Action> {
        let above = one.path.ancestors();
        if above.iter().any(|dir| self.left.contains(dir)) {
            return Ok(Action::Leave);
        }
        if above.iter().any(|dir| self.fresh.contains(dir)) {
            return Ok(Action::Create);
        }
        let is_dir = matches!(one.kind(), Kind::Dir);
        let action = self.decide(one, None)?;
        if is_dir && matches!(action, Action::Replace { .. }) && self.same_through(one, after)? {
            self.left.insert(one.path.clone());
            return Ok(Action::Leave);
        }
        if is_dir && !matches!(action, Action::Leave | Action::Adjust(_)) {
            self.fresh.insert(one.path.clone());
        }
        Ok(action)
    }

    fn decide(&self, one: &Chosen<'_>, through: Option<&RelPath>) -> Result<Action> {
        let location = match self.disk.walk(&one.path, through)? {
            Walked::At(location) => location,
            Walked::Missing => return Ok(Action::Create),
            Walked::Blocked(at) => return Err(in_the_way(&one.path, &at)),
        };
        let found = location.look()?;
        match (one.kind(), &found) {
            (_, Found::Missing) => Ok(Action::Create),
            (Kind::Dir, Found::Dir(_)) if !one.own => Ok(Action::Leave),
            (Kind::Dir, Found::Dir(stat)) => {
                let Some(entry) = one.entry else { return Ok(Action::Leave) };
                self.adjust(entry, stat, &location, location.open_dir()?)
            }
            // A directory that was not asked for, only what is in it.
            (Kind::Dir, Found::Link(..)) if !one.own => Err(in_the_way(&one.path, &one.path)),
            (Kind::Link(target), Found::Link(_, here)) if target == here => Ok(Action::Leave),
            (Kind::File { offset, size }, Found::File(stat)) => {
                if !self.same_content(&location, false, *offset, *size)? {
                    return replace(&location, &found);
                }
                let what = || format!("reading {}", location.shown());
                let (Some(entry), Some(file)) =
                    (one.entry, location.read(false).with_context(what)?)
                else {
                    return replace(&location, &found);
                };
                self.adjust(entry, stat, &location, file)
            }
            (Kind::File { offset, size }, Found::Link(..))
                if self.same_content(&location, true, *offset, *size)? =>
            {
                Ok(Action::Leave)
            }
            _ => replace(&location, &found),
        }
    }

    /// Compares what is beside the content.
    fn adjust(
        &self,
        entry: &Entry,
        stat: &Stat,
        location: &Location,
        file: impl AsFd,
    ) -> Result<Action> {
        let what = || format!("reading the rights of {}", location.shown());
        let (acl, has_lists) = xattr::acl(&file, stat.st_mode).with_context(what)?;
        let here = CurrentAccess { acl: Some(acl.clone()), uid: stat.st_uid, gid: stat.st_gid };
        let decided = access::of_same(entry, self.accounts, &here);
        let to = match decided.acl.is_extended() && !has_lists {
            true => Acl::of_mode(decided.acl.closest_mode()),
            false => decided.acl,
        };
        let is_dir = entry.kind == Kind::Dir;
        // The group of new files in a directory is the deployment's affair.
        let special = if is_dir { 0 } else { stat.st_mode & 0o7000 };
        let mut change = Change { special, losses: decided.losses, ..Change::default() };
        change.rights = (special != 0 || !to.same_rights(&acl)).then_some(to);
        change.here = acl;
        for (name, value) in &entry.extra.attributes {
            let may = name != extra::CAPABILITY || rustix::process::geteuid().is_root();
            // One that cannot be read is set again; if that fails too, it is a warning.
            if may && xattr::get_open(&file, name).ok().flatten().as_ref() != Some(value) {
                change.attributes.push(name.clone());
            }
        }
        if let (true, true, Recorded::Acl(listed)) = (is_dir, has_lists, &entry.extra.default_acl) {
            let listed = listed.resolve(self.accounts).0;
            let default = xattr::default_acl(&file).with_context(what)?;
            change.default_acl = (default.as_ref() != Some(&listed)).then_some(listed);
        }
        let same =
            change.rights.is_none() && change.attributes.is_empty() && change.default_acl.is_none();
        Ok(if same { Action::Leave } else { Action::Adjust(change) })
    }

    fn same_content(
        &self,
        location: &Location,
        through: bool,
        offset: u64,
        size: u64,
    ) -> Result<bool> {
        let what = || format!("reading {}", location.shown());
        let Some(file) = location.read(through).with_context(what)? else { return Ok(false) };
        if file.metadata().with_context(what)?.len() != size {
            return Ok(false);
        }
        compare::same(self.archive.content(offset, size), file).with_context(what)
    }

    /// Whether a directory of the archive is, on disk, a link to one with the same content: then
    /// what was archived is what is there.
    fn same_through(&self, one: &Chosen<'_>, after: &[Chosen<'_>]) -> Result<bool> {
        if !matches!(self.disk.look(&one.path)?, Found::Link(..)) {
            return Ok(false);
        }
        if !std::fs::metadata(one.path.at(self.disk.path())).is_ok_and(|m| m.is_dir()) {
            return Ok(false);
        }
        for below in after.iter().take_while(|c| c.path.bytes() > one.path.bytes()) {
            if !below.path.is_under(&one.path) {
                continue;
            }
            // A link inside that link is compared, but not entered.
            match self.decide(below, Some(&one.path)) {
                Ok(Action::Leave) => {}
                Ok(_) => return Ok(false),
                Err(e) if pipe_kit::status::of(&e) == pipe_kit::Exit::Damaged => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

fn in_the_way(path: &RelPath, at: &RelPath) -> anyhow::Error {
    Stop::damaged(format!(
        "refused, and nothing was changed: {path} would be written through {at}, a link in the deployment that is not part of the extraction"
    ))
    .into()
}

fn replace(location: &Location, found: &Found) -> Result<Action> {
    if location.name.len() + kept::LONGER_BY > 255 {
        return Err(Stop::refused(format!(
            "the name of {} is too long to keep a copy beside it; nothing was changed",
            location.shown()
        ))
        .into());
    }
    let (uid, gid) = found.owner().unwrap_or_default();
    let acl = rights(location, found);
    Ok(Action::Replace { was: found.words().to_owned(), here: CurrentAccess { acl, uid, gid } })
}

/// Who may use what is replaced. What cannot be asked lets nobody, as far as is known.
fn rights(location: &Location, found: &Found) -> Option<Acl> {
    let acl = match found {
        Found::File(stat) => xattr::acl(location.read(false).ok()??, stat.st_mode),
        Found::Dir(stat) => xattr::acl(location.open_dir().ok()?, stat.st_mode),
        _ => return None,
    };
    acl.ok().map(|(acl, _)| acl)
}
