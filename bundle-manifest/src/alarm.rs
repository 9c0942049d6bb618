//! `alarm`: does a bundle that was just made hold far less than the one before it?

mod losses;
pub mod mark;

use crate::bundle::contents::Contents;
use crate::bundle::{domain, root, structure, tree};
use crate::verify;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use bundle_format::domain::differ;
use losses::Loss;
use mark::Mark;
use pipe_kit::{Exit, Stop};
use std::path::Path;

/// Compares a finished bundle with the newest intact one before it, and sets the alarm off or ends it.
///
/// # Errors
/// [`Exit::Usage`] if it is no finished bundle's directory; if it cannot be read, or the mark cannot be written or
/// removed.
pub fn run(bundle: &Path, percent: u32, accept: bool) -> Result<Exit> {
    let (dir, given) = (tree::resolve(bundle)?, bundle);
    let name = BundleName::parse(tree::name(&dir)).ok_or_else(|| {
        Stop::usage(format!("{} is not named piprio_YYYYMMDDTHHMMSSZ", given.display()))
    })?;
    let root = dir.parent().context("a bundle cannot be the root directory")?;
    let new = NewBundle { root, dir: &dir, name, domain: domain::of(&dir) };
    let names = root::names(root)?.0;
    let marked = mark::among(root, names.iter(), new.domain.as_deref());
    if accept || percent == 0 {
        return new.accept(&marked);
    }
    let contents = Contents::read(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let (own, others): (Vec<_>, Vec<_>) = marked.into_iter().partition(|(n, _)| *n == new.name);
    let still = new.recheck(&others, &contents, percent)?;
    let before = new.before(&names);
    let lost = match &before {
        Some((_, before)) => losses::losses(before, &contents, percent),
        None => Vec::new(),
    };
    match before {
        Some((before, _)) if !lost.is_empty() => new.set_off(&before, lost, &contents)?,
        // Without a bundle to compare with, an earlier mark of its own stays.
        Some(_) if !own.is_empty() => mark::clear(&dir)?,
        Some(_) if !still => {
            pipe_kit::info!("{} holds what the bundle before it holds", new.name.as_str())
        }
        Some(_) => {}
        None => pipe_kit::info!(
            "there is no intact bundle before {} to compare it with",
            new.name.as_str()
        ),
    }
    Ok(Exit::Done)
}

struct NewBundle<'a> {
    root: &'a Path,
    dir: &'a Path,
    name: BundleName,
    domain: Option<String>,
}

impl NewBundle<'_> {
    fn accept(&self, marked: &[(BundleName, Mark)]) -> Result<Exit> {
        for (name, mark) in marked {
            mark::clear(&self.root.join(name.as_str()))?;
            pipe_kit::info!("accepted: {} {}", name.as_str(), mark.phrase());
        }
        Ok(Exit::Done)
    }

    /// Ends the alarms whose losses this bundle does not have; returns whether another one remains.
    fn recheck(
        &self,
        marked: &[(BundleName, Mark)],
        contents: &Contents,
        percent: u32,
    ) -> Result<bool> {
        let mut still = false;
        for (name, mark) in marked {
            let lost: Vec<_> =
                mark.lost.iter().filter(|loss| loss.is_in(contents, percent)).cloned().collect();
            if lost.is_empty() && !mark.lost.is_empty() {
                mark::clear(&self.root.join(name.as_str()))?;
                pipe_kit::info!("{} holds again what {} lacked", self.name.as_str(), name.as_str());
            } else {
                still = true;
                let known = losses::phrase(&lost, contents);
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

    /// The newest intact bundle of the same deployment before this one, with its contents. A bundle that cannot be
    /// read is passed over.
    fn before(&self, names: &[BundleName]) -> Option<(BundleName, Contents)> {
        let older = names.iter().filter(|name| name.taken() < self.name.taken());
        older.filter(|name| self.is_comparable(name)).find_map(|name| {
            match Contents::read(&self.root.join(name.as_str())) {
                Ok(contents) => Some((name.clone(), contents)),
                Err(error) => {
                    pipe_kit::warning!("{} cannot be compared with: {error:#}", name.as_str());
                    None
                }
            }
        })
    }

    fn is_comparable(&self, name: &BundleName) -> bool {
        let dir = self.root.join(name.as_str());
        if differ(domain::of(&dir).as_deref(), self.domain.as_deref()) {
            return false;
        }
        let state = structure::read(&dir).map(|mut found| verify::quick(&dir, &mut found).state);
        state.is_ok_and(|state| state.is_good())
    }

    fn set_off(&self, before: &BundleName, lost: Vec<Loss>, contents: &Contents) -> Result<()> {
        let summary = losses::phrase(&lost, contents);
        let before = before.as_str().to_owned();
        let mark = Mark { before, domain: self.domain.clone(), summary, lost };
        mark::set(self.dir, &mark)?;
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

const HELD: &str = "no older bundle is removed until a bundle has all of it again, or, if the loss is intended, until backup.sh --accept";
