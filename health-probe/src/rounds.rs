//! All probes at once, each bounded.

use crate::limit::Limit;
use crate::probe::{Kind, Probe, Verdict};
use crate::probes::{self, Task};
use crate::settings::Settings;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a probe gets beyond its own limit to say what was wrong, before it is given up.
const SLACK: Duration = Duration::from_millis(300);

/// Probes everything once, or what is of the given kinds, where any are. Takes no longer than the
/// limit and that.
#[must_use]
pub fn round(settings: &Settings, only: &[Kind], timeout: Duration) -> Vec<Probe> {
    let mut tasks = probes::all(settings);
    tasks.retain(|task| only.is_empty() || only.contains(&task.kind));
    let latency = settings.limits.latency;
    let told = |probe: Probe| probe.expected_within(latency).without(&settings.secrets);
    run(tasks, timeout).into_iter().map(told).collect()
}

/// Runs the tasks in a thread each. A thread that does not come back is left behind: it may hang in
/// a filesystem or a resolver, where nothing can reach it.
fn run(tasks: Vec<Task>, timeout: Duration) -> Vec<Probe> {
    let (limit, end) = (Limit::of(timeout), Instant::now() + timeout + SLACK);
    let (send, receive) = mpsc::channel();
    let mut answers: Vec<(Kind, String, Option<Vec<Probe>>)> = Vec::new();
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

/// What is only looked at for the operator's sake does not fail for want of an answer.
fn unanswered(kind: Kind) -> Verdict {
    if kind == Kind::Bundle { Verdict::Warn } else { Verdict::Fail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, run: impl FnOnce() + Send + 'static) -> Task {
        let probe = Probe::pass(Kind::Disk, name, "ok");
        let run = Box::new(move |_| {
            run();
            vec![probe]
        });
        Task { kind: Kind::Disk, name: name.into(), run }
    }

    #[test]
    fn a_probe_that_hangs_or_dies_is_a_failure_and_the_others_are_told_in_order() {
        let tasks = vec![
            task("hangs", || std::thread::sleep(Duration::from_secs(3600))),
            task("dies", || panic!("on purpose")),
            task("works", || {}),
        ];
        let probes = run(tasks, Duration::from_millis(100));
        let told: Vec<_> =
            probes.iter().map(|p| (p.name.as_str(), p.verdict == Verdict::Pass)).collect();
        assert_eq!(told, [("hangs", false), ("dies", false), ("works", true)]);
    }
}
