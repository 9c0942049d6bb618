//! The services' states, as the driver tells them.

use crate::ask::ask;
use crate::probe::{Kind, Probe};
use crate::settings::Settings;
use std::process::Command;
use std::time::Duration;

/// A line each service of `DRIVER ps`; one that fails where the driver does.
pub fn probe(settings: &Settings, timeout: Duration) -> Vec<Probe> {
    match ask(Command::new(&settings.driver).arg("ps"), "driver ps", timeout) {
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
    match line.split_once('\t') {
        Some((name, state @ ("running" | "done"))) => Probe::pass(Kind::Service, name, state),
        Some((name, state)) => Probe::fail(Kind::Service, name, state),
        None => Probe::fail(Kind::Service, line, "the driver tells no state"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_is_done_passes_and_nothing_else() {
        let probes = states("api\trunning\nmig\tdone\nweb\tunhealthy\ndb\tstopped\nodd\n");
        let told: Vec<_> = probes.iter().map(|p| (p.name.as_str(), p.pass)).collect();
        let expected =
            [("api", true), ("mig", true), ("web", false), ("db", false), ("odd", false)];
        assert_eq!(told, expected);
    }

    #[test]
    fn no_service_at_all_is_a_failure() {
        assert!(!states("")[0].pass);
    }
}
