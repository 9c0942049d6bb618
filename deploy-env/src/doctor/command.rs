//! What a command of a schedule runs, and for which deployment.

use super::place::Place;
use std::path::Path;

/// What a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `backup.sh`
    Backup,
    /// `drill.sh`
    Drill,
    /// `ship.sh`
    Ship,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Backup, Self::Drill, Self::Ship];

    /// The script.
    pub fn script(self) -> &'static str {
        match self {
            Self::Backup => "backup.sh",
            Self::Drill => "drill.sh",
            Self::Ship => "ship.sh",
        }
    }

    /// The same as a command of `piprio-backup`.
    pub fn command(self) -> &'static str {
        self.script().trim_end_matches(".sh")
    }
}

/// Whose script a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This deployment's.
    Ours,
    /// Perhaps this deployment's: the command leaves the directory open.
    Unknown,
}

/// The command of the package.
const COMMAND: &str = "piprio-backup";

/// What a command starts by way of `piprio-backup`, and whose. `is_there` is whether it begins in the deployment's
/// directory.
fn packaged(place: &Place, command: &str, is_there: bool) -> Option<(Work, Owner)> {
    let ours = place.dir().to_string_lossy();
    // A directory with a blank in its name would be several words.
    let text = command.replace(&*ours, "\u{0}");
    let mut words = text.split(is_between).filter(|word| !word.is_empty());
    words.find(|word| Path::new(word).file_name().is_some_and(|name| name == COMMAND))?;
    let mut named = None;
    let mut next = words.next()?;
    if next == "--deploy" {
        named = words.next();
        next = words.next()?;
    }
    let work = Work::ALL.into_iter().find(|work| work.command() == next)?;
    let owner = match named {
        Some("\u{0}") => Owner::Ours,
        Some(dir) if dir.starts_with('/') => {
            is_same(Path::new(dir), place.dir()).then_some(Owner::Ours)?
        }
        _ if is_there || has_word(command, &ours) => Owner::Ours,
        _ => Owner::Unknown,
    };
    Some((work, owner))
}

/// Whether two paths lead to the same directory or file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// What a command runs, and whose. In a file that `install.sh` has written, the path may be in quotes of many kinds.
/// `is_there` is whether it begins in the deployment's directory.
pub fn work(
    place: &Place,
    command: &str,
    written: Option<bool>,
    is_there: bool,
) -> Option<(Work, Owner)> {
    if let Some(found) = packaged(place, command, is_there) {
        return Some(found);
    }
    Work::ALL.into_iter().find_map(|work| {
        let end = format!("scripts/{}", work.script());
        let ours = place.path(&end);
        let is_ours = has_word(command, &ours.to_string_lossy())
            || (written == Some(true) && command.contains(&format!("/{end}")));
        // A link to the directory, or the directory that one leads to.
        let is_link = |path: &&str| path.starts_with('/') && is_same(Path::new(path), &ours);
        let paths = paths(command, &end);
        if is_ours || paths.iter().any(is_link) {
            return Some((work, Owner::Ours));
        }
        let relative = paths.iter().any(|path| !path.starts_with('/'));
        let goes_there = is_there || has_word(command, &place.dir().to_string_lossy());
        match (relative, goes_there) {
            (true, true) => Some((work, Owner::Ours)),
            (true, false) if written.is_none() => Some((work, Owner::Unknown)),
            _ => None,
        }
    })
}

/// What stands between the words of a command.
fn is_between(c: char) -> bool {
    c.is_whitespace() || "'\"=;&|()<>".contains(c)
}

/// Whether a command has a path as a whole word: that of another deployment may end in it, or begin with it.
fn has_word(command: &str, path: &str) -> bool {
    command.match_indices(path).any(|(at, _)| {
        let after = command[at + path.len()..].trim_start_matches('/');
        command[..at].chars().next_back().is_none_or(is_between)
            && after.chars().next().is_none_or(is_between)
    })
}

/// The paths in a command that end so.
fn paths<'a>(command: &'a str, end: &str) -> Vec<&'a str> {
    let is_path = |word: &&str| {
        word.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    command.split(is_between).filter(is_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_script_a_command_runs_is_read_from_its_path() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("deploy");
        std::fs::create_dir_all(dir.join("scripts")).unwrap();
        std::fs::write(dir.join("scripts/backup.sh"), "").unwrap();
        let link = root.path().join("current");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        let (ours, unknown) =
            (Some((Work::Backup, Owner::Ours)), Some((Work::Backup, Owner::Unknown)));
        let (dir, link) = (dir.display(), link.display());
        for (place, command, expected) in [
            (&dir, format!("{dir}/scripts/backup.sh"), ours),
            (&dir, format!("D={dir}; bash \"{dir}/scripts/backup.sh\" >> /log"), ours),
            (&dir, format!("bash {link}/scripts/backup.sh"), ours),
            (&link, format!("bash {dir}/scripts/backup.sh"), ours),
            (&dir, format!("cd {dir} && bash scripts/backup.sh"), ours),
            (&dir, format!("cd '{dir}/' && ./scripts/backup.sh"), ours),
            (&dir, "cd /srv/x && bash scripts/backup.sh".to_owned(), unknown),
            (&dir, "bash $DEPLOY/scripts/backup.sh".to_owned(), unknown),
            (&dir, format!("/srv{dir}/scripts/backup.sh"), None),
            (&dir, format!("{dir}/scripts/backup.sh.old"), None),
            (&dir, format!("cd {dir}2 && bash scripts/backup.sh"), unknown),
            (&dir, format!("{dir}/my-scripts/backup.sh"), None),
            (&dir, "bash /srv/other/scripts/backup.sh".to_owned(), None),
        ] {
            let place = Place::new(Path::new(&place.to_string()));
            assert_eq!(work(&place, &command, None, false), expected, "{command}");
        }
        let place = Place::new(Path::new(&dir.to_string()));
        assert_eq!(work(&place, "bash scripts/backup.sh", None, true), ours);
    }

    #[test]
    fn whose_deployment_the_command_serves_is_read_from_its_option() {
        let ours = Some((Work::Backup, Owner::Ours));
        let unknown = Some((Work::Backup, Owner::Unknown));
        let place = Place::new("/srv/my deploy".as_ref());
        for (command, is_there, expected) in [
            ("/usr/bin/piprio-backup --deploy /srv/my deploy backup", false, ours),
            ("piprio-backup '--deploy=/srv/my deploy' backup --quiet", false, ours),
            ("PIPRIO_DEPLOY='/srv/my deploy' piprio-backup backup", false, ours),
            ("cd '/srv/my deploy' && piprio-backup backup", false, ours),
            ("piprio-backup backup", true, ours),
            ("piprio-backup backup", false, unknown),
            ("piprio-backup --deploy /srv/other backup", true, None),
            ("piprio-backup --deploy $D backup", false, unknown),
            ("piprio-backup restore", true, None),
            ("piprio-backup-old backup", true, None),
            ("piprio-backup", true, None),
        ] {
            assert_eq!(work(&place, command, None, is_there), expected, "{command}");
        }
        let drill = work(&place, "piprio-backup drill --newest", None, true);
        assert_eq!(drill, Some((Work::Drill, Owner::Ours)));
        let ship = work(&place, "piprio-backup ship --all", None, true);
        assert_eq!(ship, Some((Work::Ship, Owner::Ours)));
    }
}
