//! `isolate`: the deployment's services as a project of its own, on an isolated network.

mod dollar;
mod facts;
mod files;
mod links;
mod lookup;
mod mounts;
mod notes;
mod plan;
mod ports;
mod service;
mod subnet;

use crate::compose::Compose;
use crate::configuration;
use crate::deployment::Deployment;
use crate::drill::{self, FILE};
use crate::project::Project;
use crate::room;
use crate::service as services;
use crate::state::State;
use anyhow::{Context, Result};
use facts::Facts;
use pipe_kit::atomic::AtomicFile;
use pipe_kit::{Stop, info};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the Compose file of the drill whose directory is the deployment, from the configuration of another
/// one. Prints what it is without.
///
/// # Errors
/// [`Stop::usage`] where the directory is not prepared, [`Stop::refused`] where the deployment cannot be
/// isolated, or there is no room.
pub fn isolate(drill: &Deployment, deploy: &Deployment, skip: &[String], bytes: u64) -> Result<()> {
    let project = drill::prepared(drill.dir())?;
    if deploy.is(&drill.dir().to_string_lossy()) {
        return Err(Stop::usage("--from names the drill's own directory").into());
    }
    let compose = Compose::find(deploy)?;
    let production = Project::read(deploy, compose.clone())?;
    refuse_same_project(&production, &project)?;
    let files = configuration::files(&compose, deploy.dir())?;
    refuse_outside(deploy, &files)?;
    let links = links::of_files(deploy.dir(), drill.dir())?;
    let source = configuration::Source { files: &files, dir: drill.dir(), project: &project };
    let compose = compose.of(drill);
    let configured = configuration::read(&compose, &source)?;
    let active = configuration::active(&compose, &source)?;
    drop(links);
    let skip: BTreeSet<String> = skip.iter().cloned().collect();
    let known = plan::services(&configured)?;
    if let Some(name) = skip.iter().find(|name| !known.contains_key(*name)) {
        return Err(Stop::usage(format!("--skip: there is no service {name}")).into());
    }
    let facts = Facts {
        project: &project,
        drill: drill.dir(),
        deploy: deploy.dir(),
        done: &done(&production),
        images: &lookup::images(known, &active, &production)?,
        active: &active,
        skip: &skip,
        subnet: &subnet::free()?,
        kind: &lookup::kind,
        real: &lookup::real,
    };
    let (file, notes) = plan::isolate(&configured, &facts)?;
    room::require(bytes)?;
    write(&drill.dir().join(FILE), &serde_json::to_vec_pretty(&file)?)?;
    info!("{} runs without the items that are listed on standard output", drill.dir().display());
    pipe_kit::output::print(&notes.to_text())
}

fn done(production: &Project<'_>) -> BTreeSet<String> {
    let stopped_here = production.stopped().ids();
    let names: BTreeSet<&str> = production.containers.iter().map(|it| it.service()).collect();
    let state = |name: &str| services::state(&production.containers, name, &stopped_here);
    names.into_iter().filter(|name| state(name) == State::Done).map(str::to_owned).collect()
}

/// The deployment's own project would be taken down with the drill.
fn refuse_same_project(production: &Project<'_>, project: &str) -> Result<()> {
    if production.containers.iter().any(|container| container.project() == project) {
        return Err(Stop::refused(format!(
            "{project} is the project of the deployment itself; a drill needs another \
             COMPOSE_PROJECT_NAME"
        ))
        .into());
    }
    Ok(())
}

/// Relative paths of the configuration would lead to other places in the drill's directory than they do in production.
fn refuse_outside(deploy: &Deployment, files: &[PathBuf]) -> Result<()> {
    let outside = files
        .first()
        .filter(|file| file.parent().is_none_or(|dir| !deploy.is(&dir.to_string_lossy())));
    match outside {
        None => Ok(()),
        Some(file) => Err(Stop::refused(format!(
            "the first Compose file {} is not directly in {}: a drill cannot isolate these services",
            file.display(),
            deploy.dir().display()
        ))
        .into()),
    }
}

/// Whole or not at all: `destroy` reads it. Only its owner may read it: it has what the services'
/// environments have.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
    file.commit()
}
