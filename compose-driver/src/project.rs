//! The Compose project of the deployment: its containers, which belong to its directory.

use crate::compose::Compose;
use crate::container::Container;
use crate::deployment::Deployment;
use crate::docker::{self, ANSWER};
use crate::service;
use crate::stopped::StoppedContainers;
use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;

pub struct Project<'a> {
    deployment: &'a Deployment,
    pub compose: Compose,
    ids: Vec<String>,
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
        let mut project = Self { deployment, compose, ids, containers: Vec::new() };
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
        self.containers = ours(found, self.deployment)?;
        Ok(())
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
/// Compose: what belongs to another directory is not ours to touch.
fn ours(containers: Vec<Container>, deployment: &Deployment) -> Result<Vec<Container>> {
    let mut ours = containers;
    ours.retain(|container| !container.service().is_empty() && !container.is_one_off());
    let Some(other) = ours.iter().find(|it| !deployment.is(it.working_dir())) else {
        return Ok(ours);
    };
    let theirs = Some(other.working_dir()).filter(|dir| !dir.is_empty());
    let (theirs, dir) = (theirs.unwrap_or("another directory"), deployment.dir().display());
    Err(Stop::refused(format!(
        "the containers of this project belong to {theirs}, not to {dir}: set another \
         COMPOSE_PROJECT_NAME in {dir}/.env"
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
        assert_eq!(ours(kept.to_vec(), &deployment).unwrap().len(), 1);
        let one_off = container(&[(&format!("{LABEL}oneoff"), json!("True"))]);
        assert!(ours(vec![one_off], &deployment).unwrap().is_empty());
        for (theirs, named) in [("/srv/other", "/srv/other"), ("", "another directory")] {
            let error = ours(vec![of("project.working_dir", theirs)], &deployment).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Refused);
            let text = error.to_string();
            assert!(text.contains(&format!("belong to {named}, not to {here}")), "{text}");
        }
    }
}
