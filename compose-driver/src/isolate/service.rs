//! One service: what of its configuration a drill takes, and what it does without.

use super::facts::Image;
use super::notes::Notes;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What is taken as it is: it concerns the container alone. Whatever Compose learns in future is left
/// out until it is known.
const KEPT: [&str; 37] = [
    "cap_drop",
    "command",
    "configs",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "domainname",
    "entrypoint",
    "expose",
    "group_add",
    "healthcheck",
    "hostname",
    "init",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "pids_limit",
    "platform",
    "read_only",
    "secrets",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "working_dir",
];

/// What is replaced, or whose absence changes nothing for the service.
const SILENT: [&str; 24] = [
    "attach",
    "build",
    "cap_add",
    "container_name",
    "depends_on",
    "deploy",
    "env_file",
    "environment",
    "image",
    "ipc",
    "labels",
    "links",
    "logging",
    "network_mode",
    "networks",
    "pid",
    "ports",
    "profiles",
    "pull_policy",
    "restart",
    "scale",
    "security_opt",
    "volumes",
    "volumes_from",
];

/// Capabilities that a container has by default; they are named beside `cap_drop: [ALL]`.
const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Variables by which a proxy in front of all containers of a host finds those that it serves.
const PROXY: [&str; 3] = ["LETSENCRYPT_HOST", "VIRTUAL_HOST", "VIRTUAL_HOST_MULTIPORTS"];

/// A service of a configuration.
pub struct Service<'a> {
    pub name: &'a str,
    pub configured: &'a Map<String, Value>,
    pub image: &'a Image,
    /// The services of the drill.
    pub kept: &'a BTreeSet<String>,
    /// Names by which the others find it.
    pub aliases: Vec<String>,
    /// The drill's label.
    pub labels: &'a Value,
}

impl Service<'_> {
    /// As the drill runs it, without its mounts.
    pub fn isolated(&self, notes: &mut Notes) -> Map<String, Value> {
        let mut service = Map::new();
        for (key, value) in self.configured.iter().filter(|(_, value)| !value.is_null()) {
            if KEPT.contains(&key.as_str()) {
                service.insert(key.clone(), value.clone());
            } else if !SILENT.contains(&key.as_str()) && !is_empty(value) {
                notes.drop_of(self.name, key.as_str());
            }
        }
        service.insert("image".into(), json!(self.image.id));
        service.insert("restart".into(), json!("no"));
        // Production comes first.
        service.insert("oom_score_adj".into(), json!(1000));
        service.insert("cpu_shares".into(), json!(128));
        service.insert("labels".into(), self.labels.clone());
        self.environment(&mut service, notes);
        self.rights(&mut service, notes);
        self.limits(&mut service);
        self.dependencies(&mut service);
        self.namespaces(&mut service, notes);
        self.others(&mut service, notes);
        service
    }

    fn strings(&self, key: &str) -> Vec<&str> {
        let list = self.configured.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A variable without a value would come from the environment of whoever starts the drill.
    fn environment(&self, service: &mut Map<String, Value>, notes: &mut Notes) {
        let listed = |text: &&str| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), json!(value)))
        };
        let mut variables: Map<String, Value> = match self.configured.get("environment") {
            Some(Value::Object(variables)) => variables.clone(),
            _ => self.strings("environment").iter().filter_map(listed).collect(),
        };
        for name in PROXY {
            if variables.remove(name).is_some() {
                notes.drop_of(self.name, format!("environment: {name}"));
            }
        }
        variables.retain(|_, value| !value.is_null());
        if !variables.is_empty() {
            service.insert("environment".into(), Value::Object(variables));
        }
    }

    fn rights(&self, service: &mut Map<String, Value>, notes: &mut Notes) {
        let is_usual = |name: &&&str| {
            let name = name.to_ascii_uppercase();
            CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
        };
        let is_restriction = |option: &&&str| option.starts_with("no-new-privileges");
        let mut keep = |key: &str, is_kept: &dyn Fn(&&&str) -> bool| {
            let all = self.strings(key);
            let (kept, dropped): (Vec<&str>, Vec<&str>) = all.iter().partition(|x| is_kept(x));
            for one in dropped {
                notes.drop_of(self.name, format!("{key}: {one}"));
            }
            if !kept.is_empty() {
                service.insert(key.to_owned(), json!(kept));
            }
        };
        keep("cap_add", &is_usual);
        keep("security_opt", &is_restriction);
    }

    /// One container a service, however many the deployment has.
    fn limits(&self, service: &mut Map<String, Value>) {
        let deploy = self.configured.get("deploy");
        if let Some(limits) = deploy.and_then(|deploy| deploy.pointer("/resources/limits")) {
            service.insert("deploy".into(), json!({"resources": {"limits": limits}}));
        }
    }

    /// A one-shot that another service waits for does not run here, and has ended well long ago.
    fn dependencies(&self, service: &mut Map<String, Value>) {
        let mut dependencies = Map::new();
        match self.configured.get("depends_on") {
            Some(Value::Object(on)) => dependencies.clone_from(on),
            _ => {
                let started = |on: &str| (on.to_owned(), json!({"condition": "service_started"}));
                dependencies.extend(self.strings("depends_on").into_iter().map(started));
            }
        }
        dependencies.retain(|on, _| self.kept.contains(on));
        if !dependencies.is_empty() {
            service.insert("depends_on".into(), Value::Object(dependencies));
        }
    }

    /// What it shares with the host or with containers of others, it has for itself.
    fn namespaces(&self, service: &mut Map<String, Value>, notes: &mut Notes) {
        let is_own = |mode: &str| {
            mode.strip_prefix("service:").is_some_and(|other| self.kept.contains(other))
        };
        for (key, harmless) in [
            ("pid", &[][..]),
            ("ipc", &["private", "shareable", "none"]),
            ("network_mode", &["none"]),
        ] {
            let Some(mode) = self.configured.get(key).and_then(Value::as_str) else { continue };
            if is_own(mode) || harmless.contains(&mode) {
                service.insert(key.to_owned(), json!(mode));
            } else {
                notes.drop_of(self.name, format!("{key}: {mode}"));
            }
        }
        if !service.contains_key("network_mode") {
            service.insert("networks".into(), json!({"default": {"aliases": self.aliases}}));
            // Some engines answer names of an internal network by asking outside: nobody is asked.
            service.insert("dns".into(), json!(["127.0.0.1"]));
            // And who asks for one does not wait for long.
            service.insert("dns_opt".into(), json!(["timeout:2", "attempts:1"]));
        }
    }

    /// Names and volumes of other services of the drill.
    fn others(&self, service: &mut Map<String, Value>, notes: &mut Notes) {
        for key in ["links", "volumes_from"] {
            let is_own =
                |entry: &&&str| self.kept.contains(entry.split(':').next().unwrap_or_default());
            let all = self.strings(key);
            let (kept, dropped): (Vec<&str>, Vec<&str>) = all.iter().partition(is_own);
            for one in dropped {
                notes.drop_of(self.name, format!("{key}: {one}"));
            }
            let has_network = key != "links" || service.contains_key("networks");
            if !kept.is_empty() && has_network {
                service.insert(key.to_owned(), json!(kept));
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(is_so) => !is_so,
        _ => false,
    }
}
