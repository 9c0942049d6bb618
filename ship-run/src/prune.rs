//! `ship-run prune`: removes old copies, by the rule that bundles are removed by.

mod ages;
mod report;

use crate::cli::Prune;
use crate::copies::{self, Copy};
use crate::place::{Destination, Place};
use crate::prune::ages::Ages;
use crate::prune::report::{Outcome, Report, What};
use crate::record::Record;
use crate::settings::Settings;
use anyhow::{Context, Result};
use bundle_format::domain::known;
use bundle_format::report::{BundleState, Listing};
use bundle_format::retention::clock::Reading;
use bundle_format::retention::policy::{self, Decision, Hold, Policy, Reason, Verdict};
use bundle_format::retention::{Bundle, Calendar};
use bundle_format::shipped::SUFFIX;
use chrono::{DateTime, Utc};
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, warning};

/// Removes old copies, and prints what became of each.
///
/// # Errors
/// [`pipe_kit::Stop::incomplete`] if a destination failed, or a copy was not removed.
pub fn run(settings: &Settings, args: &Prune) -> Result<Exit> {
    let destinations: Vec<&Destination> = settings.destinations()?.iter().collect();
    let _lock = settings.lock()?;
    let Policy { keep_days, calendar: of, .. } = settings.policy;
    let calendar = Calendar {
        daily: args.keep_daily.unwrap_or(of.daily),
        weekly: args.keep_weekly.unwrap_or(of.weekly),
        monthly: args.keep_monthly.unwrap_or(of.monthly),
        yearly: args.keep_yearly.unwrap_or(of.yearly),
    };
    let keep_days = args.keep_days.unwrap_or(keep_days);
    let policy = Policy { keep_days, keep_last: args.keep_last, calendar };
    let mut shipped = Record::read(settings.record_file());
    let report = prune(settings, &destinations, policy, args.dry_run, &mut shipped)?;
    report.print(args.json)?;
    report.verdict()
}

/// Removes old copies of these destinations. The caller holds the lock.
///
/// # Errors
/// If the bundles of this host cannot be listed, or what was done cannot be recorded.
pub fn prune(
    settings: &Settings,
    destinations: &[&Destination],
    policy: Policy,
    is_dry: bool,
    shipped: &mut Record,
) -> Result<Report> {
    let alarm = alarm(settings)?;
    let mut ages = Ages::read(settings.ages_file());
    let mut report = Report::default();
    for destination in destinations {
        let run = Run { settings, destination, policy, alarm: alarm.as_deref(), is_dry };
        if let Err(error) = run.prune(&mut ages, &mut report) {
            warning!("{destination}: {error:#}");
            report.failed += 1;
        }
    }
    if !is_dry {
        ages.write()?;
        for (destination, bundle) in report.removed() {
            let of_number = destinations.iter().find(|d| d.to_string() == destination);
            of_number.iter().for_each(|destination| shipped.remove(destination, bundle));
        }
        shipped.write();
    }
    Ok(report)
}

/// Why the alarm of this host's bundles is on, if it is.
fn alarm(settings: &Settings) -> Result<Option<String>> {
    if !settings.root.is_dir() {
        return Ok(None);
    }
    let list = Tool::new("bundle-manifest").args(["list", "--quiet", "--json"]).arg(&settings.root);
    let list: Listing =
        list.json().context("listing the bundles of this host; nothing was removed")?;
    let shrunk = list.shrunk.into_iter().next();
    Ok(shrunk.map(|bundle| format!("{} {}", bundle.name, bundle.reason)))
}

/// The removal at one destination.
struct Run<'a> {
    settings: &'a Settings,
    destination: &'a Destination,
    policy: Policy,
    alarm: Option<&'a str>,
    is_dry: bool,
}

impl Run<'_> {
    fn prune(&self, ages: &mut Ages, report: &mut Report) -> Result<()> {
        let copies = copies::of(self.destination)?;
        let bundles = copies.iter().map(bundle).collect();
        let (own, others) = policy::own(bundles, self.settings.domain.as_deref());
        let clock = Reading::new(&own, Utc::now(), ages.last(self.destination));
        let hold = policy::hold(&own, &clock).or(self.alarm.map(|_| Hold::Shrunk));
        self.warn(hold, &clock);
        let mut decisions = policy::decide(&own, &clock, hold, self.policy);
        decisions.extend(others.into_iter().map(|bundle| Decision {
            bundle,
            verdict: Verdict::Keep,
            reason: Reason::Foreign,
        }));
        let mut left = own.clone();
        for decision in &decisions {
            let copy = copies.iter().find(|copy| copy.file == decision.bundle.name);
            let Some(copy) = copy else { continue };
            let outcome = self.carry_out(copy, decision);
            if outcome.outcome == What::Removed {
                left.retain(|bundle| bundle.name != copy.file);
            }
            report.outcomes.push(outcome);
        }
        if let (false, Place::Directory(directory)) = (self.is_dry, &self.destination.place) {
            directory.remove_partials()?;
        }
        ages.note(self.destination, clock.run(left.iter()));
        Ok(())
    }

    fn warn(&self, hold: Option<Hold>, clock: &Reading) {
        match (hold, clock.jump, self.alarm) {
            (Some(Hold::Clock), Some(jump), _) => warning!(
                "{}: {}: this run removes nothing there; the next one continues",
                self.destination,
                jump.phrase()
            ),
            (Some(Hold::Shrunk), _, Some(alarm)) => warning!(
                "nothing is removed, because {alarm}; if that is intended: backup.sh --accept"
            ),
            _ => {}
        }
    }

    fn carry_out(&self, copy: &Copy, decision: &Decision) -> Outcome {
        let reason = decision.reason.phrase(self.policy);
        let (outcome, reason) = match (decision.verdict, locked_until(copy, Utc::now())) {
            (Verdict::Keep, _) => (What::Kept, reason),
            (Verdict::Remove, Some(until)) => {
                (What::Kept, format!("{reason}, and locked until {}", until.to_rfc3339()))
            }
            (Verdict::Remove, None) if self.is_dry => (What::ToRemove, reason),
            (Verdict::Remove, None) => match self.remove(copy) {
                Ok(()) => (What::Removed, reason),
                Err(error) => {
                    warning!("{}: {}: {error:#}", self.destination, copy.file);
                    (What::Failed, format!("{error:#}"))
                }
            },
        };
        let (destination, file) = (self.destination.to_string(), copy.file.clone());
        Outcome { destination, file, outcome, reason, bundle: copy.name.clone() }
    }

    /// The description goes last: it shows that something is left.
    fn remove(&self, copy: &Copy) -> Result<()> {
        let place = &self.destination.place;
        place.remove(&copy.file)?;
        place.remove(&format!("{}{SUFFIX}", copy.file))
    }
}

/// The copy as the rule sees it: complete or not.
fn bundle(copy: &Copy) -> Bundle {
    let is_complete = copy.problem().is_none();
    let domain = copy.manifest.as_ref().ok().and_then(|m| known(Some(&m.domain)));
    Bundle {
        name: copy.file.clone(),
        taken: copy.name.taken(),
        state: if is_complete { BundleState::Intact } else { BundleState::Damaged },
        domain: domain.map(str::to_owned),
        shrunk: None,
    }
}

fn locked_until(copy: &Copy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    copy.manifest.as_ref().ok()?.retain_until.filter(|until| *until > now)
}
