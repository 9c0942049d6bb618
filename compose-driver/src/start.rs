//! Starting services.

use crate::docker::{self, ANSWER};
use crate::mounted;
use crate::project::Project;
use crate::service;
use crate::state::State;
use crate::stop;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long services may take to be up once their containers are started.
const UP: Duration = Duration::from_secs(120);
/// How long Compose may take to fetch or build images and to create containers.
const CREATE: Duration = Duration::from_secs(1800);

/// Brings services up and returns when they are. Up means up twice, a second apart: what dies at its
/// start is still running the first time.
///
/// # Errors
/// If one ends, or is not up in time.
pub fn start(mut project: Project, names: &[String]) -> Result<()> {
    bring_up(&mut project, names)?;
    let end = Instant::now() + UP;
    let mut steady = 0;
    while steady < 2 {
        std::thread::sleep(Duration::from_secs(1));
        project.look_again()?;
        let stopped_here = project.stopped().ids();
        let state = |name: &String| service::state(&project.containers, name, &stopped_here);
        let states: Vec<_> = names.iter().map(|name| (name.as_str(), state(name))).collect();
        let waiting = match progress(&states) {
            Progress::Ended(name) => {
                bail!("{name} ended at once: {}", project.compose.last_line(name))
            }
            Progress::Waiting(waiting) => waiting.join(", "),
            Progress::Up => String::new(),
        };
        steady = if waiting.is_empty() { steady + 1 } else { 0 };
        if steady < 2 && Instant::now() >= end {
            let waiting = if waiting.is_empty() { names.join(" ") } else { waiting };
            bail!("not up after {} s: {waiting}", UP.as_secs());
        }
    }
    let ids: Vec<&str> = project.of(names).map(|container| container.id.as_str()).collect();
    project.stopped().remove(&ids)
}

/// How far services have come.
#[derive(Debug, PartialEq, Eq)]
enum Progress<'a> {
    Up,
    Waiting(Vec<&'a str>),
    Ended(&'a str),
}

fn progress<'a>(states: &[(&'a str, State)]) -> Progress<'a> {
    if let Some((name, _)) = states.iter().find(|(_, state)| *state == State::Stopped) {
        return Progress::Ended(name);
    }
    let waiting = states.iter().filter(|(_, state)| *state == State::Unhealthy);
    let waiting: Vec<_> = waiting.map(|(name, _)| *name).collect();
    if waiting.is_empty() { Progress::Up } else { Progress::Waiting(waiting) }
}

/// Compose leaves what is paused as it is, scales to one what was scaled by hand, and does not know
/// that a file was replaced.
fn bring_up(project: &mut Project, names: &[String]) -> Result<()> {
    let mut scales = service::scales(names, &project.containers, &BTreeSet::new());
    if !scales.is_empty() {
        let configured = project.compose.scaled_services()?;
        scales = service::scales(names, &project.containers, &configured);
    }
    for container in project.of(names).filter(|container| container.is_paused()) {
        docker::act("unpause", &[&container.id], ANSWER)?;
    }
    project.compose.up(names, &scales, CREATE + stop::limit(project, names))?;
    project.read_again()?;
    let mut stale = Vec::new();
    for container in project.of(names).filter(|container| container.is_running()) {
        if mounted::is_stale(container)? {
            stale.push(container.id.as_str());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    docker::act("restart", &stale, stop::limit(project, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_up_when_all_run_or_are_done_and_fail_when_one_ends() {
        use State::{Done, Running, Stopped, Unhealthy};
        for (states, expected) in [
            (&[("api", Running), ("once", Done)][..], Progress::Up),
            (
                &[("api", Unhealthy), ("db", Running), ("web", Unhealthy)],
                Progress::Waiting(vec!["api", "web"]),
            ),
            (&[("api", Unhealthy), ("db", Stopped), ("web", Stopped)], Progress::Ended("db")),
        ] {
            assert_eq!(progress(states), expected);
        }
    }
}
