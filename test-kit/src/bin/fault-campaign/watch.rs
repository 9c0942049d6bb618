//! The operator's side of a deployment: a receiver of its pings and messages, and the file of its metrics. After each
//! run it is checked that they got what they should: one ping at its start and one at its end, one message and one
//! step of the counter for a failure, one message for the recovery.

use crate::operator::{End, Known, Sent};
use crate::script::Script;
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SubsecRound, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use test_kit::receiver::{Manner, Receiver, Request, lines};

/// In the deployment's directory.
const METRICS: &str = "metrics/piprio.prom";

/// An operator was sent something else than there was.
#[derive(Debug)]
pub struct Alarm(String);

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alarm: {}", self.0)
    }
}

impl std::error::Error for Alarm {}

/// A run that has ended.
pub struct Ended<'a> {
    pub script: Script,
    pub launched: DateTime<Utc>,
    /// None for one that was killed.
    pub status: Option<i32>,
    /// Whether its log has a text; it may take a moment until it is read.
    pub logged: &'a dyn Fn(&str) -> bool,
}

#[derive(Deserialize)]
struct Message {
    event: String,
    run: String,
    status: Option<i32>,
    text: String,
}

/// The record of a run, as far as it is needed here.
#[derive(Deserialize)]
struct Record {
    started: DateTime<Utc>,
    status: Option<i32>,
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    stage: String,
    status: Option<i32>,
}

/// What is watched of a deployment.
pub struct Watch {
    receiver: Receiver,
    /// The deployment's directory.
    dir: PathBuf,
    known: Mutex<BTreeMap<Script, Known>>,
}

impl Watch {
    /// Adds the settings to a deployment.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn new(dir: &Path) -> Result<Self> {
        let receiver = Receiver::start(Manner::Status(200))?;
        let address = receiver.address();
        let env = std::fs::OpenOptions::new().append(true).open(dir.join(".env"));
        write!(
            env.context("opening .env")?,
            "\nNOTIFY_PING=http://{address}/{{run}}\nNOTIFY_URL=http://{address}/message\nMETRICS_FILE={METRICS}\n"
        )
        .context("writing .env")?;
        std::fs::create_dir(dir.join("metrics")).context("a directory for metrics")?;
        Ok(Self { receiver, dir: dir.to_owned(), known: Mutex::default() })
    }

    /// Takes what was sent since the last run ended.
    ///
    /// # Errors
    /// [`Alarm`] if it is not what should have been sent.
    pub fn check(&self, run: &Ended) -> Result<()> {
        let requests = self.receiver.drain()?;
        let end = self.end_of(run)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&run.script).copied().unwrap_or_default();
        let checked = sent(run.script, &requests)
            .and_then(|sent| before.after(&sent, end).map_err(|why| format!("it should be {why}")))
            .and_then(|after| {
                known.insert(run.script, after);
                self.check_counters(&known)
            });
        checked.map_err(|why| {
            let (name, sent) = (run.script.name(), lines(&requests).join(", "));
            Alarm(format!("{name}, {end:?}, before it {before:?}; sent: {sent}; {why}")).into()
        })
    }

    /// Whether the next run of a kind that succeeds is a recovery.
    pub fn is_failing(&self, script: Script) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&script).is_some_and(|known| known.is_failing)
    }

    fn end_of(&self, run: &Ended) -> Result<End> {
        let name = run.script.name();
        let Some(status) = run.status else {
            let Some(record) = self.record_as_done(run) else { return Ok(End::Killed(false)) };
            // Not by the log: what the run has written may still be in its own pipe when it is killed.
            let last = record.stages.last().filter(|last| last.stage == run.script.last_stage());
            ensure!(last.is_some_and(|last| last.status == Some(0)), "recorded as done too early");
            return Ok(End::Killed(true));
        };
        // A signal may come before the program has read its settings.
        let begun = if status > 128 { format!("{name}-run: [1/") } else { format!("{name}-run: ") };
        Ok(End::Status(status, status == 0 || (run.logged)(&begun)))
    }

    fn record_as_done(&self, run: &Ended) -> Option<Record> {
        let file = self.dir.join(format!(".restore/last-{}.json", run.script.name()));
        let record = serde_json::from_slice::<Record>(&std::fs::read(file).unwrap_or_default());
        let is_it = |record: &Record| record.started >= run.launched.trunc_subsecs(0);
        record.ok().filter(|record| is_it(record) && record.status == Some(0))
    }

    /// The counters are what was reported.
    fn check_counters(&self, known: &BTreeMap<Script, Known>) -> Result<(), String> {
        let text = std::fs::read_to_string(self.dir.join(METRICS)).unwrap_or_default();
        for script in Script::ALL {
            let name = format!("piprio_{}_failed_runs_total", script.name());
            let counted = counter(&text, &name);
            let failures = known.get(&script).map_or(0, |known| known.failures);
            if counted != Some(failures) {
                return Err(format!("{name} is {counted:?}, and {failures} were reported"));
            }
        }
        Ok(())
    }
}

/// A counter's value; 0 where there is none yet.
fn counter(text: &str, name: &str) -> Option<u64> {
    let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    text.lines().find(is_it).map_or(Some(0), |line| line.rsplit(' ').next()?.parse().ok())
}

/// What requests of a run's time are.
///
/// # Errors
/// Where one is of another run, or no such request.
fn sent(script: Script, requests: &[Request]) -> Result<Sent, String> {
    let mut sent = Sent::default();
    for Request { line, body, .. } in requests {
        if line != "POST /message" {
            let ping = line.strip_prefix(&format!("POST /{}/", script.name()));
            sent.pings.push(ping.ok_or("no ping of another run")?.to_owned());
            continue;
        }
        let message: Message =
            serde_json::from_str(body).map_err(|error| format!("a message: {error}: {body}"))?;
        let how = match (message.event.as_str(), message.status) {
            ("recovery", _) => " succeeded, after failures since ".to_owned(),
            (_, Some(status)) => format!(" failed with status {status}"),
            (_, None) => " was killed, or the host went down".to_owned(),
        };
        if message.run != script.name() || !message.text.contains(&how) {
            return Err(format!("a message with {how:?}, not {body}"));
        }
        sent.messages.push((message.event, message.status));
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_with_and_without_labels() {
        let text = "# TYPE a_total counter\na_total{domain=\"d\"} 12\nb_total 3\na_total_x 9\n";
        assert_eq!(counter(text, "a_total"), Some(12));
        assert_eq!(counter(text, "b_total"), Some(3));
        assert_eq!(counter(text, "c_total"), Some(0));
        assert_eq!(counter("a_total x\n", "a_total"), None);
    }

    #[test]
    fn requests_are_pings_and_messages_of_one_kind_of_run() {
        let request = |line: &str, body: &str| Request {
            line: line.to_owned(),
            head: Vec::new(),
            body: body.to_owned(),
        };
        let failure = r#"{"event":"failure","run":"backup","status":1,"text":"d: backup failed with status 1: x"}"#;
        let requests = [
            request("POST /backup/start", ""),
            request("POST /message", failure),
            request("POST /backup/1", "log"),
        ];
        let expected = Sent {
            pings: vec!["start".to_owned(), "1".to_owned()],
            messages: vec![("failure".to_owned(), Some(1))],
        };
        assert_eq!(sent(Script::Backup, &requests), Ok(expected));
        assert!(sent(Script::Restore, &requests[..1]).is_err());
        assert!(sent(Script::Restore, &requests[1..2]).is_err());
        let other = failure.replace("status 1", "status 4");
        assert!(sent(Script::Backup, &[request("POST /message", &other)]).is_err());
    }
}
