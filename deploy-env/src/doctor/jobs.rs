//! What is written for cron and systemd about this deployment.

use super::cron;
use super::place::Place;
use crate::program::{Answer, LIMIT, ask};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `backup.sh`
    Backup,
    /// `drill.sh`
    Drill,
}

impl Work {
    /// The script.
    pub fn script(self) -> &'static str {
        match self {
            Self::Backup => "backup.sh",
            Self::Drill => "drill.sh",
        }
    }
}

/// Who starts a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starter {
    /// A timer of systemd, by its name.
    Timer(String),
    /// A timer of the user's own systemd, by its name.
    UserTimer(String),
    /// A line of a cron table, by the fields before its command.
    Cron(String),
}

/// Whose script a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This deployment's.
    Ours,
    /// Perhaps this deployment's: the command leaves the directory open.
    Unknown,
}

/// A job that runs a script of this deployment, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it runs.
    pub work: Work,
    /// Whose.
    pub owner: Owner,
    /// Who starts it.
    pub starter: Starter,
    /// The file that it is written in.
    pub file: PathBuf,
}

/// How the first lines of a file that `install.sh` has written name the deployment.
const DEPLOYMENT: &str = "# Deployment: ";
/// Where units of the system lie; the first of a name counts.
const UNITS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The jobs below a root: `/`, or that of a system that is being prepared.
pub fn find(place: &Place, root: &Path) -> Vec<Job> {
    let mut jobs = timers(place, UNITS.iter().map(|dir| root.join(dir)), Starter::Timer);
    jobs.extend(table(place, &root.join("etc/crontab"), true));
    for file in files(&root.join("etc/cron.d")) {
        // cron reads no others.
        let is_read = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if file.file_name().is_some_and(|name| name.to_string_lossy().chars().all(is_read)) {
            jobs.extend(table(place, &file, true));
        }
    }
    for spool in ["var/spool/cron/crontabs", "var/spool/cron"] {
        for file in files(&root.join(spool)) {
            jobs.extend(table(place, &file, false));
        }
    }
    jobs
}

/// The jobs in the table of the user who asks, for those who may not read all.
pub fn of_user(place: &Place) -> Vec<Job> {
    let answer = ask(Command::new("crontab").arg("-l"), "", LIMIT).ok();
    let text = answer.filter(Answer::is_good).map(|answer| answer.text).unwrap_or_default();
    of_table(place, &text, Path::new("crontab -l"), false)
}

/// The timers of the user who asks.
pub fn of_user_units(place: &Place, home: Option<&Path>) -> Vec<Job> {
    let own = home.into_iter().map(|home| home.join(".config/systemd/user"));
    let dirs = own.chain(["/etc/systemd/user".into(), "/usr/lib/systemd/user".into()]);
    timers(place, dirs, Starter::UserTimer)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Services with a timer of the same name.
fn timers(
    place: &Place,
    dirs: impl Iterator<Item = PathBuf>,
    starter: impl Fn(String) -> Starter,
) -> Vec<Job> {
    let (mut jobs, mut seen) = (Vec::new(), BTreeSet::new());
    for file in dirs.flat_map(|dir| files(&dir)) {
        let timer = file.with_extension("timer");
        let is_service = file.extension().is_some_and(|extension| extension == "service");
        let name = timer.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_service || !seen.insert(name.clone()) || !timer.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
        let dir = text.lines().find_map(|line| line.strip_prefix("WorkingDirectory="));
        let is_there = dir.is_some_and(|dir| is_same(Path::new(dir), place.dir()));
        let work =
            command.and_then(|command| work(place, command, written(place, &text), is_there));
        let job = |(work, owner)| Job { work, owner, starter: starter(name), file: timer };
        jobs.extend(work.map(job));
    }
    jobs
}

fn table(place: &Place, file: &Path, has_user: bool) -> Vec<Job> {
    of_table(place, &std::fs::read_to_string(file).unwrap_or_default(), file, has_user)
}

fn of_table(place: &Place, text: &str, file: &Path, has_user: bool) -> Vec<Job> {
    let written = written(place, text);
    let job = |line: &str| {
        let (fields, command) = cron::split(line, has_user)?;
        let (work, owner) = work(place, &command, written, false)?;
        Some(Job { work, owner, starter: Starter::Cron(fields), file: file.to_owned() })
    };
    text.lines().filter_map(job).collect()
}

/// Whether `install.sh` has written a file for this deployment or, `Some(false)`, for another.
fn written(place: &Place, text: &str) -> Option<bool> {
    let named = text.lines().find_map(|line| line.strip_prefix(DEPLOYMENT)).map(Path::new);
    named.map(|dir| is_same(dir, place.dir()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// What a command runs, and whose. In a file that `install.sh` has written, the path may be in quotes of many kinds.
/// `is_there` is whether it begins in the deployment's directory.
fn work(
    place: &Place,
    command: &str,
    written: Option<bool>,
    is_there: bool,
) -> Option<(Work, Owner)> {
    [Work::Backup, Work::Drill].into_iter().find_map(|work| {
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
    fn jobs_of_this_deployment_are_found_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let unit = "# Written\n# Deployment: /srv/d %h\n[Service]\nExecStart=/usr/bin/env bash \"/srv/d %%h/scripts/backup.sh\"\n";
        put("etc/systemd/system/nightly.service", unit);
        let timer = put("etc/systemd/system/nightly.timer", "");
        put("etc/systemd/system/alone.service", unit);
        put("etc/systemd/system/other.service", &unit.replace("/srv/d %h", "/srv/other"));
        put("etc/systemd/system/other.timer", "");
        let line = "0 4 * * * root '/srv/d \\%h/scripts/backup.sh' >> /var/log/x\n";
        let table = put("etc/cron.d/piprio-backup", line);
        put("etc/cron.d/piprio-backup.new", line);
        put(
            "etc/cron.d/other",
            "0 4 * * * root '/srv/other/scripts/backup.sh'\n# /srv/d %h/scripts/backup.sh\n",
        );
        let spool = put(
            "var/spool/cron/crontabs/app",
            "30 4 * * 3 '/srv/d %h/scripts/drill.sh' --newest\n",
        );
        let found = find(&Place::new("/srv/d %h".as_ref()), root.path());
        let cron = |work, fields: &str, file: &Path| Job {
            work,
            owner: Owner::Ours,
            starter: Starter::Cron(fields.into()),
            file: file.into(),
        };
        let expected = [
            Job {
                work: Work::Backup,
                owner: Owner::Ours,
                starter: Starter::Timer("nightly.timer".into()),
                file: timer,
            },
            cron(Work::Backup, "0 4 * * *", &table),
            cron(Work::Drill, "30 4 * * 3", &spool),
        ];
        assert_eq!(found, expected);
    }

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
    fn a_unit_counts_wherever_it_lies_and_once() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        };
        let unit = "[Service]\nWorkingDirectory=/srv/d\nExecStart=bash scripts/backup.sh\n";
        for dir in ["usr/lib/systemd/system", "lib/systemd/system", "home/.config/systemd/user"] {
            put(&format!("{dir}/nightly.service"), unit);
            put(&format!("{dir}/nightly.timer"), "");
        }
        let place = Place::new("/srv/d".as_ref());
        let starters = |jobs: Vec<Job>| -> Vec<_> {
            jobs.into_iter().map(|job| (job.owner, job.starter)).collect()
        };
        let name = || "nightly.timer".to_owned();
        assert_eq!(starters(find(&place, root.path())), [(Owner::Ours, Starter::Timer(name()))]);
        let home = root.path().join("home");
        let expected = [(Owner::Ours, Starter::UserTimer(name()))];
        assert_eq!(starters(of_user_units(&place, Some(&home))), expected);
    }
}
