//! Stopping services.

use crate::project::Project;
use anyhow::Result;
use std::time::Duration;

/// How long Compose may take beside what each container is given to stop.
const BESIDES: Duration = Duration::from_secs(120);

/// Stops services, and notes which containers it has stopped.
///
/// # Errors
/// If Compose fails or does not end in time.
pub fn stop(project: &Project, names: &[String]) -> Result<()> {
    let up = project.of(names).filter(|container| container.is_up());
    let ids: Vec<&str> = up.map(|container| container.id.as_str()).collect();
    project.stopped().add(&ids)?;
    project.compose.stop(names, limit(project, names))
}

/// How long it may take to stop all containers of services, one after another.
pub fn limit(project: &Project, names: &[String]) -> Duration {
    BESIDES + project.of(names).map(|container| container.stop_limit()).sum::<Duration>()
}
