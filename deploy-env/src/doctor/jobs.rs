//! What is written for cron and systemd about this deployment.

use super::cron;
use super::place::Place;
use super::program::{Answer, LIMIT, ask};
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
    /// A line of a cron table, by the fields before its command.
    Cron(String),
}

/// A job that runs a script of this deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it runs.
    pub work: Work,
    /// Who starts it.
    pub starter: Starter,
    /// The file that it is written in.
    pub file: PathBuf,
}

/// How the first lines of a file that `install.sh` has written name the deployment.
const OWNER: &str = "# Deployment: ";

/// The jobs below a root: `/`, or that of a system that is being prepared.
pub fn find(place: &Place, root: &Path) -> Vec<Job> {
    let mut jobs = timers(place, &root.join("etc/systemd/system"));
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

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A service with a timer of the same name.
fn timers(place: &Place, dir: &Path) -> Vec<Job> {
    let mut jobs = Vec::new();
    for file in files(dir) {
        let timer = file.with_extension("timer");
        let is_service = file.extension().is_some_and(|extension| extension == "service");
        if !is_service || !timer.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
        let work = command.and_then(|command| work(place, command, is_owner(place, &text)));
        let name = timer.file_name().unwrap_or_default().to_string_lossy().into_owned();
        jobs.extend(work.map(|work| Job { work, starter: Starter::Timer(name), file: timer }));
    }
    jobs
}

fn table(place: &Place, file: &Path, has_user: bool) -> Vec<Job> {
    of_table(place, &std::fs::read_to_string(file).unwrap_or_default(), file, has_user)
}

fn of_table(place: &Place, text: &str, file: &Path, has_user: bool) -> Vec<Job> {
    let owner = is_owner(place, text);
    let job = |line: &str| {
        let (fields, command) = cron::split(line, has_user)?;
        let work = work(place, &command, owner)?;
        Some(Job { work, starter: Starter::Cron(fields), file: file.to_owned() })
    };
    text.lines().filter_map(job).collect()
}

/// Whether `install.sh` has written a file for this deployment.
fn is_owner(place: &Place, text: &str) -> bool {
    let named = text.lines().find_map(|line| line.strip_prefix(OWNER)).map(Path::new);
    named.is_some_and(|dir| match (dir.canonicalize(), place.dir().canonicalize()) {
        (Ok(named), Ok(ours)) => named == ours,
        _ => dir == place.dir(),
    })
}

/// What a command of this deployment runs. In a file of `install.sh`, the path may be in quotes of many kinds.
fn work(place: &Place, command: &str, owner: bool) -> Option<Work> {
    let dir = place.path("scripts");
    [Work::Backup, Work::Drill].into_iter().find(|work| {
        let script = work.script();
        command.contains(&*dir.join(script).to_string_lossy())
            || (owner && command.contains(&format!("/scripts/{script}")))
    })
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
            starter: Starter::Cron(fields.into()),
            file: file.into(),
        };
        let expected = [
            Job {
                work: Work::Backup,
                starter: Starter::Timer("nightly.timer".into()),
                file: timer,
            },
            cron(Work::Backup, "0 4 * * *", &table),
            cron(Work::Drill, "30 4 * * 3", &spool),
        ];
        assert_eq!(found, expected);
    }
}
