//! A service: its state, from those of its containers.

use crate::container::Container;
use crate::state::State;
use std::collections::{BTreeSet, HashSet};

/// The containers of a service.
pub fn containers_of<'a>(
    containers: &'a [Container],
    name: &'a str,
) -> impl Iterator<Item = &'a Container> {
    containers.iter().filter(move |container| container.service() == name)
}

/// The state of a service.
pub fn state(containers: &[Container], name: &str, stopped_here: &HashSet<String>) -> State {
    State::of_all(containers_of(containers, name).map(|container| container.state(stopped_here)))
}

/// The services that `ps` prints, sorted: those that are configured, and those of profiles that are
/// not active while they run. Whatever runs can write.
pub fn shown(mut configured: BTreeSet<String>, containers: &[Container]) -> BTreeSet<String> {
    let up = containers.iter().filter(|container| container.is_up());
    configured.extend(up.map(|container| container.service().to_owned()));
    configured
}

/// `NAME=COUNT` for each service that was scaled by hand: Compose scales it to one otherwise.
/// `configured` are the services whose configuration sets how many containers they have.
pub fn scales(
    names: &[String],
    containers: &[Container],
    configured: &BTreeSet<String>,
) -> Vec<String> {
    let count = |name: &String| (name.clone(), containers_of(containers, name).count());
    let counts = names.iter().filter(|name| !configured.contains(*name)).map(count);
    counts.filter(|(_, count)| *count > 1).map(|(name, count)| format!("{name}={count}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::container;
    use State::{Done, Running, Stopped, Unhealthy};
    use serde_json::json;

    const SERVICE: &str = "/Config/Labels/com.docker.compose.service";

    fn one(service: &str, status: &str) -> Container {
        container(&[(SERVICE, json!(service)), ("/State/Status", json!(status))])
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_services_state_is_that_of_its_containers_and_unhealthy_where_they_differ() {
        for (states, state) in [
            (&[][..], Stopped),
            (&[Running], Running),
            (&[Done, Done], Done),
            (&[Running, Running], Running),
            (&[Stopped, Done], Stopped),
            (&[Done, Stopped, Done], Stopped),
            (&[Running, Stopped], Unhealthy),
            (&[Done, Running], Unhealthy),
            (&[Running, Unhealthy], Unhealthy),
            (&[Stopped, Running, Running], Unhealthy),
        ] {
            assert_eq!(State::of_all(states.iter().copied()), state, "{states:?}");
        }
        let all = [one("api", "running"), one("db", "exited")];
        assert_eq!(state(&all, "api", &HashSet::new()), Running);
        assert_eq!(state(&all, "ap", &HashSet::new()), Stopped);
    }

    #[test]
    fn a_service_of_another_profile_is_shown_while_it_runs() {
        for (status, expected) in [
            ("running", &["api", "debug"][..]),
            ("paused", &["api", "debug"]),
            ("restarting", &["api", "debug"]),
            ("exited", &["api"]),
            ("created", &["api"]),
        ] {
            assert_eq!(
                shown(names(&["api"]), &[one("debug", status)]),
                names(expected),
                "{status}"
            );
        }
    }

    #[test]
    fn only_a_service_that_was_scaled_by_hand_is_scaled() {
        let all =
            ["api", "api", "worker", "worker", "worker", "web"].map(|name| one(name, "exited"));
        let asked = ["api", "worker", "web", "new"].map(str::to_owned);
        assert_eq!(scales(&asked, &all, &names(&["api"])), ["worker=3"]);
        assert_eq!(scales(&asked, &all, &names(&[])), ["api=2", "worker=3"]);
    }
}
