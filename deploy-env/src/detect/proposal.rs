//! Which settings a deployment needs, decided from its services and its `.env`.

use super::role::{self, Role};
use bundle_format::report::ConfiguredService;
use serde::Serialize;

/// A line for the `.env`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// Why.
    pub reason: String,
}

/// A setting whose value only the operator knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The setting.
    pub key: &'static str,
    /// What it is needed for, and what is known about it.
    pub what: String,
}

/// A service with a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is.
    pub role: &'static str,
    /// Its name.
    pub service: String,
    /// Its image.
    pub image: Option<String>,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Services with a role.
    pub found: Vec<Found>,
    /// All other services.
    pub application: Vec<String>,
    /// What the `.env` lacks, and the services show.
    pub proposed: Vec<Proposal>,
    /// What the `.env` lacks, and nobody but the operator knows.
    pub needed: Vec<Need>,
}

/// Decides. `get` is a setting's value in the `.env`, if it is not empty.
pub fn decide<'a>(
    services: &[ConfiguredService],
    get: &dyn Fn(&str) -> Option<&'a str>,
) -> Decision {
    let mut decision = Decision::default();
    for service in services {
        let word = match role::of(service) {
            Some(Role::Database) => "database",
            Some(Role::Storage(_)) => "storage",
            Some(Role::Cache) => "cache",
            None => {
                decision.application.push(service.name.clone());
                continue;
            }
        };
        let (service, image) = (service.name.clone(), service.image.clone());
        decision.found.push(Found { role: word, service, image });
    }
    let mut decider = Decider { services, get, decision };
    decider.database();
    decider.storage();
    decider.cache();
    if !decider.has("PIPRIO_DOMAIN") {
        decider.need(
            "PIPRIO_DOMAIN",
            "the domain, which a restore asks for before it replaces anything",
        );
    }
    decider.decision
}

struct Decider<'a, 'g> {
    services: &'g [ConfiguredService],
    get: &'g dyn Fn(&str) -> Option<&'a str>,
    decision: Decision,
}

impl Decider<'_, '_> {
    fn has(&self, key: &str) -> bool {
        (self.get)(key).is_some()
    }

    fn need(&mut self, key: &'static str, what: impl Into<String>) {
        self.decision.needed.push(Need { key, what: what.into() });
    }

    fn propose(&mut self, key: &'static str, value: impl Into<String>, reason: impl Into<String>) {
        let (value, reason) = (value.into(), reason.into());
        self.decision.proposed.push(Proposal { key, value, reason });
    }

    /// The services of a role.
    fn of(&self, is_role: impl Fn(Role) -> bool) -> Vec<ConfiguredService> {
        let has_role = |service: &&ConfiguredService| role::of(service).is_some_and(&is_role);
        self.services.iter().filter(has_role).cloned().collect()
    }

    fn database(&mut self) {
        if self.has("POSTGRES_PGSERVICE") {
            return;
        }
        let named =
            (self.get)("POSTGRES_SERVICE").or((self.get)("POSTGRES_HOST")).map(str::to_owned);
        let all = self.of(|role| role == Role::Database);
        let service = match (&named, all.as_slice()) {
            (Some(name), _) => match self.services.iter().find(|service| service.name == *name) {
                Some(service) => service.clone(),
                // A server elsewhere.
                None => return self.database_elsewhere(),
            },
            (None, []) => {
                return self
                    .need("POSTGRES_HOST", "the database's server: no service is PostgreSQL");
            }
            (None, [service]) => service.clone(),
            (None, several) => {
                let names = joined(several);
                return self.need("POSTGRES_SERVICE", format!("the database is one of {names}"));
            }
        };
        if named.is_none() && service.name != "postgres" {
            self.propose("POSTGRES_SERVICE", &service.name, "the service that runs PostgreSQL");
        }
        self.database_names(&service);
    }

    fn database_elsewhere(&mut self) {
        let keys = ["POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"];
        if !keys.iter().any(|key| self.has(key)) {
            self.need(
                "POSTGRES_PASSWORD",
                "or POSTGRES_PASSWORD_FILE: the password of the database's role",
            );
        }
    }

    /// The image's own rule: the database has the name of its user where no other is set.
    fn database_names(&mut self, service: &ConfiguredService) {
        let variable = |names: [&str; 2]| {
            names.iter().find_map(|name| service.environment.get(*name).cloned().flatten())
        };
        let user = variable(["POSTGRES_USER", "POSTGRESQL_USERNAME"]);
        let database = variable(["POSTGRES_DB", "POSTGRESQL_DATABASE"]).or_else(|| user.clone());
        let reason = format!("as the service {} has it", service.name);
        for (key, value) in [("POSTGRES_DB", database), ("POSTGRES_USER", user)] {
            match value.filter(|value| !value.is_empty()) {
                _ if self.has(key) => {}
                Some(value) if value != DEFAULT => self.propose(key, value, reason.clone()),
                Some(_) | None => {}
            }
        }
    }

    fn storage(&mut self) {
        let is_external = (self.get)("OBJECT_STORAGE") == Some("external");
        let all = self.of(|role| matches!(role, Role::Storage(_)));
        if is_external || (all.is_empty() && !self.has("S3_ENDPOINT")) {
            return;
        }
        if !self.has("S3_ENDPOINT") {
            match all.as_slice() {
                [service] => {
                    let Some(Role::Storage(port)) = role::of(service) else { return };
                    let endpoint = format!("http://{}:{port}", service.name);
                    self.propose("S3_ENDPOINT", endpoint, "the service of the object storage");
                }
                several => {
                    let names = joined(several);
                    let what = format!("the object storage is one of {names}: http://NAME:PORT");
                    self.need("S3_ENDPOINT", what);
                }
            }
        }
        if !self.has("S3_BUCKET") {
            self.need("S3_BUCKET", "the bucket that holds the objects");
        }
        for (key, others, what) in [
            (
                "S3_ACCESS_KEY",
                [
                    "S3_ACCESS_KEY_FILE",
                    "AWS_ACCESS_KEY_ID",
                    "MINIO_ROOT_USER",
                    "MINIO_ROOT_USER_FILE",
                ],
                "or S3_ACCESS_KEY_FILE: a key that may read the bucket, and write it in a restore",
            ),
            (
                "S3_SECRET_KEY",
                [
                    "S3_SECRET_KEY_FILE",
                    "AWS_SECRET_ACCESS_KEY",
                    "MINIO_ROOT_PASSWORD",
                    "MINIO_ROOT_PASSWORD_FILE",
                ],
                "or S3_SECRET_KEY_FILE: the secret of that key",
            ),
        ] {
            if !self.has(key) && !others.iter().any(|other| self.has(other)) {
                self.need(key, what);
            }
        }
    }

    fn cache(&mut self) {
        if self.has("REDIS_URL") {
            return;
        }
        let all = self.of(|role| role == Role::Cache);
        match all.as_slice() {
            [] => {}
            [service] if has_password(service) => {
                let name = service.name.clone();
                self.need(
                    "REDIS_URL",
                    format!("redis://:PASSWORD@{name}:6379/0: {name} has a password"),
                );
            }
            [service] => {
                let url = format!("redis://{}:6379", service.name);
                self.propose("REDIS_URL", url, "the service of the cache");
            }
            several => {
                let names = joined(several);
                self.need("REDIS_URL", format!("the cache is one of {names}: redis://NAME:6379"));
            }
        }
    }
}

/// Of `POSTGRES_DB` and `POSTGRES_USER`.
const DEFAULT: &str = "piprio";

fn has_password(service: &ConfiguredService) -> bool {
    service.environment.keys().any(|name| name.contains("PASSWORD"))
}

fn joined(services: &[ConfiguredService]) -> String {
    services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
