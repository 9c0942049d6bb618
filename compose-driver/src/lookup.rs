//! The running container of a service. Compose takes a second to start, and one dump calls `exec`
//! many times: the engine alone is asked where that is enough.

use crate::client;
use crate::compose::Compose;
use crate::deployment::Deployment;
use crate::docker::{self, ANSWER};
use crate::project::Project;
use crate::service;
use anyhow::{Context, Result};
use serde::Deserialize;

/// The id of the first running container of a service.
///
/// # Errors
/// [`pipe_kit::Stop::usage`] where there is no such service, [`pipe_kit::Stop::refused`] where the
/// containers belong to another directory.
pub fn container_of(deployment: &Deployment, name: &str) -> Result<String> {
    if let Some(id) = ask_engine(deployment, name) {
        return Ok(id);
    }
    let project = Project::read(deployment, Compose::find(deployment)?)?;
    project.require(&[name.to_owned()])?;
    let mut containers = service::containers_of(&project.containers, name);
    let running = containers.find(|container| container.is_running());
    running.map(|container| container.id.clone()).with_context(|| {
        let program = std::env::args_os().next().unwrap_or_default();
        format!("the service {name} is not running: {} start {name}", program.display())
    })
}

/// How the project's name was chosen.
#[derive(Debug, PartialEq, Eq)]
enum ProjectName {
    /// By nobody: it follows from the directory, or stands in a Compose file.
    Derived,
    Chosen(String),
    /// In a way that only Compose can read.
    Unclear,
}

/// From `COMPOSE_PROJECT_NAME` of the environment, else of the `.env`.
fn project_name(environment: Option<&str>, dotenv: &str) -> ProjectName {
    const KEY: &str = "COMPOSE_PROJECT_NAME";
    let mut lines = dotenv.lines().filter(|line| line.contains(KEY));
    let name = match (environment.filter(|name| !name.is_empty()), lines.next(), lines.next()) {
        (Some(name), ..) => name,
        (None, None, _) => return ProjectName::Derived,
        (None, Some(line), None) => {
            line.strip_prefix(KEY).map_or("", |rest| rest.strip_prefix('=').unwrap_or_default())
        }
        (None, Some(_), Some(_)) => "",
    };
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.starts_with(is_plain) && name.chars().all(|c| is_plain(c) || "_-".contains(c)) {
        ProjectName::Chosen(name.to_owned())
    } else {
        ProjectName::Unclear
    }
}

/// A running container of the service that Compose has started from this directory.
#[derive(Deserialize, Clone, Debug)]
struct Candidate {
    id: String,
    project: String,
}

/// The container that is meant, where there is no doubt: the first, if all are of one project and no
/// other was chosen.
fn choose<'a>(name: &ProjectName, candidates: &'a [Candidate]) -> Option<&'a str> {
    let first = candidates.first()?;
    let is_meant = match name {
        ProjectName::Derived => true,
        ProjectName::Chosen(name) => *name == first.project,
        ProjectName::Unclear => false,
    };
    let is_only = candidates.iter().all(|other| other.project == first.project);
    (is_meant && is_only).then_some(&first.id)
}

fn ask_engine(deployment: &Deployment, service: &str) -> Option<String> {
    let environment = std::env::var("COMPOSE_PROJECT_NAME").ok();
    let dotenv = std::fs::read(deployment.dir().join(".env")).unwrap_or_default();
    let name = project_name(environment.as_deref(), &String::from_utf8_lossy(&dotenv));
    if name == ProjectName::Unclear || !deployment.is_real() {
        return None;
    }
    const FIELDS: &str =
        r#"{"id":{{json .ID}},"project":{{json (.Label "com.docker.compose.project")}}}"#;
    let mut command = docker::command(&["ps", "--no-trunc", "--format", FIELDS]);
    for (label, value) in [
        ("project.working_dir", deployment.dir().to_str()?),
        ("service", service),
        ("oneoff", "False"),
    ] {
        command.arg("--filter").arg(format!("label=com.docker.compose.{label}={value}"));
    }
    command.args(["--filter", "status=running"]);
    let text = client::text(command, ANSWER, "docker ps").ok()?;
    let candidates: Result<Vec<Candidate>, _> = text.lines().map(serde_json::from_str).collect();
    choose(&name, &candidates.ok()?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProjectName::{Derived, Unclear};

    fn chosen(name: &str) -> ProjectName {
        ProjectName::Chosen(name.to_owned())
    }

    #[test]
    fn a_projects_name_is_read_only_where_it_is_plain() {
        for (environment, dotenv, name) in [
            (None, "", Derived),
            (Some(""), "A=b\n", Derived),
            (Some("own"), "COMPOSE_PROJECT_NAME=other\n", chosen("own")),
            (Some("Own"), "COMPOSE_PROJECT_NAME=other\n", Unclear),
            (Some("own two"), "", Unclear),
            (None, "A=b\nCOMPOSE_PROJECT_NAME=piprio-own_2\n", chosen("piprio-own_2")),
            (Some(""), "COMPOSE_PROJECT_NAME=x", chosen("x")),
            (None, "COMPOSE_PROJECT_NAME=", Unclear),
            (None, "COMPOSE_PROJECT_NAME='x'", Unclear),
            (None, "COMPOSE_PROJECT_NAME=${A}", Unclear),
            (None, "COMPOSE_PROJECT_NAME=-x", Unclear),
            (None, "COMPOSE_PROJECT_NAME =x", Unclear),
            (None, "export COMPOSE_PROJECT_NAME=x", Unclear),
            (None, "# COMPOSE_PROJECT_NAME=x", Unclear),
            (None, "COMPOSE_PROJECT_NAME=x\nCOMPOSE_PROJECT_NAME=y\n", Unclear),
            (None, "MY_COMPOSE_PROJECT_NAME=x\n", Unclear),
            (None, "COMPOSE_PROJECT_NAME_2=x\n", Unclear),
        ] {
            assert_eq!(project_name(environment, dotenv), name, "{environment:?} {dotenv:?}");
        }
    }

    #[test]
    fn the_engine_alone_is_enough_where_one_project_runs_the_service_and_no_other_was_chosen() {
        let of = |projects: &[&str]| -> Vec<Candidate> {
            let numbered = projects.iter().zip(1..);
            let candidate = |(name, n): (&&str, u8)| Candidate {
                id: format!("c{n}"),
                project: (*name).to_owned(),
            };
            numbered.map(candidate).collect()
        };
        for (name, projects, id) in [
            (&Derived, &["deploy"][..], Some("c1")),
            (&Derived, &["deploy", "deploy"], Some("c1")),
            (&Derived, &["deploy", "drill"], None),
            (&Derived, &[], None),
            (&chosen("deploy"), &["deploy"], Some("c1")),
            (&chosen("drill"), &["deploy"], None),
            (&chosen("drill"), &["deploy", "drill"], None),
            (&chosen("drill"), &[], None),
            (&Unclear, &["deploy"], None),
        ] {
            assert_eq!(choose(name, &of(projects)), id, "{name:?} {projects:?}");
        }
    }
}
