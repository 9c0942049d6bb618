//! Sends bundles, each to the destinations that lack it.

use crate::copies::{self, Copy};
use crate::place::Destination;
use crate::record::Record;
use crate::send::bundle::Bundle;
use crate::send::outcomes::{Attempt, Outcomes};
use crate::send::sealing;
use crate::send::sink::{Piece, Sink};
use crate::send::tee::{self, Passed};
use crate::settings::{Recipients, Settings};
use anyhow::{Context, Result};
use bundle_format::shipments::Shipment;
use bundle_format::shipped::{AGE, GPG, SUFFIX, ShippedManifest};
use chrono::Utc;
use pipe_kit::{Exit, Stop, info, status, text, warning};
use std::time::Duration;

/// What is sent where.
pub struct Shipments<'a> {
    pub settings: &'a Settings,
    pub recipients: &'a Recipients,
    pub destinations: &'a [Destination],
}

/// How the writing of one copy ended, and how long it took.
type Written = (Result<()>, Duration);

impl Shipments<'_> {
    /// Sends bundles. With `go_on`, a damaged one does not keep the others from being sent.
    ///
    /// # Errors
    /// [`Stop::damaged`] if a bundle is damaged, [`Stop::incomplete`] if some destinations failed.
    pub fn send(
        &self,
        bundles: &[Bundle],
        go_on: bool,
        shipped: &mut Record,
        outcomes: &mut Outcomes,
    ) -> Result<Exit> {
        let mut damaged = 0;
        for bundle in bundles {
            match self.send_one(bundle, shipped, outcomes) {
                // The others are worth copying all the same.
                Err(error) if go_on && status::of(&error) == Exit::Damaged => {
                    warning!("{}: {error:#}", bundle.name.as_str());
                    damaged += 1;
                }
                sent => sent?,
            }
        }
        let verdict = outcomes.verdict();
        match damaged {
            0 => verdict,
            n => {
                let n = text::count(n, "bundle");
                Err(Stop::damaged(format!("not copied, because damaged: {n}, named above")).into())
            }
        }
    }

    /// Sends one bundle to the destinations that lack it.
    fn send_one(
        &self,
        bundle: &Bundle,
        shipped: &mut Record,
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        let name = bundle.name.as_str();
        let is_age = matches!(self.recipients, Recipients::Age(_));
        let file = format!("{name}{}", if is_age { AGE } else { GPG });
        let mut open = Vec::new();
        for destination in self.destinations {
            if is_present(destination, bundle, shipped) {
                info!("{destination} has {name} already");
                outcomes.note(destination, name, Attempt::Present);
                continue;
            }
            match Sink::start(destination, &file) {
                Ok(sink) => open.push((destination, sink)),
                Err(error) => {
                    outcomes.note(destination, name, Attempt::Failed(error, Duration::ZERO));
                }
            }
        }
        if open.is_empty() {
            shipped.write();
            return Ok(());
        }
        let (lacking, sinks): (Vec<_>, Vec<_>) = open.into_iter().unzip();
        let (passed, written) = self.pass(bundle, sinks)?;
        for (destination, (written, took)) in lacking.into_iter().zip(written) {
            let described = written.and_then(|()| describe(destination, bundle, &file, &passed));
            let attempt = match described {
                Ok(shipment) => {
                    info!("copied {name} to {destination}: {}", text::size(passed.size));
                    shipped.add(destination, &bundle.name, shipment);
                    Attempt::Sent(passed.size, took)
                }
                Err(error) => Attempt::Failed(error, took),
            };
            outcomes.note(destination, name, attempt);
        }
        shipped.write();
        Ok(())
    }

    /// Seals the bundle into the sinks. The results of the sinks are in their order.
    ///
    /// # Errors
    /// If the bundle cannot be sealed; nothing is stored anywhere then.
    fn pass(&self, bundle: &Bundle, mut sinks: Vec<Sink>) -> Result<(Passed, Vec<Written>)> {
        let mut sealing = sealing::start(self.settings, self.recipients, bundle)?;
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
        if sealed.is_ok() && passed.is_ok() {
            for sink in &mut sinks {
                sink.give(Piece::Finish);
            }
        }
        let written: Vec<Written> = sinks.into_iter().map(Sink::finish).collect();
        sealed?;
        match passed {
            Ok(passed) => Ok((passed, written)),
            // Each of them has its own error.
            Err(_) if written.iter().all(|(result, _)| result.is_err()) => {
                Ok((Passed::default(), written))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a destination has the bundle, as far as its keys can find out.
fn is_present(destination: &Destination, bundle: &Bundle, shipped: &mut Record) -> bool {
    let seal = bundle.seal.as_deref();
    match copies::of(destination) {
        Ok(copies) => {
            let is_same = |copy: &&Copy| copy.name == bundle.name && copy.is_of(seal);
            let found = copies.iter().find(is_same).and_then(Copy::shipment);
            match found {
                Some(found) if shipped.contradicts(destination, &bundle.name, &found) => {
                    warning!(
                        "{destination} has {} as this host did not copy it",
                        bundle.name.as_str()
                    );
                    false
                }
                Some(found) => {
                    shipped.add(destination, &bundle.name, found);
                    true
                }
                None => {
                    shipped.remove(destination, &bundle.name);
                    false
                }
            }
        }
        // Keys that can only upload cannot list. What this host has recorded counts.
        Err(error) if status::of(&error) == Exit::Refused => {
            let copy = shipped.get(destination, &bundle.name);
            copy.is_some_and(|copy| copy.seal == bundle.seal)
        }
        // The attempt to write shows what is wrong.
        Err(_) => false,
    }
}

/// Writes the description beside a copy, with which the copy is complete.
fn describe(
    destination: &Destination,
    bundle: &Bundle,
    file: &str,
    passed: &Passed,
) -> Result<Shipment> {
    let now = Utc::now();
    let manifest = ShippedManifest {
        bundle: bundle.name.as_str().to_owned(),
        file: file.to_owned(),
        domain: bundle.domain.clone(),
        size: passed.size,
        sha256: passed.sha256.clone(),
        seal: bundle.seal.clone(),
        shipped: now,
        retain_until: destination.retain_until(now),
        parts: passed.parts.clone(),
    };
    let text = manifest.to_text().context("describing the copy")?;
    let name = format!("{file}{SUFFIX}");
    let written = destination.place.write(&name, text.as_bytes(), destination.retain_days);
    written.context("writing its description")?;
    Ok(manifest.shipment())
}
