//! What others on this host can read, and what they can replace.

use super::line::Line;
use super::place::{Place, quoted};
use anyhow::Result;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const READ: u32 = 0o004;
const WRITE: u32 = 0o002;
const SEARCH: u32 = 0o001;
/// Whoever is neither the owner nor trusted: the owner's group may not write either, as root does not run that.
const OTHERS_WRITE: u32 = 0o022;

/// The name of the line about programs.
pub const PROGRAMS: &str = "access programs";
/// The directories of what backups, restores and drills start.
const DIRECTORIES: [&str; 4] = ["bin", "scripts", "hooks", "drill.d"];
/// How deep what is started lies in them.
const DEPTH: usize = 2;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    mode: u32,
    owner: u32,
}

/// What decides.
pub struct Facts {
    dotenv: Option<Entry>,
    /// The directory, and the files in it.
    secrets: Option<(Entry, Vec<Entry>)>,
    root: Option<Entry>,
    /// The directories of programs.
    directories: Vec<PathBuf>,
    /// They, and what is in them.
    programs: Vec<Entry>,
    /// The deployment's directory.
    deployment: Option<Entry>,
    is_root: bool,
}

/// Looks at all of it. `root` is the directory of the bundles, where it is known.
pub fn facts(place: &Place, root: Option<&Path>) -> Result<Facts> {
    let secrets = match entry(&place.path("secrets"))? {
        Some(dir) => {
            let files = inside(&dir.path, 0)?;
            Some((dir, files))
        }
        None => None,
    };
    let (mut directories, mut programs) = (Vec::new(), Vec::new());
    for name in DIRECTORIES {
        if let Some(dir) = entry(&place.path(name))? {
            programs.extend(inside(&dir.path, DEPTH)?);
            directories.push(dir.path.clone());
            programs.push(dir);
        }
    }
    Ok(Facts {
        dotenv: entry(&place.path(".env"))?,
        secrets,
        root: root.map(entry).transpose()?.flatten(),
        directories,
        programs,
        deployment: entry(place.dir())?,
        is_root: rustix::process::geteuid().is_root(),
    })
}

fn entry(path: &Path) -> Result<Option<Entry>> {
    match path.metadata() {
        Ok(meta) => Ok(Some(Entry { path: path.to_owned(), mode: meta.mode(), owner: meta.uid() })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::anyhow!(error).context(format!("{}", path.display()))),
    }
}

/// What is in a directory, and so many directories deeper.
fn inside(dir: &Path, depth: usize) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let listed =
        dir.read_dir().map_err(|e| anyhow::anyhow!(e).context(format!("{}", dir.display())));
    for found in listed? {
        let found = found?;
        entries.extend(entry(&found.path())?);
        if depth > 0 && found.file_type()?.is_dir() {
            entries.extend(inside(&found.path(), depth - 1)?);
        }
    }
    Ok(entries)
}

impl Facts {
    /// A line for each of them.
    pub fn lines(&self) -> Vec<Line> {
        let lines = [self.dotenv(), self.secrets(), self.root(), self.programs()];
        lines.into_iter().flatten().collect()
    }

    fn dotenv(&self) -> Option<Line> {
        let Entry { path, mode, .. } = self.dotenv.as_ref()?;
        Some(readable(
            ".env",
            path,
            mode & (READ | WRITE) != 0,
            &format!("chmod o-rwx {}", quoted(path)),
        ))
    }

    /// Files that a container reads may have to be readable by all, where nobody else gets at them.
    fn secrets(&self) -> Option<Line> {
        let (dir, files) = self.secrets.as_ref()?;
        let open = files.iter().find(|file| file.mode & (READ | WRITE) != 0);
        let open = open.filter(|_| dir.mode & SEARCH != 0);
        let path = open.map_or(&dir.path, |file| &file.path);
        let is_open = open.is_some() || dir.mode & WRITE != 0;
        Some(readable("secrets", path, is_open, &format!("chmod o-rwx {}", quoted(&dir.path))))
    }

    fn root(&self) -> Option<Line> {
        let Entry { path, mode, .. } = self.root.as_ref()?;
        Some(readable(
            "bundles",
            path,
            mode & (READ | WRITE) != 0,
            &format!("chmod o-rwx {}", quoted(path)),
        ))
    }

    fn programs(&self) -> Option<Line> {
        let dirs: Vec<String> = self.directories.iter().map(|dir| quoted(dir)).collect();
        if dirs.is_empty() {
            return None;
        }
        let dirs = dirs.join(" ");
        if let Some(open) = self.programs.iter().find(|entry| entry.mode & OTHERS_WRITE != 0) {
            let found = format!("users other than the owner can write {}", open.path.display());
            return Some(Line::finding(PROGRAMS, found, format!("chmod -R go-w {dirs}")));
        }
        let theirs = self.programs.iter().find(|entry| self.is_root && entry.owner != 0);
        if let Some(entry) = theirs {
            let found = format!("{} is not root's, so root does not run it", entry.path.display());
            // Its owner may, and makes the backups.
            let owner = self.deployment.as_ref().filter(|dir| dir.owner == entry.owner);
            let command = match owner {
                Some(dir) => as_owner(&dir.path),
                None => format!("chown -R root:root {dirs}"),
            };
            return Some(Line::finding(PROGRAMS, found, command));
        }
        Some(Line::ok(PROGRAMS, "no other user can write the programs"))
    }
}

/// Runs the checks as the user that the deployment belongs to.
fn as_owner(deployment: &Path) -> String {
    let (dir, tool) = (quoted(deployment), quoted(&deployment.join("bin/deploy-env")));
    format!("runuser -u \"$(stat -c %U {dir})\" -- {tool} doctor")
}

fn readable(what: &str, path: &Path, is_open: bool, command: &str) -> Line {
    let name = format!("access {what}");
    match is_open {
        true => Line::finding(
            &name,
            format!("every user can read or write {}", path.display()),
            command,
        ),
        false => Line::ok(&name, format!("{} is not open to every user", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Status and command of each line of a deployment in which one path has another mode.
    fn found(changed: &str, mode: u32) -> Vec<(String, Status, String)> {
        let dir = tempfile::tempdir().unwrap();
        for name in ["secrets", "bin", "backups", "hooks/before-backup.d"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            set(&dir.path().join(name), 0o700);
        }
        let hook = "hooks/before-backup.d/mount";
        let files = [(".env", 0o600), ("secrets/pw", 0o600), ("bin/tool", 0o755), (hook, 0o755)];
        set(&dir.path().join("hooks"), 0o755);
        for (name, mode) in files {
            fs::write(dir.path().join(name), "x").unwrap();
            set(&dir.path().join(name), mode);
        }
        if !changed.is_empty() {
            set(&dir.path().join(changed), mode);
        }
        let here = dir.path().display().to_string();
        let mut facts = facts(&Place::new(dir.path()), Some(&dir.path().join("backups"))).unwrap();
        facts.is_root = false;
        let shown = |line: Line| {
            (line.name, line.status, line.command.unwrap_or_default().replace(&here, "/d"))
        };
        facts
            .lines()
            .into_iter()
            .map(shown)
            .filter(|(_, status, _)| *status != Status::Ok)
            .collect()
    }

    #[test]
    fn what_is_open_is_named_with_the_command_that_closes_it() {
        let finding =
            |name: &str, command: &str| vec![(name.into(), Status::Finding, command.into())];
        assert_eq!(found("", 0), []);
        assert_eq!(found(".env", 0o644), finding("access .env", "chmod o-rwx /d/.env"));
        assert_eq!(found(".env", 0o640), []);
        // Nobody else gets at it.
        assert_eq!(found("secrets/pw", 0o644), []);
        assert_eq!(found("secrets", 0o755), []);
        assert_eq!(found("backups", 0o755), finding("access bundles", "chmod o-rwx /d/backups"));
        assert_eq!(
            found("bin/tool", 0o775),
            finding("access programs", "chmod -R go-w /d/bin /d/hooks")
        );
        let hook = found("hooks/before-backup.d/mount", 0o757);
        assert_eq!(hook, finding("access programs", "chmod -R go-w /d/bin /d/hooks"));
        assert_eq!(
            found("bin", 0o777),
            finding("access programs", "chmod -R go-w /d/bin /d/hooks")
        );
    }

    #[test]
    fn a_secret_that_every_user_can_reach_is_a_finding_and_so_is_a_program_that_is_not_roots() {
        let at = |path: &str, mode, owner| Entry { path: path.into(), mode, owner };
        let mut facts = Facts {
            dotenv: None,
            secrets: Some((at("/d/secrets", 0o711, 0), vec![at("/d/secrets/pw", 0o644, 0)])),
            root: None,
            directories: vec!["/d/bin".into()],
            programs: vec![at("/d/bin", 0o755, 0), at("/d/bin/tool", 0o755, 1000)],
            deployment: Some(at("/d", 0o700, 0)),
            is_root: true,
        };
        let shown = |facts: &Facts| -> Vec<_> {
            facts
                .lines()
                .into_iter()
                .map(|line| (line.status, line.command.unwrap_or_default()))
                .collect()
        };
        let expected = [
            (Status::Finding, "chmod o-rwx /d/secrets".to_owned()),
            (Status::Finding, "chown -R root:root /d/bin".to_owned()),
        ];
        assert_eq!(shown(&facts), expected);
        facts.deployment = Some(at("/d", 0o700, 1000));
        let command = r#"runuser -u "$(stat -c %U /d)" -- /d/bin/deploy-env doctor"#;
        assert_eq!(shown(&facts)[1].1, command);
        facts.is_root = false;
        assert_eq!(shown(&facts)[1].0, Status::Ok);
    }
}
