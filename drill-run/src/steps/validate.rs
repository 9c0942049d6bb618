//! `validate`: the bundle is intact, as before, and its dump is one of this toolkit's.

use crate::baseline;
use crate::bundle::Bundle;
use crate::drill::{Drill, Dump};
use crate::results::Judged;
use anyhow::{Context, Result};
use bundle_format::report::{BundleCheck, BundleState, DrillVerdict};
use pipe_kit::Stop;
use pipe_kit::text::count;
use pipe_kit::tool::Tool;

/// The command that checks a bundle.
pub fn verify_tool(bundle: &Bundle) -> Tool {
    Tool::new("bundle-manifest").args(["verify", "--json"]).arg(&bundle.dir)
}

/// The command that reads what a dump holds.
pub fn inspect_tool(bundle: &Bundle) -> Tool {
    Tool::new("pg-snap").args(["inspect", "--json"]).arg(bundle.dump())
}

/// Checks the bundle.
///
/// # Errors
/// [`Stop::damaged`] if it is damaged; if it could not be checked.
pub fn run(drill: &Drill) -> Result<()> {
    let check: BundleCheck = verify_tool(&drill.bundle).report()?;
    judge(drill, &check)?;
    same_seal(drill);
    if let Some(why) = &drill.unlisted {
        drill.results.failed(
            "bundles of the deployment",
            "listed, for the one before",
            why.clone(),
        );
    }
    let dump: Dump = inspect_tool(&drill.bundle).json()?;
    indexed(drill, &dump);
    domain(drill);
    let _ = drill.dump.set(dump);
    Ok(())
}

fn judge(drill: &Drill, check: &BundleCheck) -> Result<()> {
    let results = &drill.results;
    let expected = "every byte as it was sealed";
    match check.state {
        BundleState::Intact => results.pass("bundle", expected, "intact"),
        BundleState::Unsealed => {
            results.note(
                "bundle",
                expected,
                "no seal: made by an older script; it can be read to its end",
            );
        }
        BundleState::Damaged => {
            let named = |problem: &bundle_format::report::Problem| {
                Judged::new(
                    DrillVerdict::Finding,
                    problem.path.clone(),
                    "as sealed",
                    problem.problem.clone(),
                )
            };
            results.add_all("problems", check.problems.iter().map(named).collect());
            let problems = count(check.problems.len(), "problem");
            return Err(Stop::damaged(format!("the bundle is damaged ({problems})")).into());
        }
        BundleState::Unknown => {
            let why = check.unchecked.first().map_or("for no known reason", String::as_str);
            anyhow::bail!("the bundle could not be checked: {why}");
        }
    }
    Ok(())
}

fn same_seal(drill: &Drill) {
    let bundle = &drill.bundle;
    let seal = bundle.seal.as_deref();
    let check = "seal of earlier drills of this bundle";
    let shown = |seal: Option<&str>| seal.unwrap_or("none").to_owned();
    match baseline::sealed_otherwise(&bundle.name, seal, &drill.history) {
        Some(report) => {
            let before = shown(report.bundle.seal.as_deref());
            let expected = format!("{before}, as in {}", report.drill);
            let found = format!("the bundle was changed since {}: {}", report.drill, shown(seal));
            drill.results.finding(check, expected, found);
        }
        None if drill.history.iter().any(|report| report.bundle.name == bundle.name) => {
            drill.results.pass(check, "the same", shown(seal));
        }
        None => drill.results.skipped(check, "the same", "there is none"),
    }
}

/// Every dump of this toolkit has an index: another tool wrote this one, after the bundle was made.
fn indexed(drill: &Drill, dump: &Dump) {
    let is_ours = drill.bundle.manifest.toolkit.is_some();
    let check = "index of the dump";
    match (is_ours, dump.indexed) {
        (_, true) => drill.results.pass(check, "there", "there"),
        (true, false) => {
            let found = "missing, though the manifest names this toolkit: another tool has written the dump";
            drill.results.finding(check, "there", found);
        }
        (false, false) => drill.results.skipped(check, "none", "made by an older script"),
    }
}

fn domain(drill: &Drill) {
    let own = &drill.settings.domain;
    let theirs = drill.bundle.domain();
    if bundle_format::domain::differ(Some(own), Some(&theirs)) {
        drill.results.note("domain", own.clone(), theirs);
    }
}

/// The manifest can be read before anything else.
///
/// # Errors
/// If the dump is not there.
pub fn quick(bundle: &Bundle) -> Result<BundleCheck> {
    let tool = Tool::new("bundle-manifest").args(["verify", "--quick", "--json"]).arg(&bundle.dir);
    tool.report().context("checking the bundle")
}
