//! The services' states, as the driver reports them.

use crate::limit::Limit;
use crate::probe::{Facts, Probe};
use crate::program::output;
use crate::settings::Settings;
use bundle_format::report::{ProbeKind, ProbeVerdict};
use std::process::Command;

/// For a driver that probes services itself: how many seconds each has. It is half of our own limit, so that a
/// service that hangs gets a line of its own.
const SECONDS: &str = "PIPRIO_PROBE_SECONDS";

/// A line for each service of `DRIVER ps`; a single failed line if the driver fails.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let seconds = limit.whole().as_secs_f64() / 2.0;
    let mut command = Command::new(&settings.driver);
    match output(command.arg("ps").env(SECONDS, seconds.to_string()), "driver ps", limit) {
        Ok(text) => states(&text),
        Err(error) => vec![Probe::fail(ProbeKind::Service, "all", format!("{error:#}"))],
    }
}

fn states(text: &str) -> Vec<Probe> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return vec![Probe::fail(ProbeKind::Service, "all", "the driver knows no service")];
    }
    lines.into_iter().map(state).collect()
}

fn state(line: &str) -> Probe {
    let Some((name, state)) = line.split_once('\t') else {
        return Probe::fail(ProbeKind::Service, line, "the driver reports no state");
    };
    let is_well = ["running", "done"].contains(&state);
    let verdict = if is_well { ProbeVerdict::Pass } else { ProbeVerdict::Fail };
    Probe::new(ProbeKind::Service, name, verdict, state)
        .with_facts(Facts::from([("state", state.into())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_is_done_passes_and_nothing_else() {
        let probes = states("api\trunning\nmig\tdone\nweb\tunhealthy\ndb\tstopped\nodd\n");
        let passed: Vec<_> =
            probes.iter().map(|p| (p.name.as_str(), p.verdict == ProbeVerdict::Pass)).collect();
        let expected =
            [("api", true), ("mig", true), ("web", false), ("db", false), ("odd", false)];
        assert_eq!(passed, expected);
    }

    #[test]
    fn no_service_at_all_is_a_failure() {
        assert_eq!(states("")[0].verdict, ProbeVerdict::Fail);
    }
}
