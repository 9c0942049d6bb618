//! The command line.

use crate::bundles;
use crate::policy::{self, Decision, Policy, Reason, Verdict};
use crate::removal;
use crate::report::{Outcome, Report};
use anyhow::{Context, Result, bail};
use clap::Parser;
use pipe_kit::Exit;
use pipe_kit::log::Quiet;
use std::path::{Path, PathBuf};

const AFTER: &str = "\
A bundle is older than N days when N times 24 hours have passed since the moment in its name;
file times do not count. The newest intact bundle is never removed, whatever its age, and where
no bundle is intact none is removed. A bundle more than a day in the future is kept and never
counts as the newest. Intact means that bundle-manifest verify --quick passes and that no full
verify has found damage. bundle-manifest is looked for on PATH.

EXAMPLES
  bundle-prune --dry-run backups
  bundle-prune --keep-days 30 backups
  bundle-prune --keep-days 7 --keep-last 3 --json backups

EXIT STATUS
  0  done
  1  failed: the bundles could not be listed (nothing was removed), or one could not be removed
  2  wrong usage";

/// Remove bundles older than a limit, never the newest intact one
#[derive(Parser, Debug)]
#[command(version, after_help = AFTER)]
pub struct Cli {
    /// Directory that holds the bundles
    root: PathBuf,
    /// Remove bundles older than this many days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: u32,
    /// Keep at least this many of the newest intact bundles, whatever their age
    #[arg(long, value_name = "N", default_value_t = 1)]
    keep_last: usize,
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
    let policy = Policy { keep_days: cli.keep_days, keep_last: cli.keep_last };
    let root = cli.root.canonicalize();
    let root = root.with_context(|| format!("opening {}", cli.root.display()))?;
    let bundles = bundles::list(&root)?;
    let now = chrono::Utc::now();
    let decisions = policy::decide(&bundles, now, policy);
    warn(&decisions, policy);
    let mut failures = finish_leftovers(&root, cli.dry_run)?;
    let mut report = Report::new(&root, now, policy, cli.dry_run);
    for decision in &decisions {
        let outcome = match decision.verdict {
            _ if cli.dry_run => Outcome::None,
            Verdict::Keep => Outcome::Kept,
            Verdict::Remove => remove(&root, decision, &mut failures),
        };
        report.add(decision, policy, outcome);
    }
    let text = if cli.json { serde_json::to_string(&report)? + "\n" } else { report.text() };
    pipe_kit::output::print(&text)?;
    if !failures.is_empty() {
        bail!("could not remove {}", failures.join(", "));
    }
    Ok(Exit::Done)
}

fn warn(decisions: &[Decision], policy: Policy) {
    for decision in decisions.iter().filter(|d| d.reason == Reason::Future) {
        let reason = decision.reason.phrase(policy);
        pipe_kit::warning!("{} is {reason}; it is kept", decision.bundle.name);
    }
    if decisions.iter().any(|d| d.reason == Reason::NoneIntact) {
        pipe_kit::warning!("{}; take a backup", Reason::NoneIntact.phrase(policy));
    }
}

/// Ends removals that were cut off; gives the bundles that could not be removed.
fn finish_leftovers(root: &Path, dry_run: bool) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for name in removal::leftovers(root)? {
        if dry_run {
            pipe_kit::say!("the cut-off removal of {name} would be finished");
        } else if let Err(error) = removal::finish(root, &name) {
            pipe_kit::warning!("{name}: {error:#}");
            failures.push(name);
        } else {
            pipe_kit::say!("finished the cut-off removal of {name}");
        }
    }
    Ok(failures)
}

fn remove(root: &Path, decision: &Decision, failures: &mut Vec<String>) -> Outcome {
    let name = &decision.bundle.name;
    match removal::remove(root, name) {
        Ok(()) => Outcome::Removed,
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
