//! What a drill of the services found, for its report.

use super::deployment::Deployment;
use super::notes::listed;
use bundle_format::report::{DrillCheck, DrillVerdict, HealthReport, ProbeVerdict};

/// The step.
const STEP: &str = "app";
/// Why a secret was not replaced, and a service does not run.
const DATA_KEY: &str = "data-key";
const ONE_SHOT: &str = "one-shot";

/// One check.
pub fn check(
    name: impl Into<String>,
    verdict: DrillVerdict,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> DrillCheck {
    DrillCheck {
        step: STEP.to_owned(),
        check: name.into(),
        verdict,
        expected: expected.into(),
        found: found.into(),
    }
}

/// What a deployment is without.
pub fn of_deployment(deployment: &Deployment) -> Vec<DrillCheck> {
    use DrillVerdict::{Note, Pass};
    let with = |all: &[(String, String)], word: &str, is_so: bool| -> Vec<(String, String)> {
        all.iter().filter(|(_, reason)| (reason == word) == is_so).cloned().collect()
    };
    let names = |all: Vec<(String, String)>| {
        all.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    };
    let notes = &deployment.notes;
    let external = match deployment.has_external_storage {
        true => "external: not in the bundle, and out of reach of the drill",
        false => "",
    };
    let keys = Some(names(with(&deployment.kept, DATA_KEY, true))).filter(|keys| !keys.is_empty());
    let replaced = pipe_kit::text::count(deployment.replaced.len(), "secret");
    let found = format!("{replaced} replaced; data keys: {}", keys.as_deref().unwrap_or("none"));
    let mut checks = vec![check("secrets", Pass, "the drill's own, but for data keys", found)];
    for (name, verdict, expected, found) in [
        (
            "secrets of the bundle",
            Note,
            "data keys alone",
            listed(&with(&deployment.kept, DATA_KEY, false)),
        ),
        ("one-shots", Pass, "not run", names(with(&notes.skipped, ONE_SHOT, true))),
        ("services left out", Note, "none", listed(&with(&notes.skipped, ONE_SHOT, false))),
        ("parts of services left out", Note, "none", listed(&notes.dropped)),
        ("readiness URLs left out", Note, "none", deployment.dropped_urls.join(", ")),
        ("objects", Note, "restored", external.to_owned()),
    ] {
        if !found.is_empty() {
            checks.push(check(name, verdict, expected, found));
        }
    }
    checks
}

/// The lines that the driver's `isolation` prints.
pub fn of_isolation(text: &str) -> Vec<DrillCheck> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.splitn(4, '\t').collect();
        let [name, word, expected, found] = fields.as_slice() else { return None };
        let verdict = match *word {
            "pass" => DrillVerdict::Pass,
            "skip" => DrillVerdict::Note,
            _ => DrillVerdict::Finding,
        };
        Some(check(*name, verdict, *expected, *found))
    };
    text.lines().filter_map(line).collect()
}

/// The lines of the health check.
pub fn of_health(report: &HealthReport) -> Vec<DrillCheck> {
    let probes = report.probes.iter().map(|probe| {
        // One-shots do not run in a drill: a service that has ended will not start again.
        let has_ended = probe.facts.get("state").is_some_and(|state| state == "done");
        let verdict = match probe.verdict {
            ProbeVerdict::Pass if has_ended => DrillVerdict::Finding,
            ProbeVerdict::Pass => DrillVerdict::Pass,
            ProbeVerdict::Warn => DrillVerdict::Note,
            ProbeVerdict::Fail => DrillVerdict::Finding,
        };
        let name = format!("{} {}", probe.kind.name(), probe.name);
        check(name, verdict, ProbeVerdict::Pass.word(), probe.detail.clone())
    });
    probes.collect()
}

/// How a restore ended. `last` are the last lines of its log, without secrets.
pub fn of_restore(status: Option<i32>, seconds: u64, last: &str) -> DrillCheck {
    let (verdict, found) = match status {
        Some(0) => (DrillVerdict::Pass, format!("complete after {seconds} s")),
        Some(3) => (DrillVerdict::Finding, format!("incomplete: {last}")),
        Some(4) => (DrillVerdict::Finding, format!("damaged: {last}")),
        Some(status) => (DrillVerdict::Failed, format!("status {status}: {last}")),
        None => (DrillVerdict::Failed, format!("ended by a signal: {last}")),
    };
    check("restore", verdict, "complete", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::notes::Notes;

    fn shown(checks: &[DrillCheck]) -> Vec<String> {
        let line = |it: &DrillCheck| format!("{} {}: {}", it.verdict.word(), it.check, it.found);
        checks.iter().map(line).collect()
    }

    #[test]
    fn what_a_deployment_is_without_is_reported() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let deployment = Deployment {
            replaced: vec!["A".into(), "B".into()],
            kept: vec![pair("secrets/key", DATA_KEY), pair("secrets/x.pem", "a PEM file")],
            notes: Notes {
                skipped: vec![pair("migrate", ONE_SHOT), pair("proxy", "socket")],
                dropped: vec![pair("web", "devices")],
                ..Notes::default()
            },
            dropped_urls: vec!["public".into()],
            has_external_storage: true,
            ..Deployment::default()
        };
        let expected = [
            "pass secrets: 2 secrets replaced; data keys: secrets/key",
            "note secrets of the bundle: secrets/x.pem: a PEM file",
            "pass one-shots: migrate",
            "note services left out: proxy: socket",
            "note parts of services left out: web: devices",
            "note readiness URLs left out: public",
            "note objects: external: not in the bundle, and out of reach of the drill",
        ];
        assert_eq!(shown(&of_deployment(&deployment)), expected);
        let plain = of_deployment(&Deployment::default());
        assert_eq!(shown(&plain), ["pass secrets: 0 secrets replaced; data keys: none"]);
    }

    #[test]
    fn a_route_outside_and_a_probe_that_fails_are_findings() {
        let text = "network\tpass\tinternal\tx\nrights\tfail\tplain\tapi: privileged\n";
        assert_eq!(
            shown(&of_isolation(text)),
            ["pass network: x", "finding rights: api: privileged"]
        );
        let report: HealthReport = serde_json::from_str(
            r#"{"timestamp":"","elapsed_ms":1,"healthy":false,"passed":0,"warned":1,"failed":1,"probes":[
            {"kind":"service","name":"api","verdict":"fail","pass":false,"detail":"stopped","latency_ms":null,"facts":{}},
            {"kind":"disk","name":"x","verdict":"warn","pass":true,"detail":"full soon","latency_ms":null,"facts":{}}]}"#,
        )
        .unwrap();
        assert_eq!(
            shown(&of_health(&report)),
            ["finding service api: stopped", "note disk x: full soon"]
        );
    }

    #[test]
    fn a_restore_ends_in_one_of_five_ways() {
        for (status, expected) in [
            (Some(0), "pass restore: complete after 7 s"),
            (Some(3), "finding restore: incomplete: last"),
            (Some(4), "finding restore: damaged: last"),
            (Some(1), "failed restore: status 1: last"),
            (None, "failed restore: ended by a signal: last"),
        ] {
            assert_eq!(shown(&[of_restore(status, 7, "last")]), [expected]);
        }
    }
}
