//! What an extraction would do, decided before anything is done.

use crate::archive::{Archive, Kind};
use crate::compare;
use crate::disk::{Disk, Found, Spot, Walked};
use crate::kept;
use crate::links;
use crate::rel_path::{RelPath, shown};
use crate::select::Chosen;
use anyhow::{Context, Result};
use pipe_kit::Stop;
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
    /// Its content is as archived, its mode is this, and becomes the archive's.
    SetMode(u32),
    /// There is nothing there.
    Create,
    /// What is there is kept aside.
    Replace {
        /// What it is, in words.
        was: String,
        /// Its owner and group.
        owner: (u32, u32),
    },
}

/// Decides for each entry, in order.
///
/// # Errors
/// [`Stop::damaged`] if an entry would go through a link that is on disk; [`Stop::refused`] if a
/// first-level link leads nowhere; if the disk cannot be read.
pub fn plan<'a>(
    archive: &Archive,
    chosen: Vec<Chosen<'a>>,
    disk: &mut Disk,
) -> Result<Vec<Step<'a>>> {
    follow_tops(&chosen, disk)?;
    let mut planner = Planner { archive, disk, fresh: BTreeSet::new(), left: BTreeSet::new() };
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
    /// Directories that will be made anew: nothing is in them.
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
        if is_dir && !matches!(action, Action::Leave | Action::SetMode(_)) {
            self.fresh.insert(one.path.clone());
        }
        Ok(action)
    }

    fn decide(&self, one: &Chosen<'_>, through: Option<&RelPath>) -> Result<Action> {
        let spot = match self.disk.walk(&one.path, through)? {
            Walked::Here(spot) => spot,
            Walked::Missing => return Ok(Action::Create),
            Walked::Blocked(at) => return Err(in_the_way(&one.path, &at)),
        };
        let found = spot.look()?;
        match (one.kind(), &found) {
            (_, Found::Missing) => Ok(Action::Create),
            (Kind::Dir, Found::Dir(stat)) => {
                Ok(same_mode(stat.st_mode & 0o777, one.mode(), one.own))
            }
            // A directory that was not asked for, only what is in it.
            (Kind::Dir, Found::Link(..)) if !one.own => Err(in_the_way(&one.path, &one.path)),
            (Kind::Link(target), Found::Link(_, here)) if target == here => Ok(Action::Leave),
            (Kind::File { offset, size }, Found::File(stat)) => {
                if self.same_content(&spot, false, *offset, *size)? {
                    Ok(same_mode(stat.st_mode & 0o7777, one.mode(), true))
                } else {
                    replace(&spot, &found)
                }
            }
            (Kind::File { offset, size }, Found::Link(..))
                if self.same_content(&spot, true, *offset, *size)? =>
            {
                Ok(Action::Leave)
            }
            _ => replace(&spot, &found),
        }
    }

    fn same_content(&self, spot: &Spot, through: bool, offset: u64, size: u64) -> Result<bool> {
        let what = || format!("reading {}", spot.shown());
        let Some(file) = spot.read(through).with_context(what)? else { return Ok(false) };
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

fn same_mode(here: u32, archived: u32, counts: bool) -> Action {
    if counts && here != archived { Action::SetMode(here) } else { Action::Leave }
}

fn in_the_way(path: &RelPath, at: &RelPath) -> anyhow::Error {
    Stop::damaged(format!(
        "refused, and nothing was changed: {path} would be written through {at}, which is a link here and not part of what is extracted"
    ))
    .into()
}

fn replace(spot: &Spot, found: &Found) -> Result<Action> {
    if spot.name.len() + kept::LONGER_BY > 255 {
        return Err(Stop::refused(format!(
            "the name of {} is too long to keep a copy beside it; nothing was changed",
            spot.shown()
        ))
        .into());
    }
    let owner = found.owner().unwrap_or_default();
    Ok(Action::Replace { was: found.words().to_owned(), owner })
}
