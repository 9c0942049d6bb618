//! Counts rows in several sessions under one snapshot.

use super::catalog::{Catalog, CatalogRelation};
use super::dumped_objects::DumpedObjects;
use crate::psql::{Server, Sessions};
use crate::psql_session::PsqlSession;
use crate::sql::literal;
use anyhow::{Context, Error, Result, anyhow, bail};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Of the classes "lock not available", "insufficient privilege" and "undefined table".
const LOCKED: &str = "55P03";
const NOT_ALLOWED: &str = "42501";
const GONE: &str = "42P01";
const NO_ERROR: &str = "00000";

/// A table whose rows are counted, or a sequence that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountTask {
    Rows(CatalogRelation),
    Sequence(CatalogRelation),
}

impl CountTask {
    fn relation(&self) -> &CatalogRelation {
        match self {
            CountTask::Rows(relation) | CountTask::Sequence(relation) => relation,
        }
    }
}

/// The results, by the relation's name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: BTreeMap<(String, String), u64>,
    /// The last value, and `is_called`.
    pub sequences: BTreeMap<(String, String), (i64, bool)>,
}

/// The relations that the dump has data of, the largest first: a pure decision. The rows of a
/// partitioned table are counted in its partitions.
pub fn tasks(dumped: &DumpedObjects, catalog: &Catalog) -> Vec<CountTask> {
    let mut tasks = Vec::new();
    for (name, relation) in &catalog.relations {
        let counted = dumped.rows.contains_key(name)
            || relation.root.as_ref().is_some_and(|root| dumped.rows.contains_key(root));
        if relation.kind == 'r' && counted {
            tasks.push(CountTask::Rows(relation.clone()));
        } else if relation.kind == 'S' && dumped.sequences.contains_key(name) {
            tasks.push(CountTask::Sequence(relation.clone()));
        }
    }
    tasks.sort_by_key(|task| Reverse(task.relation().pages));
    tasks
}

/// What the sessions of a run have in common.
pub struct CountRun<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    pub name: &'a str,
    /// The encoding of names: UTF-8, or the server's own if it cannot convert.
    pub encoding: &'a str,
    pub bytewise: bool,
    /// How long to wait for a table that another session holds locked.
    pub lock_wait: Duration,
}

impl CountRun<'_> {
    /// Opens a session that sees all rows or fails, and reads tables rather than their indexes.
    pub fn open_session(&self) -> Result<PsqlSession> {
        let mut session = PsqlSession::open(self.server, self.database, &["-A", "-t"])?;
        if self.bytewise {
            session.set_bytewise();
        }
        // Without it, a session whose client is gone would count to the end.
        let check = if self.server.version.major >= 14 {
            "SET client_connection_check_interval = 2000;\n"
        } else {
            ""
        };
        session.send_text(&format!(
            "SET client_encoding = {};\nSET row_security = off;\nSET search_path = '';\n\
             SET quote_all_identifiers = off;\nSET client_min_messages = warning;\n\
             SET enable_indexscan = off;\nSET enable_indexonlyscan = off;\nSET enable_bitmapscan = off;\n\
             {check}",
            literal(self.encoding)
        ))?;
        Ok(session)
    }

    /// Runs all tasks, in so many sessions, under the snapshot.
    pub fn count(
        &self,
        tasks: Vec<CountTask>,
        jobs: NonZero<usize>,
        snapshot: &str,
    ) -> Result<Counts> {
        let workers = jobs.get().min(tasks.len());
        let shared = SharedCounts {
            tasks: Mutex::new(tasks.into()),
            counts: Mutex::default(),
            failed: Mutex::default(),
            failing: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    if let Err(error) = self.run_worker(&shared, snapshot) {
                        self.fail(&shared, error);
                    }
                });
            }
        });
        match shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(shared.counts.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Records the first failure, and ends all sessions.
    fn fail(&self, shared: &SharedCounts, error: Error) {
        shared.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        if !shared.failing.swap(true, Ordering::Relaxed) {
            self.server.end_sessions_or_warn(Sessions::Named(self.name));
        }
    }

    fn run_worker(&self, shared: &SharedCounts, snapshot: &str) -> Result<()> {
        let mut session = self.open_session()?;
        // The planner evaluates functions in the indexes of a table, which find names by the database's own path.
        session.send(
            b"RESET search_path;\nSET constraint_exclusion = off;\n\\set ON_ERROR_STOP 0\n",
        )?;
        loop {
            let next = shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(task) = next else { break };
            if shared.failing.load(Ordering::Relaxed) {
                bail!("another session has failed");
            }
            let answer = self.count_one(&mut session, &task, snapshot)?;
            let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
            record(&mut counts, &task, &answer)?;
        }
        session.close()
    }

    /// Each in a transaction of its own, so that no table is locked longer than it takes to count it.
    fn count_one(
        &self,
        session: &mut PsqlSession,
        task: &CountTask,
        snapshot: &str,
    ) -> Result<String> {
        session.send_text(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY\\; SET TRANSACTION SNAPSHOT {}\\; \
             SET LOCAL lock_timeout = {}\\; {};\n\\echo done :SQLSTATE\nROLLBACK;\n",
            literal(snapshot),
            self.lock_wait.as_millis(),
            count_query(task)
        ))?;
        let quoted = &task.relation().quoted;
        let mut answer = String::new();
        let state = loop {
            let line = session.line().with_context(|| format!("counting {quoted}"))?;
            match line.strip_prefix("done ") {
                Some(state) => break state.to_owned(),
                None => answer = line,
            }
        };
        match state.as_str() {
            NO_ERROR => Ok(answer),
            LOCKED => bail!(
                "{quoted} stayed locked for {} seconds, and was not counted; compare again when the lock \
                 is released, or wait longer (--lock-wait)",
                self.lock_wait.as_secs()
            ),
            NOT_ALLOWED => bail!(
                "this role may not read {quoted}, or not all of its rows (row security); \
                 compare as its owner, a superuser, or a role with BYPASSRLS and SELECT on it"
            ),
            GONE => bail!("{quoted} was dropped meanwhile; compare again"),
            _ => Err(session.reason().context(format!("counting {quoted} ({state})"))),
        }
    }
}

struct SharedCounts {
    tasks: Mutex<VecDeque<CountTask>>,
    counts: Mutex<Counts>,
    failed: Mutex<Option<Error>>,
    failing: AtomicBool,
}

fn count_query(task: &CountTask) -> String {
    let CatalogRelation { quoted, filter, .. } = task.relation();
    match task {
        CountTask::Rows(_) => format!(
            "SELECT pg_catalog.count(*), pg_catalog.pg_relation_filenode({}::pg_catalog.regclass) \
             FROM ONLY {quoted} {}",
            literal(quoted),
            filter.as_deref().unwrap_or_default()
        ),
        CountTask::Sequence(_) => format!("SELECT last_value, is_called::int FROM {quoted}"),
    }
}

/// Adds an answer. A table that was truncated or rewritten since the snapshot reads as empty under it.
fn record(counts: &mut Counts, task: &CountTask, answer: &str) -> Result<()> {
    let relation = task.relation();
    let name = (relation.schema.clone(), relation.name.clone());
    let odd = || anyhow!("unexpected answer for {}: '{answer}'", relation.quoted);
    let (first, second) = answer.split_once('|').ok_or_else(odd)?;
    match task {
        CountTask::Rows(_) => {
            if second != relation.filenode.to_string() {
                bail!(
                    "{} was truncated, replaced or rewritten meanwhile; compare again when no TRUNCATE \
                     or ALTER TABLE is running",
                    relation.quoted
                );
            }
            counts.rows.insert(name, first.parse().map_err(|_| odd())?);
        }
        CountTask::Sequence(_) => {
            let last = first.parse().map_err(|_| odd())?;
            counts.sequences.insert(name, (last, second == "1"));
        }
    }
    Ok(())
}
