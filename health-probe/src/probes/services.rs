//! The services' states, as the driver tells them.

use crate::ask::ask;
use crate::limit::Limit;
use crate::probe::{Facts, Kind, Probe, Verdict};
use crate::settings::Settings;
use std::process::Command;

/// Tells a driver that asks services itself how many seconds one of them has: half of ours, so that
/// one that hangs is told of by its own line.
const SECONDS: &str = "PIPRIO_PROBE_SECONDS";

/// A line each service of `DRIVER ps`; one that fails where the driver does.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let seconds = limit.whole().as_secs_f64() / 2.0;
    let mut command = Command::new(&settings.driver);
    match ask(command.arg("ps").env(SECONDS, seconds.to_string()), "driver ps", limit) {
        Ok(text) => states(&text),
        Err(error) => vec![Probe::fail(Kind::Service, "all", format!("{error:#}"))],
    }
}

fn states(text: &str) -> Vec<Probe> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return vec![Probe::fail(Kind::Service, "all", "the driver knows no service")];
    }
    lines.into_iter().map(state).collect()
}

fn state(line: &str) -> Probe {
    let Some((name, state)) = line.split_once('\t') else {
        return Probe::fail(Kind::Service, line, "the driver tells no state");
    };
    let is_well = ["running", "done"].contains(&state);
    let verdict = if is_well { Verdict::Pass } else { Verdict::Fail };
    Probe::new(Kind::Service, name, verdict, state).knowing(Facts::from([("state", state.into())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_is_done_passes_and_nothing_else() {
        let probes = states("api\trunning\nmig\tdone\nweb\tunhealthy\ndb\tstopped\nodd\n");
        let told: Vec<_> =
            probes.iter().map(|p| (p.name.as_str(), p.verdict == Verdict::Pass)).collect();
        let expected =
            [("api", true), ("mig", true), ("web", false), ("db", false), ("odd", false)];
        assert_eq!(told, expected);
    }

    #[test]
    fn no_service_at_all_is_a_failure() {
        assert_eq!(states("")[0].verdict, Verdict::Fail);
    }
}
