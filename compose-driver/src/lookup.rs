//! The running container of a service. Compose takes a second to start, and one dump calls `exec`
//! many times: the engine alone is asked where that is enough.

use crate::client;
use crate::compose::Compose;
use crate::deployment::Deployment;
use crate::docker::{self, ANSWER};
use crate::project::Project;
use crate::{drill, project_dir, service};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

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

/// A variable of the environment, else of the `.env`; empty where only Compose can read it.
fn given<'a>(key: &str, environment: Option<&'a str>, dotenv: &'a str) -> Option<&'a str> {
    let mut lines = dotenv.lines().filter(|line| line.contains(key));
    match (environment.filter(|value| !value.is_empty()), lines.next(), lines.next()) {
        (Some(value), ..) => Some(value),
        (None, None, _) => None,
        (None, Some(line), None) => {
            Some(line.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')).unwrap_or_default())
        }
        (None, Some(_), Some(_)) => Some(""),
    }
}

/// From `COMPOSE_PROJECT_NAME` of the environment, else of the `.env`.
fn project_name(environment: Option<&str>, dotenv: &str) -> ProjectName {
    match given("COMPOSE_PROJECT_NAME", environment, dotenv) {
        None => ProjectName::Derived,
        Some(name) if drill::is_name(name) => ProjectName::Chosen(name.to_owned()),
        Some(_) => ProjectName::Unclear,
    }
}

/// The name that Compose gives to a project of a directory.
fn derived_name(dir: &Path) -> ProjectName {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    if drill::is_name(&name) { ProjectName::Chosen(name) } else { ProjectName::Unclear }
}

/// The project's directory, by `COMPOSE_FILE` of the environment, else of the `.env`; the deployment's own where only
/// Compose can read that.
fn project_dir(deploy: &Path, environment: Option<&str>, dotenv: &str) -> PathBuf {
    let is_plain = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c))
            && !dotenv.contains("COMPOSE_PATH_SEPARATOR")
    };
    let named = given("COMPOSE_FILE", environment, dotenv);
    match named.map(|text| text.split(':').next().filter(|it| !it.is_empty() && is_plain(text))) {
        None => project_dir::of_files(deploy, None),
        Some(Some(file)) => project_dir::of_files(deploy, Some(Path::new(file))),
        Some(None) => deploy.to_owned(),
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
    let environment = |name: &str| std::env::var(name).ok();
    let dotenv = std::fs::read(deployment.dir().join(".env")).unwrap_or_default();
    let dotenv = String::from_utf8_lossy(&dotenv);
    let mut name = project_name(environment("COMPOSE_PROJECT_NAME").as_deref(), &dotenv);
    let dir = match environment("COMPOSE_PATH_SEPARATOR") {
        None => project_dir(deployment.dir(), environment("COMPOSE_FILE").as_deref(), &dotenv),
        Some(_) => deployment.dir().to_owned(),
    };
    // The directory is not this deployment's alone: a project of another name there may be another's.
    if name == ProjectName::Derived && dir != deployment.dir() {
        name = derived_name(&dir);
    }
    let is_unclear = name == ProjectName::Unclear || !deployment.is_real();
    if is_unclear || project_dir::is_anothers(&dir, deployment) {
        return None;
    }
    const FIELDS: &str =
        r#"{"id":{{json .ID}},"project":{{json (.Label "com.docker.compose.project")}}}"#;
    let mut command = docker::command(&["ps", "--no-trunc", "--format", FIELDS]);
    for (label, value) in
        [("project.working_dir", dir.to_str()?), ("service", service), ("oneoff", "False")]
    {
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
    fn a_projects_directory_is_that_of_its_first_file_where_that_is_plain() {
        let deploy = Path::new("/no/such/deploy");
        for (environment, dotenv, dir) in [
            (None, "", "/no/such/deploy"),
            (None, "A=b\nCOMPOSE_FILE=../compose.yml\n", "/no/such"),
            (None, "COMPOSE_FILE=a.yml:../b.yml", "/no/such/deploy"),
            (None, "COMPOSE_FILE=/opt/p-1/a_b.yml:c.yml", "/opt/p-1"),
            (Some("../c.yml"), "COMPOSE_FILE=a.yml", "/no/such"),
            (Some(""), "COMPOSE_FILE=../c.yml", "/no/such"),
            (None, "COMPOSE_FILE=${DIR}/c.yml", "/no/such/deploy"),
            (None, "COMPOSE_FILE='../c.yml'", "/no/such/deploy"),
            (None, "COMPOSE_FILE=\n", "/no/such/deploy"),
            (None, "COMPOSE_FILE=../c.yml\nCOMPOSE_FILE=../../c.yml\n", "/no/such/deploy"),
            (None, "COMPOSE_FILE=../c.yml\nCOMPOSE_PATH_SEPARATOR=,", "/no/such/deploy"),
        ] {
            assert_eq!(project_dir(deploy, environment, dotenv), Path::new(dir), "{dotenv}");
        }
        assert_eq!(derived_name(Path::new("/srv/My.Product_2")), chosen("myproduct_2"));
        for dir in ["/", "/srv/_x", "/srv/äö"] {
            assert_eq!(derived_name(Path::new(dir)), Unclear, "{dir}");
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
