//! Copies tables out: a worker's session, which reads them under the run's snapshot as pg_dump does.

use super::catalog::{SourceSequence, SourceTable};
use super::run::DumpRun;
use super::section_writer::{SectionWriter, Sink};
use crate::psql_session::PsqlSession;
use crate::sql::literal;
use anyhow::{Context, Result, bail};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What pg_dump sets, so that the database's own settings do not change how values are written.
const SETUP: &str = "SET DateStyle = ISO;\n\
     SET IntervalStyle = postgres;\nSET extra_float_digits = 3;\nSET synchronize_seqscans = off;\n\
     SET row_security = off;\nSET search_path = '';\nSET lc_monetary = 'C';\n\
     SET client_min_messages = warning;\n";
const UTF8: &str = "UTF8";
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Of the class "lock not available".
const LOCKED: &str = "55P03";
const NO_ERROR: &str = "00000";
/// Sequences that are read in one transaction: each one is locked until its end.
const SEQUENCES: usize = 100;

pub fn open_session(run: &DumpRun<'_>) -> Result<PsqlSession> {
    let mut session = PsqlSession::open(run.server, run.database, &["-A", "-t"])?;
    session.send(SETUP.as_bytes())?;
    if run.is_bytewise() {
        session.set_bytewise();
    }
    let encoding = if run.is_bytewise() { &run.encoding } else { UTF8 };
    session.send_text(&format!("SET client_encoding = {};\n", literal(encoding)))?;
    Ok(session)
}

/// A worker's session.
pub struct Copier<'a> {
    run: &'a DumpRun<'a>,
    session: PsqlSession,
    snapshot: &'a str,
}

/// Rows of a table, and the bytes of their lines.
pub struct Copied {
    pub rows: u64,
    pub bytes: u64,
}

impl<'a> Copier<'a> {
    pub fn open(run: &'a DumpRun<'a>, snapshot: &'a str) -> Result<Self> {
        Ok(Self { run, session: open_session(run)?, snapshot })
    }

    pub fn close(self) -> Result<()> {
        self.session.close()
    }

    /// Writes one COPY block, whole or for a range of pages.
    ///
    /// # Errors
    /// What was written to the section by then is not a section.
    pub fn copy<S: Sink>(
        &mut self,
        table: &SourceTable,
        pages: Option<&Range<Option<u64>>>,
        section: &mut SectionWriter<'_, S>,
    ) -> Result<Copied> {
        self.copy_out(table, pages, section)
            .with_context(|| format!("copying table {}", table.quoted))
    }

    fn copy_out<S: Sink>(
        &mut self,
        table: &SourceTable,
        pages: Option<&Range<Option<u64>>>,
        section: &mut SectionWriter<'_, S>,
    ) -> Result<Copied> {
        self.lock(table)?;
        section.write(&self.encoded(&entry_head(table))?)?;
        let begin = section.bytes;
        self.session.send_text(&copy_statement(table, pages, &self.run.encoding))?;
        self.session.send(b"\\echo '\\\\.'\n")?;
        let rows = self.rows(section)?;
        // The bytes read include the line that ends the data.
        let bytes = section.bytes - begin - 3;
        section.write(b"\n\n")?;
        self.session.send(b"COMMIT;\n")?;
        Ok(Copied { rows, bytes })
    }

    /// Begins a transaction under the snapshot and locks the table in it. The snapshot alone does not
    /// protect the table: truncated or rewritten by another session, it would read as empty.
    fn lock(&mut self, table: &SourceTable) -> Result<()> {
        let begin = format!(
            "\\set ON_ERROR_STOP 0\n{}\\; LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT\\; \
             SELECT {name}::pg_catalog.regclass::pg_catalog.oid, pg_catalog.pg_relation_filenode({name}::pg_catalog.regclass);\n\
             \\echo done :SQLSTATE\n\\set ON_ERROR_STOP 1\n",
            self.begin_statement(),
            table.quoted,
            name = literal(&table.quoted)
        );
        let until = Instant::now() + self.run.lock_wait;
        let mut pause = PAUSES[0];
        loop {
            self.session.send_text(&begin)?;
            let mut found = None;
            let state = loop {
                let line = self.session.line()?;
                match line.strip_prefix("done ") {
                    Some(state) => break state.to_owned(),
                    None => found = Some(line),
                }
            };
            match state.as_str() {
                NO_ERROR => return check_unchanged(table, found.as_deref()),
                LOCKED if Instant::now() < until => {
                    self.session.send(b"ROLLBACK;\n")?;
                    self.run.fail_if_abandoned()?;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSES[1]);
                }
                LOCKED => bail!(
                    "it stayed locked for {} seconds{}; dump again when the lock is released, or wait \
                     longer (--lock-wait)",
                    self.run.lock_wait.as_secs(),
                    self.run.lock_holders(Some(table.oid))
                ),
                _ => return Err(self.session.reason()),
            }
        }
    }

    fn begin_statement(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY\\; SET TRANSACTION SNAPSHOT {}",
            literal(self.snapshot)
        )
    }

    /// Reads rows up to the line that ends them. Nothing follows it before psql gets more input, and no
    /// row is such a line: COPY doubles every backslash of its data.
    fn rows<S: Sink>(&mut self, section: &mut SectionWriter<'_, S>) -> Result<u64> {
        let (session, run) = (&mut self.session, self.run);
        let mut tail = [b'\n'; 4];
        let mut rows = 0;
        loop {
            let mut n = 0;
            section.fill(|buffer| {
                n = session.read(buffer)?;
                let read = &buffer[..n];
                rows += memchr::memchr_iter(b'\n', read).count() as u64;
                let kept = n.min(4);
                tail.rotate_left(kept);
                tail[4 - kept..].copy_from_slice(&read[n - kept..]);
                Ok(n)
            })?;
            run.bar.inc(n as u64);
            if tail == *b"\n\\.\n" {
                return Ok(rows - 1);
            }
            if n == 0 {
                return Err(session.reason());
            }
        }
    }

    /// Writes the values of all sequences.
    pub fn sequences<S: Sink>(
        &mut self,
        sequences: &[SourceSequence],
        section: &mut SectionWriter<'_, S>,
    ) -> Result<()> {
        for some in sequences.chunks(SEQUENCES) {
            let values: Vec<String> = some
                .iter()
                .map(|s| {
                    format!("SELECT last_value::text || ', ' || is_called::text FROM {}", s.quoted)
                })
                .collect();
            self.session.send_text(&format!(
                "{};\nSET LOCAL lock_timeout = {};\n{};\nCOMMIT;\n",
                self.begin_statement(),
                self.run.lock_wait.as_millis(),
                values.join(";\n")
            ))?;
            let mut text = String::new();
            for sequence in some {
                let value = self
                    .session
                    .line()
                    .with_context(|| format!("reading sequence {}", sequence.quoted))?;
                text += &set_value(sequence, &value, self.run.backslashes_escape);
            }
            // Encoding is a query, which must wait until all values are read.
            section.write(&self.encoded(&text)?)?;
        }
        Ok(())
    }

    /// Our own text in the encoding of the dump.
    fn encoded(&mut self, text: &str) -> Result<Vec<u8>> {
        if text.is_ascii() || self.run.encoding == UTF8 || self.run.is_bytewise() {
            return Ok(self.session.bytes_of(text));
        }
        self.session.send_text(&format!(
            "SELECT pg_catalog.encode(pg_catalog.convert_to({}, {}), 'hex');\n",
            literal(text),
            literal(&self.run.encoding)
        ))?;
        let hex = self.session.line()?;
        let byte = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
        bytes.with_context(|| format!("unexpected answer for the bytes of a name: '{hex}'"))
    }
}

/// The same table, with its rows where the snapshot saw them.
fn check_unchanged(table: &SourceTable, found: Option<&str>) -> Result<()> {
    if found == Some(&format!("{}|{}", table.oid, table.filenode)) {
        return Ok(());
    }
    bail!(
        "it was truncated, replaced or rewritten after the dump began, so the rows that the snapshot saw \
         are lost; dump again when no TRUNCATE or ALTER TABLE is running"
    )
}

fn copy_statement(
    table: &SourceTable,
    pages: Option<&Range<Option<u64>>>,
    encoding: &str,
) -> String {
    let options = match encoding {
        UTF8 => String::new(),
        encoding => format!(" WITH (ENCODING {})", literal(encoding)),
    };
    let columns = match table.columns.trim_matches(['(', ')']) {
        "" => "*",
        _ => &table.columns[1..table.columns.len() - 1],
    };
    let source = match (pages, &table.filter) {
        (None, None) => format!("{} {}", table.quoted, table.columns),
        (None, Some(filter)) => format!("(SELECT {columns} FROM {} {filter})", table.quoted),
        (Some(pages), _) => {
            let from = pages.start.map(|page| format!("ctid >= '({page},0)'"));
            let to = pages.end.map(|page| format!("ctid < '({page},0)'"));
            let range: Vec<String> = from.into_iter().chain(to).collect();
            format!("(SELECT {columns} FROM ONLY {} WHERE {})", table.quoted, range.join(" AND "))
        }
    };
    format!("COPY {source} TO STDOUT{options};\n")
}

fn entry_head(table: &SourceTable) -> String {
    let through = table
        .root
        .as_ref()
        .map(|root| format!("-- load via partition root {}\n\n", on_one_line(root)));
    format!(
        "{}{}COPY {} {} FROM stdin;\n",
        comment("Data for Name", &table.name, "TABLE DATA", &table.schema, &table.owner),
        through.unwrap_or_default(),
        table.root.as_ref().unwrap_or(&table.quoted),
        table.columns
    )
}

fn set_value(sequence: &SourceSequence, value: &str, backslashes_escape: bool) -> String {
    let mut name = sequence.quoted.replace('\'', "''");
    if backslashes_escape {
        name = name.replace('\\', "\\\\");
    }
    format!(
        "{}SELECT pg_catalog.setval('{name}', {value});\n\n\n",
        comment("Name", &sequence.name, "SEQUENCE SET", &sequence.schema, &sequence.owner)
    )
}

/// A name in a comment: what follows a line break would be read as SQL.
fn on_one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

/// The comment that pg_dump writes above an entry, with each name on one line.
fn comment(what: &str, name: &str, kind: &str, schema: &str, owner: &str) -> String {
    let [name, schema, owner] = [name, schema, owner].map(on_one_line);
    format!("--\n-- {what}: {name}; Type: {kind}; Schema: {schema}; Owner: {owner}\n--\n\n")
}
