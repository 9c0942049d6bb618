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
const ALL: u32 = READ | WRITE | SEARCH;
/// As root, the owner's group may not write either: it is others, and root does not run that.
const GROUP_WRITES: u32 = 0o020;

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

/// What decides. Each is judged alone: what cannot be looked at leaves the others as they are.
pub struct Facts {
    dotenv: Result<Option<Entry>>,
    /// The directory, and the files in it.
    secrets: Result<Option<(Entry, Vec<Entry>)>>,
    root: Result<Option<Entry>>,
    programs: Result<Programs>,
    is_root: bool,
}

/// What backups, restores and drills start.
struct Programs {
    /// The directories of programs.
    directories: Vec<PathBuf>,
    /// They, and what is in them.
    entries: Vec<Entry>,
    /// The deployment's directory: whoever can write it can replace them.
    deployment: Option<Entry>,
}

/// Looks at all of it. `root` is the directory of the bundles, where it is known.
pub fn facts(place: &Place, root: Option<&Path>) -> Facts {
    Facts {
        dotenv: entry(&place.path(".env")),
        secrets: secrets(&place.path("secrets")),
        root: root.map(entry).transpose().map(Option::flatten),
        programs: programs(place),
        is_root: rustix::process::geteuid().is_root(),
    }
}

fn secrets(path: &Path) -> Result<Option<(Entry, Vec<Entry>)>> {
    let Some(dir) = entry(path)? else { return Ok(None) };
    // Nobody else gets at what is in it, which may be hidden from us as well.
    let files = if dir.mode & ALL == 0 { Vec::new() } else { inside(path, 0)? };
    Ok(Some((dir, files)))
}

fn programs(place: &Place) -> Result<Programs> {
    let (mut directories, mut entries) = (Vec::new(), Vec::new());
    for name in DIRECTORIES {
        if let Some(dir) = entry(&place.path(name))? {
            entries.extend(inside(&dir.path, DEPTH)?);
            directories.push(dir.path.clone());
            entries.push(dir);
        }
    }
    Ok(Programs { directories, entries, deployment: entry(place.dir())? })
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
        let lines = [
            judged("access .env", &self.dotenv, |entry| dotenv(entry.as_ref())),
            judged("access secrets", &self.secrets, |found| of_secrets(found.as_ref())),
            judged("access bundles", &self.root, |entry| of_root(entry.as_ref())),
            judged(PROGRAMS, &self.programs, |programs| programs.line(self.is_root)),
        ];
        lines.into_iter().flatten().collect()
    }
}

fn judged<T>(name: &str, fact: &Result<T>, judge: impl Fn(&T) -> Option<Line>) -> Option<Line> {
    match fact {
        Ok(fact) => judge(fact),
        Err(error) => Some(Line::note(name, format!("cannot be checked: {error:#}"))),
    }
}

fn dotenv(entry: Option<&Entry>) -> Option<Line> {
    let Entry { path, mode, .. } = entry?;
    let is_open = mode & (READ | WRITE) != 0;
    Some(readable(".env", path, is_open, &format!("chmod o-rwx {}", quoted(path))))
}

/// Files that a container reads may have to be readable by all, where nobody else gets at them.
fn of_secrets(found: Option<&(Entry, Vec<Entry>)>) -> Option<Line> {
    let (dir, files) = found?;
    let open = files.iter().find(|file| file.mode & (READ | WRITE) != 0);
    let open = open.filter(|_| dir.mode & SEARCH != 0);
    let path = open.map_or(&dir.path, |file| &file.path);
    let is_open = open.is_some() || dir.mode & WRITE != 0;
    Some(readable("secrets", path, is_open, &format!("chmod o-rwx {}", quoted(&dir.path))))
}

/// The bundles themselves are nobody else's to read: a root that can be read shows their names.
fn of_root(entry: Option<&Entry>) -> Option<Line> {
    const NAME: &str = "access bundles";
    let Entry { path, mode, .. } = entry?;
    let shown = path.display();
    Some(match (mode & WRITE != 0, mode & READ != 0) {
        (true, _) => {
            let found = format!("every user can write {shown}");
            Line::finding(NAME, found, format!("chmod o-w {}", quoted(path)))
        }
        (false, true) => Line::note(NAME, format!("every user can list {shown}")),
        (false, false) => Line::ok(NAME, format!("{shown} is not open to every user")),
    })
}

impl Programs {
    fn line(&self, is_root: bool) -> Option<Line> {
        if self.directories.is_empty() {
            return None;
        }
        let dirs: Vec<String> = self.directories.iter().map(|dir| quoted(dir)).collect();
        let dirs = dirs.join(" ");
        let (others, whose) = match is_root {
            true => (WRITE | GROUP_WRITES, "go-w"),
            false => (WRITE, "o-w"),
        };
        let is_open = |entry: &&Entry| entry.mode & others != 0;
        if let Some(open) = self.entries.iter().find(is_open) {
            let found = format!("users other than the owner can write {}", open.path.display());
            return Some(Line::finding(PROGRAMS, found, format!("chmod -R {whose} {dirs}")));
        }
        if let Some(Entry { path, .. }) = self.deployment.as_ref().filter(is_open) {
            let found =
                format!("users other than the owner can replace what is in {}", path.display());
            return Some(Line::finding(PROGRAMS, found, format!("chmod {whose} {}", quoted(path))));
        }
        let theirs = self.entries.iter().find(|entry| is_root && entry.owner != 0);
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
    fn found(is_root: bool, changed: &str, mode: u32) -> Vec<(String, Status, String)> {
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
        let here = dir.path().display().to_string();
        set(&dir.path().join(changed), mode);
        let mut facts = facts(&Place::new(dir.path()), Some(&dir.path().join("backups")));
        facts.is_root = is_root;
        // Of the tests' user, whoever that is.
        for entry in &mut facts.programs.as_mut().unwrap().entries {
            entry.owner = 0;
        }
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
        let found = |changed, mode| super::tests::found(true, changed, mode);
        assert_eq!(found("", 0o755), []);
        assert_eq!(found(".env", 0o644), finding("access .env", "chmod o-rwx /d/.env"));
        assert_eq!(found(".env", 0o640), []);
        // Nobody else gets at it.
        assert_eq!(found("secrets/pw", 0o644), []);
        assert_eq!(found("secrets", 0o755), []);
        let programs = finding("access programs", "chmod -R go-w /d/bin /d/hooks");
        assert_eq!(found("bin/tool", 0o775), programs);
        assert_eq!(found("hooks/before-backup.d/mount", 0o757), programs);
        assert_eq!(found("bin", 0o777), programs);
        // Whoever can write the directory can replace bin.
        assert_eq!(found("", 0o775), finding("access programs", "chmod go-w /d"));
    }

    #[test]
    fn a_root_that_can_be_listed_is_a_note_and_one_that_can_be_written_a_finding() {
        let name = || "access bundles".to_owned();
        assert_eq!(found(true, "backups", 0o755), [(name(), Status::Note, String::new())]);
        let closed = [(name(), Status::Finding, "chmod o-w /d/backups".to_owned())];
        assert_eq!(found(true, "backups", 0o703), closed);
        assert_eq!(found(true, "backups", 0o750), []);
    }

    #[test]
    fn the_group_of_a_user_with_a_umask_of_002_may_write() {
        let found = |changed, mode| super::tests::found(false, changed, mode);
        assert_eq!(found("bin/tool", 0o775), []);
        assert_eq!(found("", 0o775), []);
        let command = |changed, mode| found(changed, mode).swap_remove(0).2;
        assert_eq!(command("bin/tool", 0o757), "chmod -R o-w /d/bin /d/hooks");
        assert_eq!(command("", 0o777), "chmod o-w /d");
    }

    #[test]
    fn what_cannot_be_looked_at_is_a_note_and_the_others_are_judged() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".env"), "x").unwrap();
        set(&dir.path().join(".env"), 0o644);
        fs::create_dir(dir.path().join("bin")).unwrap();
        // Not even root can list it.
        fs::write(dir.path().join("secrets"), "x").unwrap();
        set(&dir.path().join("secrets"), 0o644);
        let mut facts = facts(&Place::new(dir.path()), None);
        facts.is_root = false;
        let statuses: Vec<_> = facts.lines().into_iter().map(|l| (l.name, l.status)).collect();
        let expected = [
            ("access .env".to_owned(), Status::Finding),
            ("access secrets".to_owned(), Status::Note),
            ("access programs".to_owned(), Status::Ok),
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn a_secret_that_every_user_can_reach_is_a_finding_and_so_is_a_program_that_is_not_roots() {
        let at = |path: &str, mode, owner| Entry { path: path.into(), mode, owner };
        let facts = |owner, is_root| Facts {
            dotenv: Ok(None),
            secrets: Ok(Some((at("/d/secrets", 0o711, 0), vec![at("/d/secrets/pw", 0o644, 0)]))),
            root: Ok(None),
            programs: Ok(Programs {
                directories: vec!["/d/bin".into()],
                entries: vec![at("/d/bin", 0o755, 0), at("/d/bin/tool", 0o755, 1000)],
                deployment: Some(at("/d", 0o700, owner)),
            }),
            is_root,
        };
        let shown = |facts: &Facts| -> Vec<_> {
            let lines = facts.lines().into_iter();
            lines.map(|line| (line.status, line.command.unwrap_or_default())).collect()
        };
        let expected = [
            (Status::Finding, "chmod o-rwx /d/secrets".to_owned()),
            (Status::Finding, "chown -R root:root /d/bin".to_owned()),
        ];
        assert_eq!(shown(&facts(0, true)), expected);
        let command = r#"runuser -u "$(stat -c %U /d)" -- /d/bin/deploy-env doctor"#;
        assert_eq!(shown(&facts(1000, true))[1].1, command);
        assert_eq!(shown(&facts(1000, false))[1].0, Status::Ok);
    }
}
