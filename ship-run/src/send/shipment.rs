//! Sends bundles, each to the destinations that lack it.

use crate::place::restic::Repository;
use crate::place::restic::snapshot::tags;
use crate::place::{Destination, Place};
use crate::recipients::Recipients;
use crate::record::Record;
use crate::send::bundle::Bundle;
use crate::send::outcomes::{Attempt, Outcomes};
use crate::send::presence::{self, Listed, Presence};
use crate::send::sink::{Piece, Sink};
use crate::send::tee::{self, Passed};
use crate::send::{describing, sealing};
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use bundle_format::shipments::Shipment;
use bundle_format::shipped::{AGE, GPG};
use chrono::Utc;
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, info, status, text, warning};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is sent where.
pub struct Shipments<'a> {
    pub settings: &'a Settings,
    pub destinations: &'a [Destination],
    /// A bundle that is removed meanwhile is no failure: nobody asked for that one.
    pub may_lose_bundles: bool,
}

/// A destination that lacks a bundle.
#[derive(Clone, Copy)]
struct Lacking<'a> {
    destination: &'a Destination,
    /// Something of no use is in its place.
    is_replaced: bool,
}

impl Lacking<'_> {
    /// Ends the copy, which gets its name if the bundle is sealed whole. Also returns how long that took.
    fn end(
        self,
        mut sink: Sink,
        file: &str,
        is_whole: bool,
        outcomes: &Outcomes,
    ) -> (Result<()>, Duration) {
        let waiting = outcomes.waits(self.destination).begin();
        let cleared = match is_whole && self.is_replaced {
            true => describing::remove_old(self.destination, file),
            false => Ok(()),
        };
        drop(waiting);
        if is_whole && cleared.is_ok() {
            sink.give(Piece::Finish);
        }
        let (written, took) = sink.finish();
        (cleared.and(written), took)
    }
}

/// How the writing of one copy ended, and how long it took.
type Written = (Result<Shipment>, Duration);

impl Shipments<'_> {
    /// Sends bundles. If there are several, one that fails does not keep the others from being sent.
    ///
    /// # Errors
    /// [`Stop::damaged`] if a bundle is damaged, [`Stop::incomplete`] if some destinations failed.
    pub fn send(
        &self,
        bundles: &[PathBuf],
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Result<Exit> {
        let listings: Vec<_> = self.destinations.iter().map(|_| OnceCell::new()).collect();
        let mut failed = None;
        let mut lost = 0;
        for path in bundles {
            match self.send_if_there(path, &listings, shipped, outcomes) {
                Err(error) if bundles.len() > 1 => {
                    warning!("{}: {error:#}", path.display());
                    let exit = status::of(&error);
                    // Damage outweighs everything else.
                    if failed != Some(Exit::Damaged) {
                        failed = Some(exit);
                    }
                }
                sent => lost += usize::from(!sent?),
            }
        }
        // As where the filesystem of the root was unmounted.
        ensure!(lost == 0 || lost < bundles.len(), "every bundle was removed meanwhile");
        match failed {
            None => outcomes.verdict(),
            Some(exit) => {
                Err(Stop::with_exit(exit, "some bundles were not copied, each named above").into())
            }
        }
    }

    /// Sends one bundle, unless it may be lost and was. Whether it was there.
    fn send_if_there(
        &self,
        path: &Path,
        listings: &[OnceCell<Listed>],
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Result<bool> {
        let send = |bundle: &Bundle, shipped| {
            self.send_one(bundle, listings, shipped, outcomes).map(|()| true)
        };
        if !self.may_lose_bundles {
            return send(&Bundle::at(path)?, shipped);
        }
        let bundle = Bundle::if_there(path)?;
        match bundle.as_ref().map(|bundle| (bundle, send(bundle, shipped))) {
            Some((bundle, Err(_))) if bundle.is_gone() => {}
            Some((_, sent)) => return sent,
            None => {}
        }
        info!("{} was removed meanwhile, and is not copied", path.display());
        Ok(false)
    }

    /// Sends one bundle to the destinations that lack it.
    fn send_one(
        &self,
        bundle: &Bundle,
        listings: &[OnceCell<Listed>],
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Result<()> {
        let is_plain = |one: &Destination| matches!(one.place, Place::Restic(_));
        let sealed = self.lacking(bundle, |one| !is_plain(one), listings, shipped, outcomes);
        let is_whole = self.send_sealed(bundle, &sealed, shipped, outcomes);
        shipped.write();
        let is_whole = is_whole?;
        // After the sealed copies are made: restic has no time limits.
        let plain = self.lacking(bundle, is_plain, listings, shipped, outcomes);
        self.send_plain(bundle, &plain, is_whole, shipped, outcomes)?;
        shipped.write();
        Ok(())
    }

    /// The destinations of a kind that lack the bundle.
    fn lacking(
        &self,
        bundle: &Bundle,
        is_meant: impl Fn(&Destination) -> bool,
        listings: &[OnceCell<Listed>],
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Vec<Lacking<'_>> {
        let name = bundle.name.as_str();
        let mut lacking = Vec::new();
        let all = self.destinations.iter().zip(listings);
        for (destination, listed) in all.filter(|(destination, _)| is_meant(destination)) {
            let _waiting = outcomes.waits(destination).begin();
            let listed = listed.get_or_init(|| {
                remove_unfinished(destination);
                presence::list(destination)
            });
            match presence::look(destination, listed, bundle, shipped) {
                Ok(Presence::Present) => {
                    info!("{destination} has {name} already");
                    outcomes.note(destination, name, Attempt::Present);
                }
                Ok(found) => {
                    let is_replaced = found == Presence::Useless;
                    lacking.push(Lacking { destination, is_replaced });
                }
                Err(error) => {
                    outcomes.note(destination, name, Attempt::Failed(error, Duration::ZERO));
                }
            }
        }
        lacking
    }

    /// Seals the bundle once for all of these destinations. Returns whether every file of it was found intact.
    fn send_sealed(
        &self,
        bundle: &Bundle,
        lacking: &[Lacking],
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Result<bool> {
        let name = bundle.name.as_str();
        let is_age = !matches!(self.settings.recipients, Some(Recipients::Gpg(_)));
        let file = format!("{name}{}", if is_age { AGE } else { GPG });
        let mut open = Vec::new();
        for lack in lacking {
            let destination = lack.destination;
            match Sink::start(destination, &file, outcomes.waits(destination)) {
                Ok(sink) => open.push((*lack, sink)),
                Err(error) => {
                    outcomes.note(destination, name, Attempt::Failed(error, Duration::ZERO));
                }
            }
        }
        if open.is_empty() {
            return Ok(false);
        }
        let (lacking, sinks): (Vec<_>, Vec<_>) = open.into_iter().unzip();
        let mut note = |destination: &Destination, size: u64, (written, took): Written| {
            let attempt = match written {
                Ok(shipment) => {
                    info!("copied {name} to {destination}: {}", text::size(size));
                    shipped.add(destination, &bundle.name, shipment);
                    shipped.write();
                    Attempt::Sent(size, took)
                }
                Err(error) => Attempt::Failed(error, took),
            };
            outcomes.note(destination, name, attempt);
        };
        match self.pass(bundle, &file, &lacking, sinks, outcomes, &mut note) {
            Ok(passed) => Ok(passed.size > 0),
            Err(error) if status::of(&error) == Exit::Damaged || bundle.is_gone() => Err(error),
            // What is wrong with the recipients concerns no repository.
            Err(error) => {
                let (exit, why) = (status::of(&error), status::one_line(&error));
                for Lacking { destination, .. } in lacking {
                    let error = Stop::with_exit(exit, why.clone()).into();
                    outcomes.note(destination, name, Attempt::Failed(error, Duration::ZERO));
                }
                Ok(false)
            }
        }
    }

    /// Seals the bundle into the sinks, and describes each copy as soon as it is whole. `note` is called as soon as
    /// one of them has ended: the others may take long.
    ///
    /// # Errors
    /// If the bundle cannot be sealed; nothing is stored anywhere then, and nothing is noted.
    fn pass(
        &self,
        bundle: &Bundle,
        file: &str,
        lacking: &[Lacking],
        mut sinks: Vec<Sink>,
        outcomes: &Outcomes,
        note: &mut dyn FnMut(&Destination, u64, Written),
    ) -> Result<Passed> {
        let digest = || self.settings.recipients.as_ref().and_then(Recipients::digest);
        let before = digest();
        let mut sealing = sealing::start(self.settings, bundle)?;
        let from = sealing.take_stdout().context("a pipe")?;
        let passed = tee::run(from, &mut sinks);
        let sealed = match &passed {
            Ok(_) => sealing.finish().and_then(sealing::ended),
            Err(_) => {
                // Ends it.
                drop(sealing);
                Ok(())
            }
        };
        // A file that was replaced meanwhile does not prove whom the copy is encrypted for.
        let recipients = before.filter(|before| digest().as_ref() == Some(before));
        let recipients = recipients.as_deref();
        let whole = passed.as_ref().ok().filter(|_| sealed.is_ok());
        let finish = |sink: Sink, lack: Lacking| -> Written {
            let (written, took) = lack.end(sink, file, whole.is_some(), outcomes);
            let _waiting = outcomes.waits(lack.destination).begin();
            let described = written.and_then(|()| {
                let passed = whole.context("the bundle is not sealed")?;
                describing::describe(lack.destination, bundle, file, passed, recipients)
            });
            (described, took)
        };
        let mut failed = Vec::new();
        finish_all(sinks, lacking, &finish, |destination, written| match whole {
            Some(passed) => note(destination, passed.size, written),
            None => failed.push((destination, written)),
        });
        sealed?;
        match passed {
            Ok(passed) => Ok(passed),
            // Each of them has its own error.
            Err(_) if failed.iter().all(|(_, (result, _))| result.is_err()) => {
                failed.into_iter().for_each(|(destination, written)| note(destination, 0, written));
                Ok(Passed::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Stores the bundle in these repositories. `is_whole`: every file of it was found intact already.
    fn send_plain(
        &self,
        bundle: &Bundle,
        lacking: &[Lacking],
        mut is_whole: bool,
        shipped: &mut Record,
        outcomes: &Outcomes,
    ) -> Result<()> {
        let name = bundle.name.as_str();
        for Lacking { destination, .. } in lacking {
            let Place::Restic(repository) = &destination.place else { continue };
            if !is_whole {
                verify(bundle)?;
                is_whole = true;
            }
            let begun = Instant::now();
            let _waiting = outcomes.waits(destination).begin();
            let attempt = match store(repository, bundle) {
                Ok(bytes) => {
                    info!("copied {name} to {destination}: {} added", text::size(bytes));
                    let (seal, size) = (bundle.seal.clone(), bundle.bytes);
                    let at = Utc::now();
                    let shipment = Shipment { seal, sha256: None, size, at, damaged: false };
                    shipped.add(destination, &bundle.name, shipment);
                    Attempt::Sent(bytes, begun.elapsed())
                }
                Err(error) if bundle.is_gone() => return Err(error),
                Err(error) => Attempt::Failed(error, begun.elapsed()),
            };
            outcomes.note(destination, name, attempt);
        }
        Ok(())
    }
}

fn remove_unfinished(destination: &Destination) {
    if let Place::Files(files) = &destination.place
        && let Err(error) = files.remove_unfinished()
    {
        info!("{destination}: what killed runs have left is not removed: {error:#}");
    }
}

/// Ends all sinks at the same time, and passes on how each has ended, the first first.
fn finish_all<'a>(
    sinks: Vec<Sink>,
    lacking: &[Lacking<'a>],
    finish: &(impl Fn(Sink, Lacking<'a>) -> Written + Sync),
    mut ended: impl FnMut(&'a Destination, Written),
) {
    let mut left: Vec<usize> = (0..sinks.len()).collect();
    std::thread::scope(|scope| {
        let (to, results) = mpsc::channel();
        for (at, (sink, lack)) in sinks.into_iter().zip(lacking).enumerate() {
            let to = to.clone();
            scope.spawn(move || drop(to.send((at, finish(sink, *lack)))));
        }
        drop(to);
        for (at, written) in results {
            left.retain(|other| *other != at);
            ended(lacking[at].destination, written);
        }
    });
    for at in left {
        ended(lacking[at].destination, interrupted());
    }
}

fn store(repository: &Repository, bundle: &Bundle) -> Result<u64> {
    let tags =
        tags(&bundle.name, &bundle.domain, bundle.seal.as_deref(), bundle.bytes, bundle.is_shrunk);
    repository.backup(&bundle.path, &bundle.name, &tags)
}

/// A damaged bundle goes nowhere.
fn verify(bundle: &Bundle) -> Result<()> {
    let verify = Tool::new("bundle-manifest").args(["verify", "--quiet"]).arg(&bundle.path);
    verify.run().context("nothing was copied")
}

fn interrupted() -> Written {
    (Err(anyhow::anyhow!("writing the copy was interrupted")), Duration::ZERO)
}
