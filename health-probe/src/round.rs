//! All probes at once, each with its limit.

use crate::limit::Limit;
use crate::probe::Probe;
use crate::probes::{self, Task};
use crate::settings::Settings;
use bundle_format::report::{ProbeKind, ProbeVerdict};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The time beyond its limit that a probe has to report what is wrong, before it is abandoned.
const SLACK: Duration = Duration::from_millis(300);

/// Probes everything once, or only the given kinds. Takes no longer than `timeout` and the slack.
pub fn round(settings: &Settings, only: &[ProbeKind], timeout: Duration) -> Vec<Probe> {
    let mut tasks = probes::all(settings);
    tasks.retain(|task| only.is_empty() || only.contains(&task.kind));
    let latency = settings.limits.latency;
    let finished = |probe: Probe| probe.expected_within(latency).without(&settings.secrets);
    run(tasks, timeout).into_iter().map(finished).collect()
}

/// Runs each task in a thread. A thread that does not return is abandoned: it may hang in a filesystem or a
/// resolver, where it cannot be stopped.
fn run(tasks: Vec<Task>, timeout: Duration) -> Vec<Probe> {
    let (limit, end) = (Limit::of(timeout), Instant::now() + timeout + SLACK);
    let (send, receive) = mpsc::channel();
    let mut answers: Vec<(ProbeKind, String, Option<Vec<Probe>>)> = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        answers.push((task.kind, task.name, None));
        let (send, run) = (send.clone(), task.run);
        std::thread::spawn(move || send.send((at, run(limit))));
    }
    drop(send);
    while let Ok((at, probes)) = receive.recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        answers[at].2 = Some(probes);
    }
    answers
        .into_iter()
        .flat_map(|(kind, name, probes)| {
            probes.unwrap_or_else(|| {
                vec![Probe::new(kind, &name, unanswered(kind), limit.no_answer())]
            })
        })
        .collect()
}

/// The verdict without an answer. Bundles, drills and copies are no part of the running deployment, so they only warn.
fn unanswered(kind: ProbeKind) -> ProbeVerdict {
    match kind {
        ProbeKind::Bundle | ProbeKind::Drill | ProbeKind::Ship => ProbeVerdict::Warn,
        _ => ProbeVerdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, run: impl FnOnce() + Send + 'static) -> Task {
        let probe = Probe::pass(ProbeKind::Disk, name, "ok");
        let run = Box::new(move |_| {
            run();
            vec![probe]
        });
        Task { kind: ProbeKind::Disk, name: name.into(), run }
    }

    #[test]
    fn a_probe_that_hangs_or_dies_is_a_failure_and_the_others_are_reported_in_order() {
        let tasks = vec![
            task("hangs", || std::thread::sleep(Duration::from_secs(3600))),
            task("dies", || panic!("on purpose")),
            task("works", || {}),
        ];
        let probes = run(tasks, Duration::from_millis(100));
        let verdicts: Vec<_> =
            probes.iter().map(|p| (p.name.as_str(), p.verdict == ProbeVerdict::Pass)).collect();
        assert_eq!(verdicts, [("hangs", false), ("dies", false), ("works", true)]);
    }
}
