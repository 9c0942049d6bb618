//! The image of a service.

use crate::project::Project;
use crate::service;
use anyhow::{Context, Result};

/// The id of the image that a container of the service was created from, a running one if there is one. Without
/// any container, the image's name in the configuration: the engine may not have it.
///
/// # Errors
/// If neither is there: the service is built, and was never created.
pub fn of(project: &Project<'_>, name: &str) -> Result<String> {
    let containers = || service::containers_of(&project.containers, name);
    let container = containers().find(|it| it.is_running()).or_else(|| containers().next());
    if let Some(container) = container {
        return Ok(container.image.clone());
    }
    let configured = project.compose.image(name)?;
    configured.with_context(|| {
        let program = std::env::args_os().next().unwrap_or_default();
        let program = program.display();
        format!("the service {name} names no image and has no container: {program} start {name}")
    })
}
