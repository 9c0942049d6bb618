//! What is known before a deployment is isolated.

use super::subnet::Subnet;
use anyhow::Result;
use pipe_kit::Stop;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What lies at a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Missing,
    File,
    /// A directory without sockets and devices in it.
    Directory,
    /// A socket, a pipe or a device, a directory that has one in it, or one of the system's own.
    Special,
}

/// An image on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id: under its name there may be another one tomorrow.
    pub id: String,
    /// Paths at which each container gets a volume of its own.
    pub volumes: Vec<String>,
}

/// Everything that decides beside the configuration.
pub struct Facts<'a> {
    /// The project of the drill.
    pub project: &'a str,
    /// The directory of the drill, which is the project's.
    pub drill: &'a Path,
    /// The directory of the deployment whose configuration it is.
    pub deploy: &'a Path,
    /// The services of the active profiles.
    pub active: &'a BTreeSet<String>,
    /// Services of the deployment that were meant to end, and have.
    pub done: &'a BTreeSet<String>,
    /// Services to be left out.
    pub skip: &'a BTreeSet<String>,
    /// The images of services; one that is missing is not on this host.
    pub images: &'a BTreeMap<String, Image>,
    /// The addresses of its network.
    pub subnet: &'a Subnet,
    /// What lies at a path.
    pub kind: &'a dyn Fn(&Path) -> Kind,
    /// A path without links.
    pub real: &'a dyn Fn(&Path) -> PathBuf,
}

/// A path that a configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the deployment's directory, and relative to it.
    Deployment(PathBuf),
    /// Elsewhere on the host.
    Host(PathBuf),
}

impl Facts<'_> {
    /// Where a path of the configuration lies. Relative ones were read from the drill's directory.
    pub fn place(&self, path: &Path) -> Place {
        let real = (self.real)(path);
        let deploy = (self.real)(self.deploy);
        for (path, dir) in
            [(path, self.drill), (path, self.deploy), (&real, self.deploy), (&real, &deploy)]
        {
            if let Ok(inside) = path.strip_prefix(dir) {
                return Place::Deployment(inside.to_owned());
            }
        }
        // `../x` of the deployment.
        let beside = self.drill.parent().and_then(|parent| path.strip_prefix(parent).ok());
        match (beside, self.deploy.parent()) {
            (Some(inside), Some(parent)) => Place::Host(parent.join(inside)),
            _ => Place::Host(path.to_owned()),
        }
    }

    /// The path of something that every bundle has of a deployment, in the drill's directory.
    ///
    /// # Errors
    /// [`Stop::refused`] where this bundle does not have it.
    pub fn of_bundle(&self, inside: &Path, service: &str) -> Result<Option<PathBuf>> {
        let own = self.drill.join(inside);
        match (self.kind)(&own) {
            Kind::File | Kind::Directory => Ok(Some(own)),
            _ if [".env", "secrets", "certs"].iter().any(|top| inside.starts_with(top)) => {
                let inside = inside.display();
                Err(Stop::refused(format!(
                    "the service {service} needs {inside}, which the bundle does not have"
                ))
                .into())
            }
            _ => Ok(None),
        }
    }
}
