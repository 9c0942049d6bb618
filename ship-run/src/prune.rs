//! `ship-run prune`: removes old copies, by the rule that bundles are removed by.

mod ages;
pub mod alarm;
mod report;

use crate::cli::Prune;
use crate::copies::{self, Copy, Form, State};
use crate::place::{Destination, Place};
use crate::prune::ages::Ages;
use crate::prune::alarm::Alarm;
use crate::prune::report::{Outcome, Report, What};
use crate::record::Record;
use crate::settings::Settings;
use crate::waits::Waits;
use anyhow::{Result, anyhow};
use bundle_format::domain::known;
use bundle_format::report::BundleState;
use bundle_format::retention::clock::Reading;
use bundle_format::retention::policy::{self, Decision, Hold, Policy, Reason, Verdict};
use bundle_format::retention::{Bundle, Calendar};
use bundle_format::shipped::SUFFIX;
use chrono::{DateTime, Utc};
use pipe_kit::{Exit, warning};

/// Removes old copies, and prints what became of each.
///
/// # Errors
/// [`pipe_kit::Stop::incomplete`] if a destination failed, or a copy was not removed.
pub fn run(settings: &Settings, args: &Prune) -> Result<Exit> {
    let destinations: Vec<&Destination> = settings.destinations()?.iter().collect();
    let _lock = settings.lock()?;
    let Policy { keep_days, calendar: of, .. } = settings.policy()?;
    let calendar = Calendar {
        daily: args.keep_daily.unwrap_or(of.daily),
        weekly: args.keep_weekly.unwrap_or(of.weekly),
        monthly: args.keep_monthly.unwrap_or(of.monthly),
        yearly: args.keep_yearly.unwrap_or(of.yearly),
    };
    let keep_days = args.keep_days.unwrap_or(keep_days);
    let policy = Policy { keep_days, keep_last: args.keep_last, calendar };
    let mut shipped = Record::read(settings.record_file());
    let alarm = Alarm::of(settings, &[])?;
    let pruning = Pruning { settings, policy, alarm: &alarm, is_dry: args.dry_run };
    let report = pruning.prune(&destinations, &mut shipped, |_| Waits::default())?;
    report.print(args.json)?;
    report.verdict()
}

/// A removal of old copies.
pub struct Pruning<'a> {
    pub settings: &'a Settings,
    pub policy: Policy,
    pub alarm: &'a Alarm,
    /// Nothing is changed.
    pub is_dry: bool,
}

impl Pruning<'_> {
    /// Removes old copies of these destinations. The caller holds the lock.
    ///
    /// # Errors
    /// If what was done cannot be recorded.
    pub fn prune(
        &self,
        destinations: &[&Destination],
        shipped: &mut Record,
        waits: impl Fn(&Destination) -> Waits,
    ) -> Result<Report> {
        let mut ages = Ages::read(self.settings.ages_file());
        let mut report = Report::default();
        for destination in destinations {
            let _waiting = waits(destination).begin();
            let Self { settings, policy, alarm, is_dry } = *self;
            let run = Run { settings, destination, policy, alarm, is_dry };
            if let Err(error) = run.prune(shipped, &mut ages, &mut report) {
                warning!("{destination}: {error:#}");
                report.failed += 1;
            }
        }
        if !self.is_dry {
            ages.write()?;
            for (destination, bundle) in report.removed() {
                let of_number = destinations.iter().find(|d| d.to_string() == destination);
                of_number.iter().for_each(|destination| shipped.remove(destination, bundle));
            }
            shipped.write();
        }
        Ok(report)
    }
}

/// The removal at one destination.
struct Run<'a> {
    settings: &'a Settings,
    destination: &'a Destination,
    policy: Policy,
    alarm: &'a Alarm,
    is_dry: bool,
}

impl Run<'_> {
    fn prune(&self, shipped: &Record, ages: &mut Ages, report: &mut Report) -> Result<()> {
        let copies = copies::of(self.destination, shipped)?;
        // What is not known of a copy may be what keeps it.
        let is_known = |copy: &&Copy| !matches!(copy.state, State::Unread(..) | State::Unfinished);
        let (known, unknown): (Vec<_>, Vec<_>) = copies.iter().partition(is_known);
        let bundles = known.into_iter().map(bundle).collect();
        let (own, others) = self.own(bundles);
        let clock = Reading::new(&own, Utc::now(), ages.last(self.destination));
        let is_own = |copy: &&Copy| own.iter().any(|bundle| bundle.name == copy.file);
        let alarm = self.alarm.at(copies.iter().filter(is_own), clock.now);
        let hold = policy::hold(&own, &clock).or(alarm.as_ref().map(|_| Hold::Shrunk));
        self.warn(hold, &clock, alarm.as_deref());
        let mut decisions = policy::decide(&own, &clock, hold, self.policy);
        decisions.extend(others.into_iter().map(|bundle| Decision {
            bundle,
            verdict: Verdict::Keep,
            reason: Reason::Foreign,
        }));
        let decided = decisions.iter().filter_map(|decision| {
            Some((copies.iter().find(|copy| copy.file == decision.bundle.name)?, decision))
        });
        let outcomes = self.carry_out(&decided.collect::<Vec<_>>())?;
        let is_removed = |bundle: &Bundle| {
            outcomes.iter().any(|o| o.outcome == What::Removed && o.file == bundle.name)
        };
        ages.note(self.destination, clock.run(own.iter().filter(|bundle| !is_removed(bundle))));
        report.outcomes.extend(outcomes);
        let kept = |copy: &&Copy| {
            let reason = copy.state.problem().unwrap_or_default().to_owned();
            self.outcome(copy, What::Kept, reason)
        };
        report.outcomes.extend(unknown.iter().map(kept));
        if let (false, Place::Files(files)) = (self.is_dry, &self.destination.place) {
            files.remove_unfinished()?;
        }
        Ok(())
    }

    /// The copies of this deployment, and the others. Without a domain of its own, those of any known one are others'.
    fn own(&self, bundles: Vec<Bundle>) -> (Vec<Bundle>, Vec<Bundle>) {
        match known(self.settings.domain.as_deref()) {
            Some(domain) => policy::own(bundles, Some(domain)),
            None => bundles.into_iter().partition(|bundle| bundle.domain.is_none()),
        }
    }

    fn warn(&self, hold: Option<Hold>, clock: &Reading, alarm: Option<&str>) {
        match (hold, clock.jump, alarm) {
            (Some(Hold::Clock), Some(jump), _) => warning!(
                "{}: {}: this run removes nothing there; the next one continues",
                self.destination,
                jump.phrase()
            ),
            (Some(Hold::Shrunk), _, Some(alarm)) => warning!(
                "{}: nothing is removed, because {alarm}; if that is intended: backup.sh --accept",
                self.destination
            ),
            _ => {}
        }
    }

    fn carry_out(&self, decided: &[(&Copy, &Decision)]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let mut old = Vec::new();
        let of_restic = match &self.destination.place {
            Place::Restic(repository) => {
                Some(repository.outdated(self.policy, self.settings.domain.as_deref())?)
            }
            _ => None,
        };
        for (copy, decision) in decided {
            let reason = decision.reason.phrase(self.policy);
            let is_kept_by_restic = match (&of_restic, &copy.form) {
                (Some(outdated), Form::Snapshot(snapshot)) => !outdated.contains(&snapshot.id),
                _ => false,
            };
            match (decision.verdict, locked_until(copy, Utc::now())) {
                (Verdict::Keep, _) => outcomes.push(self.outcome(copy, What::Kept, reason)),
                (Verdict::Remove, Some(until)) => {
                    let reason = format!("{reason}, and locked until {}", until.to_rfc3339());
                    outcomes.push(self.outcome(copy, What::Kept, reason));
                }
                (Verdict::Remove, None) if is_kept_by_restic => {
                    let reason = format!("{reason}, and kept by restic's own policy");
                    outcomes.push(self.outcome(copy, What::Kept, reason));
                }
                (Verdict::Remove, None) if self.is_dry => {
                    outcomes.push(self.outcome(copy, What::ToRemove, reason));
                }
                (Verdict::Remove, None) => old.push((*copy, reason)),
            }
        }
        outcomes.extend(self.remove(old));
        Ok(outcomes)
    }

    fn remove(&self, old: Vec<(&Copy, String)>) -> Vec<Outcome> {
        let removed = |copy: &Copy, reason: String, result: Result<()>| match result {
            Ok(()) => self.outcome(copy, What::Removed, reason),
            Err(error) => {
                warning!("{}: {}: {error:#}", self.destination, copy.file);
                self.outcome(copy, What::Failed, format!("{error:#}"))
            }
        };
        if let Place::Restic(repository) = &self.destination.place {
            let ids: Vec<&str> = old.iter().filter_map(|(copy, _)| copy.snapshot_id()).collect();
            let result = if ids.is_empty() { Ok(()) } else { repository.remove(&ids) };
            let why = result.err().map(|error| format!("{error:#}"));
            let one = |why: &Option<String>| why.clone().map_or(Ok(()), |why| Err(anyhow!(why)));
            return old
                .into_iter()
                .map(|(copy, reason)| removed(copy, reason, one(&why)))
                .collect();
        }
        let one = |(copy, reason): (&Copy, String)| removed(copy, reason, self.remove_files(copy));
        old.into_iter().map(one).collect()
    }

    /// The description goes last: it shows that something is left.
    fn remove_files(&self, copy: &Copy) -> Result<()> {
        let Place::Files(files) = &self.destination.place else { return Ok(()) };
        files.remove(&copy.file)?;
        files.remove(&format!("{}{SUFFIX}", copy.file))
    }

    fn outcome(&self, copy: &Copy, outcome: What, reason: String) -> Outcome {
        let (destination, file) = (self.destination.to_string(), copy.file.clone());
        Outcome { destination, file, outcome, reason, bundle: copy.name.clone() }
    }
}

/// The copy as the rule sees it: complete or not.
fn bundle(copy: &Copy) -> Bundle {
    let is_complete = copy.is_complete();
    let domain = known(copy.domain());
    Bundle {
        name: copy.file.clone(),
        taken: copy.name.taken(),
        state: if is_complete { BundleState::Intact } else { BundleState::Damaged },
        domain: domain.map(str::to_owned),
        shrunk: None,
    }
}

fn locked_until(copy: &Copy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    copy.retain_until().filter(|until| *until > now)
}
