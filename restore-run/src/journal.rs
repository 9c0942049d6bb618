//! The journal of a restore that is not complete: `DEPLOY/.restore/unfinished.json`.
//!
//! It lies in the deployment and not beside the bundle, which may be on a read-only share. As long
//! as it is there, `backup.sh` refuses: what it would back up is neither the old state nor the new.

use crate::options::Choices;
use crate::step::Step;
use anyhow::{Context, Result};
use bundle_format::report::LoadRecord;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a restore records of itself, so that another run can continue it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Where the bundle lay.
    pub bundle: PathBuf,
    /// Which bundle it is, wherever it lies.
    pub identity: String,
    /// Where it restores to: database, bucket and cache, without secrets.
    pub target: String,
    /// Which server the database is on, whatever its address; none where the server does not report it.
    pub server: Option<String>,
    /// The database that the application ran on before. Until the restore is complete, it must not run
    /// on another.
    pub serves: Option<u32>,
    /// When the restore began, RFC 3339, UTC.
    pub since: String,
    /// The last step up to which every one was finished.
    pub done: Step,
    /// How it is done, for a run that continues it.
    pub choices: Choices,
    /// The replacement of the database; none before it began.
    pub load: Option<Load>,
    /// Whether objects may have been added to the bucket, which was empty, beside the load.
    #[serde(default)]
    pub adds_objects: bool,
    /// Previous databases that this restore, and the unfinished ones that it replaces, have kept. They
    /// are dropped once the health check has passed.
    pub previous: Vec<u32>,
    /// Databases of the target's name that appeared after the restore began, and that it did not load. They
    /// are kept, and not dropped: nobody has confirmed that they may go.
    #[serde(default)]
    pub appeared: Vec<u32>,
    /// The application's services that were up when this restore, or one that it replaces, stopped them. None in a
    /// journal of an earlier version.
    #[serde(default)]
    pub ran: Option<Vec<String>>,
    /// Whether files of `.env`, `secrets/` or `certs/` were replaced.
    pub config: bool,
    /// Whether something was left out.
    pub incomplete: bool,
}

/// The replacement of the database, as it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The oid of the database to be replaced; none if there was none of that name.
    pub before: Option<u32>,
    /// Whether the load records the database that it puts in place. A journal of an earlier version lacks this.
    #[serde(default)]
    pub is_recorded: bool,
    /// The database that was loaded, as recorded.
    #[serde(default)]
    pub loaded: Option<LoadRecord>,
}

impl Load {
    /// At its beginning.
    pub fn replacing(before: Option<u32>) -> Self {
        Self { before, is_recorded: true, loaded: None }
    }
}

impl Journal {
    /// Adds databases that are kept until the health check has passed.
    pub fn add_previous(&mut self, oids: impl IntoIterator<Item = u32>) {
        for oid in oids {
            if !self.previous.contains(&oid) && !self.appeared.contains(&oid) {
                self.previous.push(oid);
            }
        }
    }

    /// Adds a database that is kept, and not dropped.
    pub fn add_appeared(&mut self, oid: Option<u32>) {
        self.appeared.extend(oid.filter(|oid| !self.appeared.contains(oid)));
    }

    /// Adds services that are up and about to be stopped. Those that an interrupted run has stopped are not up any more.
    pub fn add_ran(&mut self, names: &[String]) {
        let ran = self.ran.get_or_insert_default();
        let new: Vec<_> = names.iter().filter(|name| !ran.contains(name)).cloned().collect();
        ran.extend(new);
    }

    /// With what its load has recorded, where the journal does not have that yet.
    pub fn with_record(mut self, record: Option<LoadRecord>) -> Self {
        if let Some(load) = &mut self.load {
            load.loaded = load.loaded.or(record.filter(|_| load.is_recorded));
        }
        self
    }

    /// Whether a database appeared after the load began: it was not in place then, was not kept by the restore
    /// and is not the one that was loaded. Before the first load, the database in place is the one that the
    /// operator has confirmed.
    pub fn has_appeared(&self, oid: u32) -> bool {
        let Some(load) = self.load.filter(|load| load.is_recorded) else { return false };
        let is_loaded = load.loaded.is_some_and(|loaded| loaded.oid == oid);
        load.before != Some(oid) && !self.previous.contains(&oid) && !is_loaded
    }

    /// Reads it; none where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let what = || {
            format!(
                "reading {}, the journal of an unfinished restore; nothing was changed; to abandon that \
                 restore: bash {} --abandon",
                path.display(),
                path.with_file_name("../scripts/restore.sh").display()
            )
        };
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(what),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(what),
        }
    }

    /// Writes it, durably.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = pipe_kit::atomic::AtomicFile::create(path)?;
        file.write_all(&serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        pipe_kit::atomic::sync_directory(pipe_kit::atomic::directory_of(path))
    }

    /// Whether every step before `step` was finished.
    pub fn reaches(&self, step: Step) -> bool {
        self.done.number() + 1 >= step.number()
    }

    /// Records that a step is finished. It counts only where all steps before it are.
    pub fn finish(&mut self, step: Step) {
        if self.reaches(step) {
            self.done = self.done.max(step);
        }
    }

    /// The step that a run which continues begins with. As long as the old database is in place, everything
    /// is checked again before harm.
    pub fn next(&self) -> Step {
        match self.done.next() {
            Some(next) if next > Step::Database => next,
            Some(_) => Step::Preflight,
            None => Step::Health,
        }
    }
}

/// Removes the journal, if there is one.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A journal of a restore that has finished `done`.
    pub fn journal(done: Step) -> Journal {
        Journal {
            bundle: "/b/piprio_20260421T020000Z".into(),
            identity: "i".into(),
            target: "t".into(),
            server: None,
            serves: Some(7),
            since: "2026-04-21T02:00:00Z".into(),
            done,
            choices: Choices::default(),
            load: None,
            adds_objects: false,
            previous: vec![7],
            appeared: vec![],
            ran: Some(vec![]),
            config: false,
            incomplete: false,
        }
    }

    #[test]
    fn a_step_counts_only_where_none_before_it_is_missing() {
        let mut journal = journal(Step::Stop);
        assert!(journal.reaches(Step::Database) && !journal.reaches(Step::Objects));
        journal.finish(Step::Start);
        assert_eq!(journal.done, Step::Stop);
        for step in [Step::Database, Step::Objects, Step::Config, Step::Cache, Step::Start] {
            journal.finish(step);
        }
        assert!(journal.reaches(Step::Health));
        journal.finish(Step::Config);
        assert_eq!(journal.done, Step::Start);
    }

    #[test]
    fn a_run_continues_where_it_ended_and_before_the_swap_with_every_check() {
        for (done, next) in [
            (Step::Preflight, Step::Preflight),
            (Step::Stop, Step::Preflight),
            (Step::Database, Step::Objects),
            (Step::Cache, Step::Start),
            (Step::Start, Step::Health),
        ] {
            assert_eq!(journal(done).next(), next, "{done}");
        }
    }

    #[test]
    fn the_load_of_a_journal_of_an_earlier_version_has_no_record() {
        let load: Load = serde_json::from_str(r#"{"before":7}"#).unwrap();
        assert!(!load.is_recorded);
        let old = Journal { load: Some(load), ..journal(Step::Stop) };
        let text = serde_json::to_string(&old).unwrap().replace("\"appeared\":[],", "");
        let old: Journal = serde_json::from_str(&text).unwrap();
        assert!(!old.has_appeared(9));
        // Whatever lies there is of another restore.
        let read = old.clone().with_record(Some(LoadRecord { oid: 9, left_out: 1 }));
        assert_eq!(read, old);
    }

    #[test]
    fn what_appeared_is_never_among_what_is_dropped() {
        let mut journal = Journal { load: Some(Load::replacing(Some(8))), ..journal(Step::Stop) }
            .with_record(Some(LoadRecord { oid: 9, left_out: 0 }));
        let known = [7, 8, 9, 10].map(|oid| !journal.has_appeared(oid));
        assert_eq!(known, [true, true, true, false]);
        journal.add_appeared(Some(10));
        journal.add_appeared(Some(10));
        journal.add_previous([9, 10]);
        assert_eq!((journal.appeared, journal.previous), (vec![10], vec![7, 9]));
    }

    #[test]
    fn what_ran_before_the_first_run_stays_known_in_the_next() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut journal = journal(Step::Stop);
        journal.add_ran(&names("api worker"));
        journal.add_ran(&names("worker web"));
        assert_eq!(journal.ran, Some(names("api worker web")));
        let text = serde_json::to_string(&journal).unwrap();
        let old: Journal = serde_json::from_str(&text.replace("\"ran\":", "\"_\":")).unwrap();
        assert_eq!(old.ran, None);
    }

    #[test]
    fn is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        assert_eq!(Journal::read(&path).unwrap(), None);
        journal(Step::Config).write(&path).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), Some(journal(Step::Config)));
        std::fs::write(&path, "{").unwrap();
        assert!(Journal::read(&path).is_err());
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), None);
    }
}
