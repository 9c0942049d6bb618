//! What is written for cron and systemd about this deployment.

use super::command::{Owner, Work, is_same, work};
use super::cron;
use super::place::Place;
use super::templates;
use crate::program::{Answer, LIMIT, ask};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who starts a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Starter {
    /// A timer of systemd, by its name.
    Timer(String),
    /// A timer that a template of the package makes for this deployment, and that nobody has enabled.
    Offered(String),
    /// A timer of the user's own systemd, by its name.
    UserTimer(String),
    /// A line of a cron table, by the fields before its command.
    Cron(String),
}

impl Starter {
    /// The timer that a template offers.
    pub fn offered(&self) -> Option<&str> {
        match self {
            Self::Offered(timer) => Some(timer),
            _ => None,
        }
    }
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
    let units = UNITS.map(|dir| root.join(dir));
    let mut jobs = timers(place, units.iter().cloned(), Starter::Timer);
    jobs.extend(of_templates(place, &units));
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
    let mut jobs = Vec::new();
    for (timer, text) in services(dirs) {
        // A template alone starts nothing.
        if name_of(&timer).contains("@.") {
            continue;
        }
        let dir = text.lines().find_map(|line| line.strip_prefix("WorkingDirectory="));
        let is_there = dir.is_some_and(|dir| is_same(Path::new(dir), place.dir()));
        let work = command_of(&text)
            .and_then(|command| work(place, command, written(place, &text), is_there));
        let starter = starter(name_of(&timer));
        jobs.extend(work.map(|(work, owner)| Job { work, owner, starter, file: timer }));
    }
    jobs
}

/// Timers of this deployment that templates make, whose command names the instance as a path (`%f`).
fn of_templates(place: &Place, units: &[PathBuf]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (timer, text) in services(units.iter().cloned()) {
        let template = name_of(&timer);
        let command = command_of(&text).filter(|command| command.contains("%f"));
        let command = command.map(|text| text.replace("%f", &place.dir().to_string_lossy()));
        let Some((work, owner)) = command.and_then(|text| work(place, &text, None, false)) else {
            continue;
        };
        jobs.extend(templates::instances(place, &template).into_iter().map(|name| {
            let is_enabled = templates::is_enabled(units, &name);
            let starter = if is_enabled { Starter::Timer(name) } else { Starter::Offered(name) };
            Job { work, owner, starter, file: timer.clone() }
        }));
    }
    jobs
}

/// The timers that have a service of the same name, each with that service's text. The first of a name counts.
fn services(dirs: impl Iterator<Item = PathBuf>) -> Vec<(PathBuf, String)> {
    let (mut services, mut seen) = (Vec::new(), BTreeSet::new());
    for file in dirs.flat_map(|dir| files(&dir)) {
        let timer = file.with_extension("timer");
        let is_service = file.extension().is_some_and(|extension| extension == "service");
        if is_service && seen.insert(name_of(&timer)) && timer.is_file() {
            services.push((timer, std::fs::read_to_string(&file).unwrap_or_default()));
        }
    }
    services
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn command_of(service: &str) -> Option<&str> {
    service.lines().find_map(|line| line.strip_prefix("ExecStart="))
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
    fn the_templates_of_the_package_offer_timers_and_enabled_ones_are_timers() {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("usr/lib/systemd/system");
        std::fs::create_dir_all(&units).unwrap();
        let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
        for entry in std::fs::read_dir(packaged).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), units.join(entry.file_name())).unwrap();
        }
        let wants = root.path().join("etc/systemd/system/timers.target.wants");
        std::fs::create_dir_all(&wants).unwrap();
        let drill = "piprio-backup-drill@srv-my\\x2dapp.timer";
        let target = "/usr/lib/systemd/system/piprio-backup-drill@.timer";
        std::os::unix::fs::symlink(target, wants.join(drill)).unwrap();
        std::os::unix::fs::symlink(target, wants.join("piprio-backup@srv-other.timer")).unwrap();
        let jobs = find(&Place::new("/srv/my-app".as_ref()), root.path());
        let found: Vec<_> = jobs.iter().map(|job| (job.work, job.owner, &job.starter)).collect();
        let offered = |name: &str| Starter::Offered(format!("{name}@srv-my\\x2dapp.timer"));
        assert_eq!(
            found,
            [
                (Work::Drill, Owner::Ours, &Starter::Timer(drill.into())),
                (Work::Ship, Owner::Ours, &offered("piprio-backup-ship")),
                (Work::Backup, Owner::Ours, &offered("piprio-backup")),
            ]
        );
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
