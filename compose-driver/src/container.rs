//! A container, as `docker inspect` describes it.

use crate::state::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How long the engine waits for a container to stop where its configuration does not set it.
const STOP_SECONDS: i64 = 10;
/// How long we wait where the engine waits for ever.
const LONG_STOP_SECONDS: u64 = 3600;

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    pub id: String,
    /// The id of the image that it was created from.
    #[serde(default)]
    pub image: String,
    state: Run,
    config: Config,
    host_config: HostConfig,
    #[serde(default)]
    mounts: Option<Vec<Mount>>,
    #[serde(default)]
    pub network_settings: NetworkSettings,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct Run {
    status: String,
    pid: i32,
    exit_code: i64,
    started_at: String,
    health: Option<Health>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
    healthcheck: Option<serde::de::IgnoredAny>,
    stop_timeout: Option<i64>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
    restart_policy: RestartPolicy,
    #[serde(flatten)]
    rights: Rights,
}

/// What a container may do beside what every container may.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Rights {
    pub privileged: bool,
    pub pid_mode: String,
    pub ipc_mode: String,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    pub devices: Option<Vec<serde_json::Value>>,
    pub port_bindings: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy {
    name: String,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    r#type: String,
    source: String,
    destination: String,
    #[serde(default, rename = "RW")]
    is_writable: bool,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// `PORT/PROTOCOL`, and where it is published.
    pub ports: Option<BTreeMap<String, Option<Vec<Published>>>>,
    pub networks: Option<BTreeMap<String, Network>>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Published {
    #[serde(default)]
    pub host_ip: String,
    pub host_port: String,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
}

impl Container {
    fn label(&self, name: &str) -> &str {
        let labels = self.config.labels.as_ref();
        labels.and_then(|labels| labels.get(name)).map_or("", String::as_str)
    }

    /// The service that it belongs to; empty where it belongs to none.
    pub fn service(&self) -> &str {
        self.label("com.docker.compose.service")
    }

    /// The project that it belongs to; empty where it belongs to none.
    pub fn project(&self) -> &str {
        self.label("com.docker.compose.project")
    }

    /// Whether it was made by `docker-compose run`.
    pub fn is_one_off(&self) -> bool {
        self.label("com.docker.compose.oneoff") == "True"
    }

    /// The directory of its project; empty where it has none.
    pub fn working_dir(&self) -> &str {
        self.label("com.docker.compose.project.working_dir")
    }

    pub fn is_running(&self) -> bool {
        self.state.status == "running"
    }

    pub fn is_paused(&self) -> bool {
        self.state.status == "paused"
    }

    /// Whether the engine has a process of it.
    pub fn has_processes(&self) -> bool {
        self.state.pid != 0
    }

    /// Whether it has processes, or is about to have some again.
    pub fn is_up(&self) -> bool {
        matches!(self.state.status.as_str(), "running" | "paused" | "restarting")
    }

    /// The process id of its first process, on the engine's machine.
    pub fn pid(&self) -> i32 {
        self.state.pid
    }

    pub fn started_at(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.state.started_at).ok().map(|at| at.to_utc())
    }

    pub fn uses_the_hosts_network(&self) -> bool {
        self.host_config.network_mode == "host"
    }

    /// How long the engine waits for it to stop before it kills it.
    pub fn stop_limit(&self) -> Duration {
        let seconds = self.config.stop_timeout.unwrap_or(STOP_SECONDS);
        Duration::from_secs(seconds.try_into().unwrap_or(LONG_STOP_SECONDS))
    }

    pub fn rights(&self) -> &Rights {
        &self.host_config.rights
    }

    /// The paths of the host that it can write to.
    pub fn writable_binds(&self) -> impl Iterator<Item = &str> {
        let mounts = self.mounts.iter().flatten();
        let writable = mounts.filter(|mount| mount.r#type == "bind" && mount.is_writable);
        writable.map(|mount| mount.source.as_str())
    }

    /// What of the host is mounted into it: each path there and its path inside.
    pub fn binds(&self) -> impl Iterator<Item = (&str, &str)> {
        let mounts = self.mounts.iter().flatten().filter(|mount| mount.r#type == "bind");
        mounts.map(|mount| (mount.source.as_str(), mount.destination.as_str()))
    }

    /// Its state. `stopped_here` are the ids of those that this driver has stopped: a program that ends
    /// with 0 on SIGTERM is no one-shot.
    pub fn state(&self, stopped_here: &HashSet<String>) -> State {
        let health = self.state.health.as_ref().map_or("", |health| &health.status);
        match (self.state.status.as_str(), health) {
            ("running", "" | "healthy" | "none") => State::Running,
            ("exited", _) if self.is_finished_one_shot() && !stopped_here.contains(&self.id) => {
                State::Done
            }
            ("created" | "exited", _) => State::Stopped,
            _ => State::Unhealthy,
        }
    }

    /// What has a health check, or is always started again, is not meant to end.
    fn is_finished_one_shot(&self) -> bool {
        let policy = self.host_config.restart_policy.name.as_str();
        self.state.exit_code == 0
            && matches!(policy, "" | "no" | "on-failure")
            && self.config.healthcheck.is_none()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A running container of the service `api`, with some of its facts replaced: each by a JSON pointer.
    pub fn container(facts: &[(&str, Value)]) -> Container {
        let mut all = json!({
            "Id": "c1",
            "State": {"Status": "running", "Pid": 7, "ExitCode": 0, "Health": null,
                      "StartedAt": "2026-04-21T02:00:00.000000005Z"},
            "Config": {"Healthcheck": null, "StopTimeout": null, "Labels": {
                "com.docker.compose.service": "api", "com.docker.compose.oneoff": "False",
                "com.docker.compose.project.working_dir": "/srv/deploy"}},
            "HostConfig": {"NetworkMode": "deploy_default", "RestartPolicy": {"Name": "no"}},
            "Mounts": [],
            "NetworkSettings": {"Ports": {}, "Networks": {}},
        });
        for (pointer, value) in facts {
            *all.pointer_mut(pointer).expect(pointer) = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_containers_state_has_its_name() {
        let check = json!({"Test": ["CMD", "true"]});
        let none = Value::Null;
        for (status, health, exit, restart, checked, state) in [
            ("running", "", 0, "always", &none, State::Running),
            ("running", "healthy", 0, "always", &check, State::Running),
            ("running", "none", 0, "always", &check, State::Running),
            ("running", "starting", 0, "always", &check, State::Unhealthy),
            ("running", "unhealthy", 0, "always", &check, State::Unhealthy),
            ("paused", "", 0, "no", &none, State::Unhealthy),
            ("restarting", "", 1, "always", &none, State::Unhealthy),
            ("removing", "", 0, "no", &none, State::Unhealthy),
            ("dead", "", 0, "no", &none, State::Unhealthy),
            ("created", "", 0, "no", &none, State::Stopped),
            ("exited", "", 3, "no", &none, State::Stopped),
            ("exited", "", 0, "no", &none, State::Done),
            ("exited", "", 0, "", &none, State::Done),
            ("exited", "", 0, "on-failure", &none, State::Done),
            ("exited", "", 0, "always", &none, State::Stopped),
            ("exited", "", 0, "unless-stopped", &none, State::Stopped),
            ("exited", "", 0, "no", &check, State::Stopped),
            ("exited", "unhealthy", 0, "no", &check, State::Stopped),
        ] {
            let health = if health.is_empty() { Value::Null } else { json!({"Status": health}) };
            let it = container(&[
                ("/State/Status", json!(status)),
                ("/State/Health", health.clone()),
                ("/State/ExitCode", json!(exit)),
                ("/HostConfig/RestartPolicy/Name", json!(restart)),
                ("/Config/Healthcheck", checked.clone()),
            ]);
            assert_eq!(it.state(&HashSet::new()), state, "{status} {health} {exit} {restart}");
        }
    }

    #[test]
    fn what_this_driver_has_stopped_is_not_done() {
        let it = container(&[("/State/Status", json!("exited"))]);
        assert_eq!(it.state(&HashSet::from(["c1".to_owned()])), State::Stopped);
        assert_eq!(it.state(&HashSet::from(["c2".to_owned()])), State::Done);
    }

    #[test]
    fn a_container_of_no_project_has_no_service_and_no_directory() {
        let it = container(&[("/Config/Labels", Value::Null), ("/Mounts", Value::Null)]);
        assert_eq!((it.service(), it.working_dir(), it.is_one_off()), ("", "", false));
        assert_eq!(it.binds().count(), 0);
    }

    #[test]
    fn only_what_is_mounted_from_the_host_is_a_bind_and_stopping_has_a_limit() {
        let mount =
            |kind: &str, from: &str| json!({"Type": kind, "Source": from, "Destination": "/in"});
        let it = container(&[(
            "/Mounts",
            json!([mount("volume", "/var/lib"), mount("bind", "/srv/key|x")]),
        )]);
        assert_eq!(it.binds().collect::<Vec<_>>(), [("/srv/key|x", "/in")]);
        for (timeout, expected) in [(json!(90), 90), (Value::Null, 10), (json!(-1), 3600)] {
            let it = container(&[("/Config/StopTimeout", timeout)]);
            assert_eq!(it.stop_limit().as_secs(), expected);
        }
    }
}
