//! What is to be counted in the database, and the sessions that count it under one snapshot.

use super::database::{Database, Relation};
use super::holdings::Holdings;
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

/// A table whose rows are counted, or a sequence that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Rows(Relation),
    Sequence(Relation),
}

impl Task {
    fn relation(&self) -> &Relation {
        match self {
            Task::Rows(relation) | Task::Sequence(relation) => relation,
        }
    }
}

/// What was counted, by the relation's name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: BTreeMap<(String, String), u64>,
    /// The last value, and whether it was given out.
    pub sequences: BTreeMap<(String, String), (i64, bool)>,
}

/// Those that the dump tells something of, the largest first: a pure decision. The rows of a
/// partitioned table are counted in its partitions.
pub fn tasks(held: &Holdings, database: &Database) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (name, relation) in &database.relations {
        let counted = held.rows.contains_key(name)
            || relation.root.as_ref().is_some_and(|root| held.rows.contains_key(root));
        if relation.kind == 'r' && counted {
            tasks.push(Task::Rows(relation.clone()));
        } else if relation.kind == 'S' && held.sequences.contains_key(name) {
            tasks.push(Task::Sequence(relation.clone()));
        }
    }
    tasks.sort_by_key(|task| Reverse(task.relation().pages));
    tasks
}

/// What the sessions of a run have in common.
pub struct Run<'a> {
    pub server: &'a Server,
    pub database: &'a str,
    /// Of its sessions.
    pub name: &'a str,
    /// That the server knows names in: UTF-8, or its own where bytes have no meaning.
    pub encoding: &'a str,
    pub bytewise: bool,
    /// How long to wait for a table that somebody holds locked.
    pub lock_wait: Duration,
}

impl Run<'_> {
    /// Opens a session that looks at all rows, or fails, and at tables rather than at their indexes.
    ///
    /// # Errors
    /// If psql cannot be started.
    pub fn open(&self) -> Result<PsqlSession> {
        let mut session = PsqlSession::open(self.server, self.database, &["-A", "-t"])?;
        if self.bytewise {
            session.set_bytewise();
        }
        // A session whose client is gone ends, rather than count to the end.
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

    /// Counts all, in so many sessions, as the snapshot sees it.
    ///
    /// # Errors
    /// If a table stays locked, cannot be read whole, or was written anew meanwhile; if a session ends.
    pub fn count(&self, tasks: Vec<Task>, jobs: NonZero<usize>, snapshot: &str) -> Result<Counts> {
        let workers = jobs.get().min(tasks.len());
        let shared = Shared {
            tasks: Mutex::new(tasks.into()),
            counts: Mutex::default(),
            failed: Mutex::default(),
            failing: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    if let Err(error) = self.work(&shared, snapshot) {
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

    /// The first failure counts, and nobody goes on counting for nothing.
    fn fail(&self, shared: &Shared, error: Error) {
        shared.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        if !shared.failing.swap(true, Ordering::Relaxed) {
            self.server.end_sessions_or_warn(Sessions::Named(self.name));
        }
    }

    fn work(&self, shared: &Shared, snapshot: &str) -> Result<()> {
        let mut session = self.open()?;
        session.send(b"\\set ON_ERROR_STOP 0\n")?;
        loop {
            let next = shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(task) = next else { break };
            if shared.failing.load(Ordering::Relaxed) {
                bail!("another session has failed");
            }
            let answer = self.ask(&mut session, &task, snapshot)?;
            let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
            add(&mut counts, &task, &answer)?;
        }
        session.close()
    }

    /// Each in a transaction of its own, so that no table is held longer than it takes to count it.
    fn ask(&self, session: &mut PsqlSession, task: &Task, snapshot: &str) -> Result<String> {
        session.send_text(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY\\; SET TRANSACTION SNAPSHOT {}\\; \
             SET LOCAL lock_timeout = {}\\; {};\n\\echo done :SQLSTATE\nROLLBACK;\n",
            literal(snapshot),
            self.lock_wait.as_millis(),
            question(task)
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
                "{quoted} stayed locked for {} seconds, and was not counted; compare again when that has \
                 ended, or wait longer (--lock-wait)",
                self.lock_wait.as_secs()
            ),
            NOT_ALLOWED => bail!(
                "{quoted} may not be read, or not all of its rows: row security is in force for this role; \
                 compare as its owner, a superuser, or a role with BYPASSRLS and SELECT on it"
            ),
            GONE => bail!("{quoted} was dropped meanwhile; compare again"),
            _ => Err(session.reason().context(format!("counting {quoted} ({state})"))),
        }
    }
}

struct Shared {
    tasks: Mutex<VecDeque<Task>>,
    counts: Mutex<Counts>,
    failed: Mutex<Option<Error>>,
    failing: AtomicBool,
}

fn question(task: &Task) -> String {
    let Relation { quoted, filter, .. } = task.relation();
    match task {
        Task::Rows(_) => format!(
            "SELECT pg_catalog.count(*), pg_catalog.pg_relation_filenode({}::pg_catalog.regclass) \
             FROM ONLY {quoted} {}",
            literal(quoted),
            filter.as_deref().unwrap_or_default()
        ),
        Task::Sequence(_) => format!("SELECT last_value, is_called::int FROM {quoted}"),
    }
}

/// A table that was emptied or written anew since the snapshot reads as empty under it.
fn add(counts: &mut Counts, task: &Task, answer: &str) -> Result<()> {
    let relation = task.relation();
    let name = (relation.schema.clone(), relation.name.clone());
    let odd = || anyhow!("the server says '{answer}' of {}", relation.quoted);
    let (first, second) = answer.split_once('|').ok_or_else(odd)?;
    match task {
        Task::Rows(_) => {
            if second != relation.filenode.to_string() {
                bail!(
                    "{} was emptied, replaced or written anew meanwhile; compare again when no TRUNCATE \
                     or ALTER TABLE is at work",
                    relation.quoted
                );
            }
            counts.rows.insert(name, first.parse().map_err(|_| odd())?);
        }
        Task::Sequence(_) => {
            let last = first.parse().map_err(|_| odd())?;
            counts.sequences.insert(name, (last, second == "1"));
        }
    }
    Ok(())
}
