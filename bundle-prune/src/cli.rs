//! The command line.

use crate::bundles;
use crate::record::Record;
use crate::removal::{self, Removal};
use crate::report::{Outcome, Report};
use anyhow::{Context, Result, bail};
use bundle_format::retention::Bundle;
use bundle_format::retention::Calendar;
use bundle_format::retention::clock::Reading;
use bundle_format::retention::policy::{self, Decision, Policy, Reason, Verdict};
use clap::Parser;
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::path::{Path, PathBuf};

const AFTER: &str = "\
A bundle is older than N days when N times 24 hours have passed since the moment in its name or,
with a record of the last run, from run to run; file times do not count. The newest intact
bundle is never removed, whatever its age, and if no bundle is intact, none is removed. A bundle
dated more than a day in the future is kept and never counts as the newest. Intact means that
bundle-manifest verify --quick passes and that no full verify has found damage; a complete
bundle of the older script, which has no seal, counts as intact. Runs bundle-manifest, found on
PATH.

Bundles that are older than that are kept where another rule keeps them. --keep-daily 7 keeps the
newest intact bundle of each of the last 7 days that have one; days without a bundle do not count,
and neither do damaged bundles. The rules for weeks, months and years work alike, and one bundle can
be kept by several. Days begin at midnight, and all times are UTC, as in the bundles' names.

If the record shows that the clock went back by more than a day, or forward by more than two
usual intervals between runs plus six hours, the run removes nothing and warns about the clock. That time
counts towards no age, so a wrong clock makes no bundle old. Bundles that were made before it, and
after it, are counted apart: up to two more days, weeks, months or years are then kept.

Nothing is removed while the alarm is on because a bundle holds far less than the one before it
(bundle-manifest alarm). With a domain, bundles of other deployments are neither removed nor
counted. A bundle whose directory another program has locked, as a drill does, is kept until the
next run.

EXAMPLES
  bundle-prune --dry-run backups
  bundle-prune --keep-days 30 backups
  bundle-prune --keep-days 7 --keep-last 3 --json backups
  bundle-prune --keep-days 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 3 backups
  bundle-prune --domain docs.example.org --record .restore/retention.json backups

EXIT STATUS
  0  done, even if something held removal back; a warning then gives the reason
  1  failed: the bundles could not be listed (nothing was removed), or one could not be removed
  2  wrong usage";

/// Remove bundles older than a limit, never the newest intact one
#[derive(Parser, Debug)]
#[command(version, after_help = AFTER)]
pub struct Cli {
    /// Directory that holds the bundles
    root: PathBuf,
    /// Remove bundles older than this many days
    #[arg(long, value_name = "N", env = "BACKUP_KEEP_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: u32,
    /// Keep at least this many of the newest intact bundles, whatever their age
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep_last: usize,
    /// Keep the newest intact bundle of each of the last N days that have one
    #[arg(long, value_name = "N", env = "BACKUP_KEEP_DAILY", default_value_t = 0)]
    keep_daily: u32,
    /// The same for weeks, which begin on Monday
    #[arg(long, value_name = "N", env = "BACKUP_KEEP_WEEKLY", default_value_t = 0)]
    keep_weekly: u32,
    /// The same for months
    #[arg(long, value_name = "N", env = "BACKUP_KEEP_MONTHLY", default_value_t = 0)]
    keep_monthly: u32,
    /// The same for years
    #[arg(long, value_name = "N", env = "BACKUP_KEEP_YEARLY", default_value_t = 0)]
    keep_yearly: u32,
    /// Count and remove only the bundles of this deployment; bundles of an unknown one belong to it
    /// unless the root also holds another deployment's
    #[arg(long, value_name = "DOMAIN", env = "PIPRIO_DOMAIN")]
    domain: Option<String>,
    /// File in which a run records what it found, for the next one [default: .restore/retention.json
    /// of PIPRIO_DEPLOY, where that is set]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Print each bundle's verdict and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    quiet: Quiet,
}

/// Runs the tool.
///
/// # Errors
/// If the bundles cannot be listed, or one could not be removed.
pub fn run(cli: Cli) -> Result<Exit> {
    cli.quiet.apply();
    let calendar = Calendar {
        daily: cli.keep_daily,
        weekly: cli.keep_weekly,
        monthly: cli.keep_monthly,
        yearly: cli.keep_yearly,
    };
    let policy = Policy { keep_days: cli.keep_days, keep_last: cli.keep_last, calendar };
    let root = cli.root.canonicalize();
    let root = root.with_context(|| format!("opening {}", cli.root.display()))?;
    let record = record_file(cli.record).map(|file| Record::read(file, &root)).transpose()?;
    let (own, others) = policy::own(bundles::list(&root)?, cli.domain.as_deref());
    let clock = Reading::new(&own, chrono::Utc::now(), record.as_ref().and_then(Record::last));
    let hold = policy::hold(&own, &clock);
    let mut decisions = policy::decide(&own, &clock, hold, policy);
    warn(&decisions, &clock, policy);
    decisions.extend(others.into_iter().map(foreign));
    let mut failures = finish_leftovers(&root, cli.dry_run)?;
    let mut report = Report::new(&root, clock.now, policy, cli.dry_run);
    for decision in &mut decisions {
        if decision.verdict == Verdict::Remove && removal::is_in_use(&root, &decision.bundle.name) {
            keep_in_use(decision);
        }
        let outcome = match decision.verdict {
            _ if cli.dry_run => Outcome::None,
            Verdict::Keep => Outcome::Kept,
            Verdict::Remove => remove(&root, decision, &mut failures),
        };
        report.add(decision, policy, outcome);
    }
    if let Some(record) = record.filter(|_| !cli.dry_run) {
        let left = own.iter().filter(|bundle| root.join(&bundle.name).is_dir());
        record.write(clock.run(left))?;
    }
    let text = if cli.json { serde_json::to_string(&report)? + "\n" } else { report.text() };
    pipe_kit::output::print(&text)?;
    if !failures.is_empty() {
        bail!("could not remove {}", failures.join(", "));
    }
    Ok(Exit::Done)
}

fn record_file(given: Option<PathBuf>) -> Option<PathBuf> {
    let of_deployment = || {
        let deployment = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty())?;
        Some(Path::new(&deployment).join(".restore/retention.json"))
    };
    given.or_else(of_deployment)
}

fn foreign(bundle: Bundle) -> Decision {
    Decision { bundle, verdict: Verdict::Keep, reason: Reason::Foreign }
}

fn warn(decisions: &[Decision], clock: &Reading, policy: Policy) {
    if let Some(jump) = clock.jump {
        let jump = jump.phrase();
        pipe_kit::warning!(
            "{jump}: this run removes nothing; if the clock is wrong, set it (timedatectl); if it is right, the next run continues, and the time between makes no bundle older"
        );
    }
    let ahead: Vec<_> = decisions.iter().filter(|d| d.reason == Reason::Future).collect();
    if let Some((first, more)) = ahead.split_first() {
        let (name, reason) = (&first.bundle.name, Reason::Future.phrase(policy));
        match more.len() {
            0 => pipe_kit::warning!("{name} is {reason}; it is kept"),
            more => pipe_kit::warning!("{name} and {more} more are {reason}; they are kept"),
        }
    }
    if decisions.iter().any(|d| d.reason == Reason::NoneIntact) {
        pipe_kit::warning!("{}; take a backup", Reason::NoneIntact.phrase(policy));
    }
    let shrunk = decisions.iter().filter_map(|d| Some((&d.bundle.name, d.bundle.shrunk.as_ref()?)));
    for (name, what) in shrunk {
        pipe_kit::warning!(
            "nothing is removed, because {name} {what}; if that is intended: backup.sh --accept"
        );
    }
}

/// Finishes interrupted removals; returns the bundles that could not be removed.
fn finish_leftovers(root: &Path, dry_run: bool) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for name in removal::leftovers(root)? {
        if dry_run {
            pipe_kit::info!("the interrupted removal of {name} would be finished");
        } else if let Err(error) = removal::finish(root, &name) {
            pipe_kit::warning!("{name}: {error:#}");
            failures.push(name);
        } else {
            pipe_kit::info!("finished the interrupted removal of {name}");
        }
    }
    Ok(failures)
}

/// The next run removes it.
fn keep_in_use(decision: &mut Decision) {
    decision.verdict = Verdict::Keep;
    decision.reason = Reason::InUse;
}

fn remove(root: &Path, decision: &mut Decision, failures: &mut Vec<String>) -> Outcome {
    let name = decision.bundle.name.clone();
    match removal::remove(root, &name) {
        Ok(Removal::Removed) => Outcome::Removed,
        Ok(Removal::InUse) => {
            keep_in_use(decision);
            Outcome::Kept
        }
        Err(error) => {
            pipe_kit::warning!("{name}: {error:#}");
            failures.push(name.clone());
            Outcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
