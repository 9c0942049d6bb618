//! `alarm`: is a bundle that was just made far smaller than the one before it?

use crate::bundle_name::BundleName;
use crate::figures::Figures;
use crate::list;
use crate::report::State;
use crate::shrink::{self, Loss};
use crate::shrunk::{self, Mark};
use crate::{domain, structure, tree, verify};
use anyhow::{Context, Result};
use pipe_kit::{Exit, Stop};
use std::path::Path;

/// Holds a finished bundle against the newest intact one before it, and sets the alarm off or ends it.
///
/// # Errors
/// [`Exit::Usage`] if it is no finished bundle's directory; if it cannot be read, or the mark cannot
/// be written or removed.
pub fn run(bundle: &Path, percent: u32, accept: bool) -> Result<Exit> {
    let (dir, given) = (tree::resolve(bundle)?, bundle);
    let name = BundleName::parse(tree::name(&dir)).ok_or_else(|| {
        Stop::usage(format!("{} is not named piprio_YYYYMMDDTHHMMSSZ", given.display()))
    })?;
    let root = dir.parent().context("a bundle cannot be the root directory")?;
    let new = New { root, dir: &dir, name, domain: domain::of(&dir) };
    let names = list::names(root)?.0;
    let earlier = shrunk::among(root, names.iter(), new.domain.as_deref());
    if accept || percent == 0 {
        return new.accept(&earlier);
    }
    let holds = Figures::read(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let (mine, others): (Vec<_>, Vec<_>) = earlier.into_iter().partition(|(n, _)| *n == new.name);
    let still = new.recheck(&others, &holds, percent)?;
    let before = new.before(&names);
    let fresh = match &before {
        Some((_, figures)) => shrink::losses(figures, &holds, percent),
        None => Vec::new(),
    };
    match before {
        Some((before, _)) if !fresh.is_empty() => new.set_off(&before, fresh, &holds)?,
        // Held against nothing, it may lack what it lacked when it was marked.
        Some(_) if !mine.is_empty() => shrunk::clear(&dir)?,
        Some(_) if !still => {
            pipe_kit::say!("{} holds what the bundle before it holds", new.name.as_str())
        }
        Some(_) => {}
        None => pipe_kit::say!(
            "there is no intact bundle before {} to hold it against",
            new.name.as_str()
        ),
    }
    Ok(Exit::Done)
}

struct New<'a> {
    root: &'a Path,
    dir: &'a Path,
    name: BundleName,
    domain: Option<String>,
}

impl New<'_> {
    fn accept(&self, earlier: &[(BundleName, Mark)]) -> Result<Exit> {
        for (name, mark) in earlier {
            shrunk::clear(&self.root.join(name.as_str()))?;
            pipe_kit::say!("accepted: {} {}", name.as_str(), mark.phrase());
        }
        Ok(Exit::Done)
    }

    /// Ends the alarms over what this bundle has again; whether one goes on.
    fn recheck(
        &self,
        marked: &[(BundleName, Mark)],
        holds: &Figures,
        percent: u32,
    ) -> Result<bool> {
        let mut still = false;
        for (name, mark) in marked {
            let lost: Vec<_> =
                mark.lost.iter().filter(|loss| loss.is_in(holds, percent)).cloned().collect();
            if lost.is_empty() && !mark.lost.is_empty() {
                shrunk::clear(&self.root.join(name.as_str()))?;
                pipe_kit::say!("{} holds again what {} lacked", self.name.as_str(), name.as_str());
            } else {
                still = true;
                let known = shrink::phrase(&lost, holds);
                let summary = if lost.is_empty() { &mark.summary } else { &known };
                pipe_kit::warning!(
                    "{} still holds far less than {}: {summary}; {}",
                    self.name.as_str(),
                    mark.before,
                    HELD
                );
            }
        }
        Ok(still)
    }

    /// The newest intact bundle of the same deployment before this one, with what it holds. One that
    /// cannot be read gives place to the one before it.
    fn before(&self, names: &[BundleName]) -> Option<(BundleName, Figures)> {
        let older = names.iter().filter(|name| name.taken() < self.name.taken());
        older.filter(|name| self.is_comparable(name)).find_map(|name| {
            match Figures::read(&self.root.join(name.as_str())) {
                Ok(figures) => Some((name.clone(), figures)),
                Err(error) => {
                    pipe_kit::warning!("{} cannot be held against: {error:#}", name.as_str());
                    None
                }
            }
        })
    }

    fn is_comparable(&self, name: &BundleName) -> bool {
        let dir = self.root.join(name.as_str());
        if domain::differ(domain::of(&dir).as_deref(), self.domain.as_deref()) {
            return false;
        }
        let state = structure::read(&dir).map(|found| verify::quick(&dir, found).state);
        matches!(state, Ok(State::Intact | State::Unsealed))
    }

    fn set_off(&self, before: &BundleName, lost: Vec<Loss>, holds: &Figures) -> Result<()> {
        let summary = shrink::phrase(&lost, holds);
        let before = before.as_str().to_owned();
        let mark = Mark { before, domain: self.domain.clone(), summary, lost };
        shrunk::set(self.dir, &mark)?;
        pipe_kit::warning!(
            "{} {}; {HELD}; to see all that changed: bundle-manifest diff {} {}",
            self.name.as_str(),
            mark.phrase(),
            self.root.join(&mark.before).display(),
            self.dir.display()
        );
        Ok(())
    }
}

const HELD: &str = "no older bundle is removed until a bundle has it all again, or, where that is meant, until backup.sh --accept";
