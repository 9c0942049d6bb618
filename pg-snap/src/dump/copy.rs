//! Copies tables out: a worker's session, which reads them under the run's snapshot as pg_dump does.

use super::catalog::{SourceSequence, SourceTable};
use super::run::DumpRun;
use super::section_writer::{SectionWriter, Sink};
use super::session::{self, UTF8};
use crate::psql_session::PsqlSession;
use crate::sql::literal;
use anyhow::{Context, Result, bail};
use pipe_kit::text::unhex;
use std::ops::Range;
use std::time::{Duration, Instant};

const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Of the class "lock not available".
const LOCKED: &str = "55P03";
/// Of the class "out of memory": the server has no room for another lock.
const NO_ROOM: &str = "53200";
/// The line that ends the rows of a table, with the end of the line before it. No row is such a line: COPY
/// doubles every backslash of its data.
const END_OF_ROWS: &[u8; 4] = b"\n\\.\n";
const NO_ERROR: &str = "00000";
/// Sequences that are read in one transaction: each one is locked until its end.
const SEQUENCES: usize = 100;

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
        let session = session::open(run.server, run.database, &run.encoding)?;
        Ok(Self { run, session, snapshot })
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
        let head = self.encoded(&entry_head(table))?;
        self.request(table, pages)?;
        self.session.send(b"COMMIT;\n")?;
        self.rows(&head, section)
    }

    /// Asks for several tables in one transaction, to be received one after another; returns the text that
    /// begins the section of each. None, and nothing is asked for, if they cannot all be locked at once as
    /// the snapshot saw them.
    pub fn request_all(&mut self, tables: &[&SourceTable]) -> Result<Option<Vec<Vec<u8>>>> {
        if !matches!(self.try_lock(tables)?, Lock::Held) {
            self.session.send(b"ROLLBACK;\n")?;
            return Ok(None);
        }
        // Encoding is a query, whose answer would come after the rows.
        let heads = tables.iter().map(|table| self.encoded(&entry_head(table)));
        let heads = heads.collect::<Result<Vec<_>>>()?;
        tables.iter().try_for_each(|table| self.request(table, None))?;
        self.session.send(b"COMMIT;\n")?;
        Ok(Some(heads))
    }

    /// Writes the COPY block of the next table that was asked for.
    ///
    /// # Errors
    /// As [`Copier::copy`].
    pub fn receive<S: Sink>(
        &mut self,
        table: &SourceTable,
        head: &[u8],
        section: &mut SectionWriter<'_, S>,
    ) -> Result<Copied> {
        self.rows(head, section).with_context(|| format!("copying table {}", table.quoted))
    }

    fn request(&mut self, table: &SourceTable, pages: Option<&Range<Option<u64>>>) -> Result<()> {
        self.session.send_text(&copy_statement(table, pages, &self.run.encoding))?;
        self.session.send(b"\\echo '\\\\.'\n")
    }

    /// Locks the table in a transaction, and waits for it, within bounds.
    fn lock(&mut self, table: &SourceTable) -> Result<()> {
        let until = Instant::now() + self.run.lock_wait;
        let mut pause = PAUSES[0];
        loop {
            let alone = self.run.is_defined();
            match self.try_lock(&[table])? {
                Lock::Held => return Ok(()),
                Lock::Changed => bail!(
                    "it was truncated, replaced or rewritten, or one of its columns was dropped or renamed, \
                     after the dump began, so the rows that the snapshot saw are lost; dump again when no \
                     TRUNCATE or ALTER TABLE is running"
                ),
                Lock::Refused(state) if state == LOCKED && Instant::now() >= until => bail!(
                    "it stayed locked for {} seconds{}; dump again when the lock is released, or wait \
                     longer (--lock-wait)",
                    self.run.lock_wait.as_secs(),
                    self.run.lock_holders(Some(table.oid))
                ),
                // pg_dump gives its locks back when it has read the catalog.
                Lock::Refused(state) if state == LOCKED || state == NO_ROOM && !alone => {}
                Lock::Refused(_) => return Err(self.session.reason()),
            }
            self.session.send(b"ROLLBACK;\n")?;
            self.run.fail_if_abandoned()?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Begins a transaction under the snapshot and locks tables in it. The snapshot alone does not protect a
    /// table: truncated or rewritten by another session, it would read as empty; with a column dropped and
    /// another one of its name added, it would read without the column's values.
    fn try_lock(&mut self, tables: &[&SourceTable]) -> Result<Lock> {
        let names: Vec<String> =
            tables.iter().map(|table| format!("ONLY {}", table.quoted)).collect();
        let states = tables.iter().map(|table| current_state(table));
        self.session.send_text(&format!(
            "\\set ON_ERROR_STOP 0\n{}\\; LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT\\; SELECT {};\n\
             \\echo done :SQLSTATE\n\\set ON_ERROR_STOP 1\n",
            self.begin_statement(),
            names.join(", "),
            states.collect::<Vec<_>>().join(", ")
        ))?;
        let mut found = None;
        let state = loop {
            let line = self.session.line()?;
            match line.strip_prefix("done ") {
                Some(state) => break state.to_owned(),
                None => found = Some(line),
            }
        };
        if state != NO_ERROR {
            return Ok(Lock::Refused(state));
        }
        let seen: Vec<String> = tables
            .iter()
            .map(|table| format!("{}|{}|{}", table.oid, table.filenode, table.attribute_names))
            .collect();
        Ok(if found == Some(seen.join("|")) { Lock::Held } else { Lock::Changed })
    }

    fn begin_statement(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY\\; SET TRANSACTION SNAPSHOT {}",
            literal(self.snapshot)
        )
    }

    /// Writes a COPY block: its head, and rows up to the line that ends them. What follows it is left for
    /// the next one.
    fn rows<S: Sink>(&mut self, head: &[u8], section: &mut SectionWriter<'_, S>) -> Result<Copied> {
        section.write(head)?;
        let begin = section.bytes;
        let (session, run) = (&mut self.session, self.run);
        // The head ends with a line feed.
        let mut tail = [0, 0, 0, b'\n'];
        let mut rows = 0;
        let mut ended = false;
        while !ended {
            let n = section.fill(|buffer| {
                let mut n = session.read(buffer)?;
                if let Some(end) = end_of_rows(tail, &buffer[..n]) {
                    session.put_back(&buffer[end..n]);
                    (n, ended) = (end, true);
                }
                let read = &buffer[..n];
                rows += memchr::memchr_iter(b'\n', read).count() as u64;
                let kept = n.min(tail.len());
                tail.rotate_left(kept);
                let from = tail.len() - kept;
                tail[from..].copy_from_slice(&read[n - kept..]);
                Ok(n)
            })?;
            run.bar.inc(n as u64);
            if n == 0 {
                return Err(session.reason());
            }
        }
        // Without the line that ends the data.
        let bytes = section.bytes - begin - 3;
        section.write(b"\n\n")?;
        Ok(Copied { rows: rows - 1, bytes })
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
        unhex(&hex).with_context(|| format!("unexpected answer for the bytes of a name: '{hex}'"))
    }
}

/// Values of what decides whether the rows are still those that the snapshot saw, as they are now. These
/// functions do not read the catalog under the snapshot, as a query of its tables would, but as it is. 1259 is
/// the oid of pg_class.
fn current_state(table: &SourceTable) -> String {
    let name = literal(&table.quoted);
    let SourceTable { oid, attributes, .. } = table;
    format!(
        "{name}::pg_catalog.regclass::pg_catalog.oid, \
         pg_catalog.pg_relation_filenode({name}::pg_catalog.regclass), \
         (SELECT pg_catalog.hashtextextended(coalesce(pg_catalog.array_agg((pg_catalog.\
         pg_identify_object_as_address(1259, {oid}, n)).object_names[3] ORDER BY n)::text, ''), 0) \
         FROM pg_catalog.generate_series(1, {attributes}) n)"
    )
}

/// How a try to lock tables ended. The transaction is open, and the caller ends it.
enum Lock {
    /// The same tables, with their rows where the snapshot saw them.
    Held,
    Changed,
    /// With this SQLSTATE.
    Refused(String),
}

/// Where, in what was read after `tail`, the line ends that ends the rows.
fn end_of_rows(tail: [u8; 4], read: &[u8]) -> Option<usize> {
    let across = (1..END_OF_ROWS.len()).find(|after| {
        let before = END_OF_ROWS.len() - after;
        tail[*after..] == END_OF_ROWS[..before]
            && read.get(..*after) == Some(&END_OF_ROWS[before..])
    });
    across.or_else(|| memchr::memmem::find(read, END_OF_ROWS).map(|at| at + END_OF_ROWS.len()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_rows_is_found_wherever_a_read_cuts_it() {
        for rows in ["", "1\n", "1\t\\\\.\n", "\\\\.\n\\N\n"] {
            let text = format!("{rows}\\.\nnext\n\\.\n");
            for cut in 0..=rows.len() + 3 {
                let (one, other) = text.as_bytes().split_at(cut);
                let mut tail = [0, 0, 0, b'\n'];
                let ends = rows.len() + 3;
                if cut == ends {
                    assert_eq!(end_of_rows(tail, one), Some(ends), "{text:?} {cut}");
                    continue;
                }
                assert_eq!(end_of_rows(tail, one), None, "{text:?} {cut}");
                let kept = cut.min(4);
                tail.rotate_left(kept);
                tail[4 - kept..].copy_from_slice(&one[cut - kept..]);
                assert_eq!(end_of_rows(tail, other), Some(ends - cut), "{text:?} {cut}");
            }
        }
    }
}
