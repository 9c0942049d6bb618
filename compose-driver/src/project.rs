//! The Compose project of the deployment: its containers, which belong to its directory, or to that of its first
//! Compose file.

use crate::compose::Compose;
use crate::container::Container;
use crate::deployment::{self, Deployment};
use crate::docker::{self, ANSWER};
use crate::stopped::StoppedContainers;
use crate::{project_dir, service};
use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

pub struct Project<'a> {
    deployment: &'a Deployment,
    pub compose: Compose,
    ids: Vec<String>,
    /// The project's directory, once Compose was asked.
    dir: OnceCell<PathBuf>,
    /// In Compose's order.
    pub containers: Vec<Container>,
}

impl<'a> Project<'a> {
    /// Asks Compose which containers there are.
    ///
    /// # Errors
    /// [`Stop::refused`] where they belong to another directory.
    pub fn read(deployment: &'a Deployment, compose: Compose) -> Result<Self> {
        let ids = compose.container_ids()?;
        let dir = OnceCell::new();
        let mut project = Self { deployment, compose, ids, dir, containers: Vec::new() };
        project.look_again()?;
        Ok(project)
    }

    /// Asks Compose again: containers were created.
    pub fn read_again(&mut self) -> Result<()> {
        self.ids = self.compose.container_ids()?;
        self.look_again()
    }

    /// Looks at the same containers as before.
    pub fn look_again(&mut self) -> Result<()> {
        let dir = self.deployment.dir().display();
        let found = docker::inspect(&self.ids, ANSWER)
            .with_context(|| format!("cannot ask docker for the containers of {dir}"))?;
        self.containers = ours(found, self.deployment, || self.dir())?;
        Ok(())
    }

    fn dir(&self) -> Result<&Path> {
        if self.dir.get().is_none() {
            let _ = self.dir.set(project_dir::of(&self.compose, self.deployment)?);
        }
        self.dir.get().map(PathBuf::as_path).context("the project's directory")
    }

    /// # Errors
    /// [`Stop::usage`] where a service is neither configured nor has a container.
    pub fn require(&self, names: &[String]) -> Result<()> {
        let services = self.compose.services()?;
        let has_container = |name: &String| self.containers.iter().any(|it| it.service() == name);
        let is_there = |name: &String| services.contains(name) || has_container(name);
        match names.iter().find(|name| !is_there(name)) {
            None => Ok(()),
            Some(name) => {
                let dir = self.deployment.dir().display();
                Err(Stop::usage(format!("there is no service {name} in {dir}")).into())
            }
        }
    }

    /// The containers of services.
    pub fn of(&self, names: &[String]) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|it| names.iter().any(|name| name == it.service()))
    }

    pub fn stopped(&self) -> StoppedContainers {
        StoppedContainers::of(self.deployment.dir())
    }
}

/// What `ps` prints.
///
/// # Errors
/// If Compose or the engine does not answer; see [`Project::read`].
pub fn states(deployment: &Deployment, compose: Compose) -> Result<String> {
    // Compose takes its time to start: both are asked at once.
    let same = compose.clone();
    let services = std::thread::spawn(move || same.services());
    let project = Project::read(deployment, compose);
    let services = services.join().map_err(|_| anyhow!("cannot list the services"))?;
    let (project, services) = (project?, services?);
    let stopped_here = project.stopped().ids();
    let line = |name: &String| {
        let state = service::state(&project.containers, name, &stopped_here);
        format!("{name}\t{}\n", state.name())
    };
    Ok(service::shown(services, &project.containers).iter().map(line).collect())
}

/// Those that belong to a service and are no one-offs. Two directories of one name are one project to
/// Compose: what belongs to another directory is not ours to touch. `project_dir` is asked for only where one does not
/// belong to the deployment's own.
fn ours<'a>(
    containers: Vec<Container>,
    deployment: &Deployment,
    project_dir: impl FnOnce() -> Result<&'a Path>,
) -> Result<Vec<Container>> {
    let mut ours = containers;
    ours.retain(|container| !container.service().is_empty() && !container.is_one_off());
    let outside = |it: &&Container| !deployment.is(it.working_dir());
    if !ours.iter().any(|it| outside(&it)) {
        return Ok(ours);
    }
    let project_dir = project_dir()?;
    let is_the_projects =
        |it: &Container| deployment::is_same(Path::new(it.working_dir()), project_dir);
    let Some(other) = ours.iter().filter(outside).find(|it| !is_the_projects(it)) else {
        return Ok(ours);
    };
    let theirs = Some(other.working_dir()).filter(|dir| !dir.is_empty());
    let theirs = theirs.unwrap_or("another directory");
    let own = match deployment.is(&project_dir.to_string_lossy()) {
        true => project_dir.display().to_string(),
        false => format!("{}, where the first Compose file lies", project_dir.display()),
    };
    Err(Stop::refused(format!(
        "the containers of this project belong to {theirs}, not to {own}: set another \
         COMPOSE_PROJECT_NAME in {}/.env",
        deployment.dir().display()
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::container;
    use serde_json::json;

    #[test]
    fn containers_of_another_directory_are_refused_and_one_offs_do_not_count() {
        const LABEL: &str = "/Config/Labels/com.docker.compose.";
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().display().to_string();
        let deployment = Deployment::at(dir.path());
        let of = |label: &str, value: &str| {
            container(&[
                (&format!("{LABEL}project.working_dir"), json!(here)),
                (&format!("{LABEL}{label}"), json!(value)),
            ])
        };
        let kept = [of("service", "db"), of("oneoff", "True"), of("service", "")];
        let nobody = || -> Result<&Path> { panic!("nothing is outside the deployment") };
        assert_eq!(ours(kept.to_vec(), &deployment, nobody).unwrap().len(), 1);
        let one_off = container(&[(&format!("{LABEL}oneoff"), json!("True"))]);
        assert!(ours(vec![one_off], &deployment, nobody).unwrap().is_empty());
        let above = tempfile::tempdir().unwrap();
        let of_project = of("project.working_dir", &above.path().display().to_string());
        let containers = vec![of("service", "db"), of_project];
        assert_eq!(ours(containers, &deployment, || Ok(above.path())).unwrap().len(), 2);
        for (theirs, named) in [("/srv/other", "/srv/other"), ("", "another directory")] {
            for project_dir in [dir.path(), above.path()] {
                let containers = vec![of("service", "db"), of("project.working_dir", theirs)];
                let error = ours(containers, &deployment, || Ok(project_dir)).unwrap_err();
                assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
                let (text, own) = (error.to_string(), project_dir.display());
                assert!(text.contains(&format!("belong to {named}, not to {own}")), "{text}");
                assert!(text.ends_with(&format!("COMPOSE_PROJECT_NAME in {here}/.env")), "{text}");
            }
        }
    }
}
