//! Whether the backups and drills of this deployment are scheduled, and when they run next.

use super::command::{Owner, Work};
use super::cron;
use super::jobs::{Job, Starter};
use super::line::{Line, Status};
use super::place::Place;
use crate::program::{LIMIT, ask};
use chrono::NaiveDateTime;
use std::process::Command;

/// What a timer of systemd does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// Whether it is active.
    pub is_active: bool,
    /// Whether it starts with the system, as systemd names that: `enabled`, `disabled`.
    pub file_state: Option<String>,
    /// When it starts its service next, as systemd prints it.
    pub next: Option<String>,
}

/// What starts jobs on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Whether it is only being prepared (`DESTDIR`), so that nothing runs yet.
    pub is_prepared: bool,
    /// Whether systemd runs.
    pub has_systemd: bool,
    /// Whether a cron daemon runs; none if that is not known.
    pub has_cron: Option<bool>,
    /// The state of each timer, by its name.
    pub timers: Vec<(String, Timer)>,
}

impl Host {
    /// Asks systemd for the timers, and looks for a cron daemon.
    pub fn look(jobs: &[Job], is_prepared: bool) -> Self {
        if is_prepared {
            return Self { is_prepared, ..Self::default() };
        }
        let has_systemd = std::path::Path::new("/run/systemd/system").is_dir();
        let names = jobs.iter().filter_map(|job| match &job.starter {
            Starter::Timer(name) | Starter::Offered(name) if has_systemd => Some(name.clone()),
            _ => None,
        });
        let timers = names.map(|name| (name.clone(), timer(&name))).collect();
        Self { is_prepared, has_systemd, has_cron: has_cron(), timers }
    }

    fn state(&self, timer: &str) -> Option<&Timer> {
        self.timers.iter().find(|(name, _)| name == timer).map(|(_, state)| state)
    }

    /// Whether a job is one: a timer that is only offered counts when it was started by hand.
    fn runs(&self, starter: &Starter) -> bool {
        starter.offered().is_none_or(|timer| self.state(timer).is_some_and(|state| state.is_active))
    }
}

fn timer(name: &str) -> Timer {
    let mut command = Command::new("systemctl");
    let properties = ["ActiveState", "UnitFileState", "NextElapseUSecRealtime"];
    command.arg("show").args(properties.iter().flat_map(|property| ["-p", property])).arg(name);
    read_timer(&ask(&mut command, "", LIMIT).map(|answer| answer.text).unwrap_or_default())
}

fn read_timer(text: &str) -> Timer {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.filter(|value| !value.is_empty())
    };
    Timer {
        is_active: value("ActiveState") == Some("active"),
        file_state: value("UnitFileState").map(str::to_owned),
        next: value("NextElapseUSecRealtime").map(str::to_owned),
    }
}

/// Other users' processes may be hidden from all but root.
fn has_cron() -> Option<bool> {
    const DAEMONS: [&str; 6] = ["cron", "crond", "fcron", "dcron", "bcron", "systemd-cron"];
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let names = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    let runs = names.into_iter().any(|name| DAEMONS.contains(&name.trim()));
    (runs || rustix::process::geteuid().is_root()).then_some(runs)
}

/// The line about one kind of work; none for drills that nobody expects.
pub fn line(
    work: Work,
    is_expected: bool,
    jobs: &[Job],
    host: &Host,
    now: NaiveDateTime,
    place: &Place,
) -> Option<Line> {
    let (name, what, options) = match work {
        Work::Backup => ("schedule", "backup", ["--timer", "--cron"]),
        Work::Drill => ("schedule drills", "drill", ["--drill-timer", "--drill-cron"]),
        // A backup is followed by a copy.
        Work::Ship => ("schedule copies", "shipment", ["--timer", "--cron"]),
    };
    let of = |owner: Owner| jobs.iter().filter(move |job| job.work == work && job.owner == owner);
    let offered = of(Owner::Ours).find_map(|job| job.starter.offered());
    let install = match offered.filter(|_| host.has_systemd) {
        Some(timer) => enable(timer),
        None => place.install(&[if host.has_systemd { options[0] } else { options[1] }]),
    };
    let ours = of(Owner::Ours).filter(|job| host.runs(&job.starter));
    let lines: Vec<Line> = ours.map(|job| of_job(name, job, host, now, &install)).collect();
    // One that works is enough.
    let best = |status: Status| lines.iter().find(|line| line.status == status).cloned();
    let known = best(Status::Ok).or_else(|| best(Status::Note)).or_else(|| best(Status::Finding));
    match (known, of(Owner::Unknown).next()) {
        (Some(line), _) => Some(line),
        (None, Some(job)) if is_expected => {
            let (file, script) = (job.file.display(), work.script());
            let found = format!(
                "{file} starts a scripts/{script}; whether it is this deployment's is not known"
            );
            Some(Line::note(name, found))
        }
        (None, None) if is_expected => {
            let found = format!("no {what} of this deployment is scheduled, by a timer or by cron");
            Some(Line::finding(name, found, install))
        }
        (None, _) => None,
    }
}

fn of_job(name: &str, job: &Job, host: &Host, now: NaiveDateTime, install: &str) -> Line {
    let file = job.file.display();
    match &job.starter {
        Starter::Timer(timer) if host.is_prepared => Line::ok(name, format!("{timer}, in {file}")),
        Starter::Timer(timer) if !host.has_systemd => {
            let found = format!("systemd does not run here, so that {timer} starts nothing");
            Line::finding(name, found, install)
        }
        Starter::Timer(timer) | Starter::Offered(timer) => {
            of_timer(name, timer, host.state(timer).unwrap_or(&Timer::default()))
        }
        Starter::UserTimer(timer) => {
            let found = format!(
                "{timer} of the user's systemd, in {file}; whether it is active while the user is not logged in is not asked"
            );
            Line::note(name, found).with_command("systemctl --user list-timers")
        }
        Starter::Cron(_) if host.has_cron == Some(false) => {
            let found = format!("no cron daemon runs here, so that {file} starts nothing");
            Line::finding(name, found, "systemctl enable --now cron")
        }
        Starter::Cron(fields) => {
            let next = cron::next(fields, now);
            let at = next.map(|next| format!(", next: {}", next.format("%Y-%m-%d %H:%M")));
            let found = format!("cron runs it at {fields}{}, by {file}", at.unwrap_or_default());
            match (next, host.has_cron.is_some() || host.is_prepared) {
                (None, _) => Line::note(name, format!("{found}; when that is next is not known")),
                (_, false) => {
                    let found = format!("{found}; whether a cron daemon runs is not known");
                    Line::note(name, found)
                }
                (Some(_), true) => Line::ok(name, found),
            }
        }
    }
}

fn enable(timer: &str) -> String {
    format!("systemctl enable --now {}", shell_words::quote(timer))
}

fn of_timer(name: &str, timer: &str, state: &Timer) -> Line {
    if !state.is_active {
        return Line::finding(name, format!("{timer} is not active"), enable(timer));
    }
    let next = state.next.as_deref().unwrap_or("at a time that systemd does not know yet");
    let found = format!("{timer} runs next: {next}");
    match state.file_state.as_deref() {
        Some("enabled") => Line::ok(name, found),
        Some(other @ ("disabled" | "enabled-runtime" | "linked" | "linked-runtime")) => {
            let found = format!("{found}; but it is {other}, and not active after the next boot");
            Line::finding(name, found, format!("systemctl enable {}", shell_words::quote(timer)))
        }
        _ => Line::note(name, format!("{found}; whether it starts with the system is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(starter: Starter) -> Job {
        Job {
            work: Work::Backup,
            owner: Owner::Ours,
            starter,
            file: "/etc/cron.d/piprio-backup".into(),
        }
    }

    fn cron() -> Job {
        job(Starter::Cron("0 4 * * *".into()))
    }

    fn timer() -> Job {
        job(Starter::Timer("piprio-backup.timer".into()))
    }

    fn found(jobs: &[Job], host: &Host) -> Line {
        let now = "2026-11-29T16:40:00".parse().unwrap();
        line(Work::Backup, true, jobs, host, now, &Place::new("/d".as_ref())).unwrap()
    }

    #[test]
    fn a_missing_schedule_names_what_this_host_can_run() {
        let systemd = Host { has_systemd: true, ..Host::default() };
        for (host, command) in [
            (&systemd, "scripts/install.sh --timer /d"),
            (&Host::default(), "scripts/install.sh --cron /d"),
        ] {
            let line = found(&[], host);
            assert_eq!((line.status, line.command.as_deref()), (Status::Finding, Some(command)));
        }
        let now = "2026-11-29T16:40:00".parse().unwrap();
        let drills = |is_expected| {
            let place = Place::new("/d".as_ref());
            line(Work::Drill, is_expected, &[cron()], &Host::default(), now, &place)
        };
        assert_eq!(drills(false), None);
        let command = drills(true).unwrap().command;
        assert_eq!(command.as_deref(), Some("scripts/install.sh --drill-cron /d"));
    }

    #[test]
    fn a_job_that_nothing_starts_is_a_finding() {
        let line = found(&[cron()], &Host { has_cron: Some(true), ..Host::default() });
        let expected =
            "cron runs it at 0 4 * * *, next: 2026-11-30 04:00, by /etc/cron.d/piprio-backup";
        assert_eq!((line.status, line.found.as_str()), (Status::Ok, expected));
        let line = found(&[cron()], &Host { has_cron: Some(false), ..Host::default() });
        assert_eq!(line.command.as_deref(), Some("systemctl enable --now cron"));
        let line = found(&[timer()], &Host::default());
        assert_eq!(line.command.as_deref(), Some("scripts/install.sh --cron /d"));
        let state = |is_active| of_state(is_active, "enabled");
        let line = found(&[timer()], &state(true));
        assert_eq!(line.status, Status::Ok);
        assert_eq!(line.found, "piprio-backup.timer runs next: Mon 2026-11-30 04:07:12 UTC");
        let line = found(&[timer()], &state(false));
        assert_eq!(line.command.as_deref(), Some("systemctl enable --now piprio-backup.timer"));
        // One that works is enough.
        let both = found(&[timer(), cron()], &Host { has_cron: Some(true), ..state(false) });
        assert_eq!(both.status, Status::Ok);
        let prepared = Host { is_prepared: true, ..Host::default() };
        assert_eq!(found(&[timer()], &prepared).status, Status::Ok);
    }

    fn of_state(is_active: bool, file_state: &str) -> Host {
        let next = Some("Mon 2026-11-30 04:07:12 UTC".to_owned());
        let file_state = Some(file_state.to_owned());
        let timers = vec![("piprio-backup.timer".into(), Timer { is_active, file_state, next })];
        Host { has_systemd: true, timers, ..Host::default() }
    }

    #[test]
    fn a_timer_that_a_template_offers_counts_once_it_is_active() {
        let name = "piprio-backup@srv-my\\x2dapp.timer";
        let offered = [job(Starter::Offered(name.into()))];
        let of = |is_active| {
            let state = Timer { is_active, file_state: Some("disabled".into()), next: None };
            Host { has_systemd: true, timers: vec![(name.into(), state)], ..Host::default() }
        };
        let line = found(&offered, &of(false));
        assert_eq!(line.found, "no backup of this deployment is scheduled, by a timer or by cron");
        let enable = "systemctl enable --now 'piprio-backup@srv-my\\x2dapp.timer'";
        assert_eq!(line.command.as_deref(), Some(enable));
        let line = found(&offered, &of(true));
        assert!(line.found.contains("but it is disabled"), "{}", line.found);
        let enable = "systemctl enable 'piprio-backup@srv-my\\x2dapp.timer'";
        assert_eq!(line.command.as_deref(), Some(enable));
        // Without systemd, a template offers nothing.
        let line = found(&offered, &Host::default());
        assert_eq!(line.command.as_deref(), Some("scripts/install.sh --cron /d"));
        // Drills and copies that nobody scheduled are no finding.
        let now = "2026-11-29T16:40:00".parse().unwrap();
        let ship = [Job { work: Work::Ship, ..offered[0].clone() }];
        let place = Place::new("/d".as_ref());
        assert_eq!(super::line(Work::Ship, false, &ship, &of(false), now, &place), None);
    }

    #[test]
    fn a_timer_that_does_not_start_with_the_system_is_a_finding() {
        let command = |state| found(&[timer()], &of_state(true, state)).command;
        let enable = Some("systemctl enable piprio-backup.timer".to_owned());
        assert_eq!(command("disabled"), enable);
        assert_eq!(command("enabled-runtime"), enable);
        assert_eq!(command("enabled"), None);
        assert_eq!(found(&[timer()], &of_state(true, "static")).status, Status::Note);
        assert_eq!(found(&[timer()], &of_state(true, "")).status, Status::Note);
    }

    #[test]
    fn what_is_not_known_of_a_schedule_is_a_note() {
        let runs = Host { has_cron: Some(true), ..Host::default() };
        // Other users' processes may be hidden.
        let hidden = found(&[cron()], &Host::default());
        assert_eq!((hidden.status, hidden.command), (Status::Note, None));
        let prepared = Host { is_prepared: true, ..Host::default() };
        assert_eq!(found(&[cron()], &prepared).status, Status::Ok);
        for fields in ["@reboot", "0 25 * * *", "0 4 31 2 *"] {
            let line = found(&[job(Starter::Cron(fields.into()))], &runs);
            assert_eq!(line.status, Status::Note, "{fields}");
        }
        let user = found(&[job(Starter::UserTimer("x.timer".into()))], &runs);
        assert_eq!(user.status, Status::Note);
        // It may be ours: a command would add a second schedule.
        let unknown = Job { owner: Owner::Unknown, ..cron() };
        let line = found(std::slice::from_ref(&unknown), &runs);
        assert_eq!((line.status, line.command), (Status::Note, None));
        assert_eq!(found(&[unknown, cron()], &runs).status, Status::Ok);
    }

    #[test]
    fn what_systemctl_prints_is_read() {
        let text = "ActiveState=active\nUnitFileState=enabled\nNextElapseUSecRealtime=Mon 2026-11-30 04:07:12 UTC\n";
        let next = Some("Mon 2026-11-30 04:07:12 UTC".to_owned());
        assert_eq!(
            read_timer(text),
            Timer { is_active: true, file_state: Some("enabled".into()), next }
        );
        assert_eq!(read_timer("ActiveState=inactive\nNextElapseUSecRealtime=\n"), Timer::default());
        assert_eq!(read_timer(""), Timer::default());
    }
}
