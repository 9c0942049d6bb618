//! `destroy`: nothing of a drill's project is left.
//!
//! Compose is not asked: it would stop each container in its own time, needs the file to be in order, and
//! leaves what it does not find in it. Everything that `isolate` lets it create has the label.

use crate::client;
use crate::docker::{self, ANSWER};
use crate::drill::{self, LABEL};
use anyhow::{Result, bail};
use pipe_kit::{Stop, info};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long the engine may take to remove all of one kind.
const REMOVE: Duration = Duration::from_secs(120);
/// What is just being created when the rest is removed is found the next time: it is looked for until nothing was
/// there twice.
const ROUNDS: u32 = 10;
const REST: Duration = Duration::from_secs(1);

const VOLUME: &str = "volume";

/// In this order: a volume or network in use is not removed.
const KINDS: [Kind; 3] = [
    Kind { name: "container", list: &["ps", "-aq", "--no-trunc"], remove: &["rm", "-fv"] },
    Kind { name: VOLUME, list: &["volume", "ls", "-q"], remove: &["volume", "rm", "-f"] },
    Kind {
        name: "network",
        list: &["network", "ls", "-q", "--no-trunc"],
        remove: &["network", "rm"],
    },
];

struct Kind {
    name: &'static str,
    list: &'static [&'static str],
    remove: &'static [&'static str],
}

impl Kind {
    fn all(&self, filter: &[&str]) -> Result<BTreeSet<String>> {
        let mut command = docker::command(self.list);
        command.args(filter);
        let text = client::text(command, ANSWER, &format!("docker {}", self.list[0]))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Those that have the project's label; and a volume of these names also without it: the engine makes one when it
    /// creates a container whose volume has just been removed.
    fn of(&self, project: &str, names: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut ids = self.all(&["--filter", &format!("label={LABEL}={project}")])?;
        if self.name == VOLUME && !names.is_empty() {
            ids.extend(self.all(&[])?.intersection(names).cloned());
        }
        Ok(ids)
    }

    /// What cannot be removed now is listed again.
    fn remove(&self, ids: &BTreeSet<String>) -> Result<()> {
        let mut command = docker::command(self.remove);
        command.args(ids).stdout(Stdio::null()).stderr(Stdio::null());
        client::run(command, REMOVE, &format!("docker {}", self.remove.join(" "))).map(drop)
    }
}

/// The project that is meant: the one that is named, else that of the directory's Compose file.
///
/// # Errors
/// [`Stop::refused`] where the directory has no such file, or another project's.
pub fn meant(dir: &Path, named: Option<&str>) -> Result<String> {
    let of_file = drill::project(dir)?;
    match (named, of_file) {
        (Some(named), Some(project)) if named != project => Err(Stop::refused(format!(
            "the drill in {} is the project {project}, not {named}",
            dir.display()
        ))
        .into()),
        (Some(named), _) if !drill::is_name(named) => {
            Err(Stop::usage(format!("{named} is no name of a project")).into())
        }
        (Some(named), _) => Ok(named.to_owned()),
        (None, Some(project)) => Ok(project),
        (None, None) => Err(Stop::refused(format!(
            "there is no drill in {}: name its project with --project",
            dir.display()
        ))
        .into()),
    }
}

/// Removes containers, volumes and networks of a project until there are none.
///
/// # Errors
/// If some are left, or the engine does not answer.
pub fn destroy(project: &str) -> Result<()> {
    let mut removed = 0;
    let mut volumes = BTreeSet::new();
    let mut left = Vec::new();
    let mut was_empty = false;
    for _ in 0..ROUNDS {
        left.clear();
        for kind in KINDS {
            let ids = kind.of(project, &volumes)?;
            if ids.is_empty() {
                continue;
            }
            kind.remove(&ids)?;
            removed += ids.len();
            left.push(pipe_kit::text::count(ids.len(), kind.name));
            if kind.name == VOLUME {
                volumes.extend(ids);
            }
        }
        if std::mem::replace(&mut was_empty, left.is_empty()) && was_empty {
            info!("{project}: {} removed", pipe_kit::text::count(removed, "part"));
            return Ok(());
        }
        std::thread::sleep(REST);
    }
    if left.is_empty() {
        return Ok(());
    }
    bail!(
        "{project}: {} cannot be removed; to see them: docker ps -a --filter label={LABEL}={project}; docker volume ls --filter name={project}",
        left.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipe_kit::Exit;
    use serde_json::json;

    #[test]
    fn only_a_drills_project_is_meant() {
        let none = tempfile::tempdir().unwrap();
        let drill = tempfile::tempdir().unwrap();
        let file = json!({"networks": {"default": {"labels": {LABEL: "piprio-drill-1"}}}});
        std::fs::write(drill.path().join(drill::FILE), file.to_string()).unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join(drill::FILE), "services: {}").unwrap();
        let gone = none.path().join("gone");
        for (dir, named, expected) in [
            (drill.path(), None, Ok("piprio-drill-1")),
            (drill.path(), Some("piprio-drill-1"), Ok("piprio-drill-1")),
            (drill.path(), Some("deploy"), Err(Exit::Refused)),
            (none.path(), None, Err(Exit::Refused)),
            (gone.as_path(), None, Err(Exit::Refused)),
            (none.path(), Some("piprio-drill-2"), Ok("piprio-drill-2")),
            (gone.as_path(), Some("piprio-drill-2"), Ok("piprio-drill-2")),
            (none.path(), Some("a b"), Err(Exit::Usage)),
            (none.path(), Some(""), Err(Exit::Usage)),
            (other.path(), None, Err(Exit::Refused)),
            (other.path(), Some("piprio-drill-2"), Err(Exit::Refused)),
        ] {
            let found = meant(dir, named).map_err(|error| pipe_kit::status::of(&error));
            assert_eq!(found, expected.map(str::to_owned), "{} {named:?}", dir.display());
        }
    }
}
