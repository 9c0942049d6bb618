//! The environment of everything that a drill starts: nothing of the deployment's settings, which the
//! operator's environment may have, and which would win over the drill's `.env`.

use std::ffi::{OsStr, OsString};

/// Variables that concern the host alone.
const HOSTS: [&str; 14] = [
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LOGNAME",
    "PATH",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];
/// How the engine is reached.
const ENGINE: &str = "DOCKER_";
/// What names the deployment's configuration, where the operator has not done so in its `.env`.
const CONFIGURATION: [&str; 4] =
    ["COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"];

type Variables = Vec<(OsString, OsString)>;

fn chosen(all: impl Iterator<Item = (OsString, OsString)>, more: &[&str]) -> Variables {
    let is_chosen = |name: &OsStr| {
        HOSTS.iter().chain(more).any(|known| name == *known)
            || name.as_encoded_bytes().starts_with(ENGINE.as_bytes())
    };
    all.filter(|(name, _)| is_chosen(name)).collect()
}

/// What a program of the drill gets.
pub fn of_drill() -> Variables {
    chosen(std::env::vars_os(), &[])
}

/// What the driver gets to read the deployment's configuration.
pub fn of_deployment() -> Variables {
    chosen(std::env::vars_os(), &CONFIGURATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_of_the_deployment_passes() {
        let all = || {
            [
                "PATH",
                "DOCKER_HOST",
                "POSTGRES_HOST",
                "PGHOST",
                "AWS_ACCESS_KEY_ID",
                "REDIS_URL",
                "PIPRIO_RESOLVED",
                "PIPRIO_DEPLOY",
                "COMPOSE_FILE",
                "COMPOSE_ENV_FILES",
                "HTTP_PROXY",
            ]
            .into_iter()
            .map(|name| (name.into(), "x".into()))
        };
        let names = |variables: Variables| {
            variables.into_iter().map(|(name, _)| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names(chosen(all(), &[])), ["PATH", "DOCKER_HOST"]);
        let expected = ["PATH", "DOCKER_HOST", "COMPOSE_FILE"];
        assert_eq!(names(chosen(all(), &CONFIGURATION)), expected);
    }
}
