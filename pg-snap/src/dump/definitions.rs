//! The definitions: what pg_dump writes before and after the rows, out of one reading of the catalog.

use super::passes::{PASSES, Passes};
use super::pg_dump::{self, PgDump, PgDumpSection};
use super::reorder_buffer::SectionLabel;
use super::section_writer::{MemberMaker, SectionWriter};
use crate::client::Client;
use crate::gzip::{Deflater, Level};
use crate::index::Kind;
use anyhow::{Context, Result};
use pipe_kit::child::OutputReader;
use std::io::{self, Read, Write};
use std::process::ChildStdin;
use std::thread::{self, ScopedJoinHandle};

/// Bytes of an archive that are held until pg_dump has ended, so that its memory is free before pg_restore
/// needs as much; 10,000 tables have 14 MB. Of a larger one the rest is passed on at once.
const HELD: u64 = 32 << 20;
const BLOCK: u64 = 256 << 10;

/// What pg_dump has written, compressed.
pub struct Definitions {
    pub before: (SectionLabel, Vec<Vec<u8>>),
    pub after: (SectionLabel, Vec<Vec<u8>>),
    /// Of the `\restrict` line.
    pub key: Option<Vec<u8>>,
}

/// Runs pg_dump for the definitions. `head` is asked for the text before them.
pub fn make(
    pg_dump: PgDump<'_>,
    level: Level,
    head: impl FnOnce() -> Result<String> + Send,
) -> Result<Definitions> {
    let pre =
        |source: OutputReader| Written::fill(pg_dump, PgDumpSection::PreData, level, head, source);
    let none = || Ok(String::new());
    let post =
        |source: OutputReader| Written::fill(pg_dump, PgDumpSection::PostData, level, none, source);
    let made = match &pg_dump.run.pg_restore {
        Some(pg_restore) => by_archive(pg_dump, pg_restore, pre, post),
        None => pg_dump
            .section(PgDumpSection::PreData)
            .and_then(pre)
            .and_then(|pre| Ok((pre, post(pg_dump.section(PgDumpSection::PostData)?)?))),
    };
    let (pre, post) =
        made.with_context(|| format!("dumping definitions{}", pg_dump.run.lock_holders(None)))?;
    joined(pre, post, level)
}

/// Starts pg_dump once, and gives what it writes to two pg_restore, each of which finds one section in it.
fn by_archive<A: Send, B: Send>(
    pg_dump: PgDump<'_>,
    pg_restore: &Client,
    pre: impl FnOnce(OutputReader) -> Result<A> + Send,
    post: impl FnOnce(OutputReader) -> Result<B> + Send,
) -> Result<(A, B)> {
    let mut archive = pg_dump.archive()?;
    let start = |section| {
        let mut running = pg_dump::restore(pg_restore.command(), section)?;
        let stdin = running.take_stdin().context("pg_restore has no input pipe")?;
        let output = running.into_reader()?.keeping_words(&pg_dump.run.words);
        Ok::<_, anyhow::Error>((stdin, output))
    };
    let (pre_input, pre_output) = start(PgDumpSection::PreData)?;
    let (post_input, post_output) = start(PgDumpSection::PostData)?;
    thread::scope(|scope| {
        let pre = scope.spawn(move || pre(pre_output));
        let post = scope.spawn(move || post(post_output));
        let copied = copy_to_both(&mut archive, pre_input, post_input);
        let (pre, post) = (join(pre), join(post));
        // Where pg_dump fails, so does whoever reads what it has written.
        copied?;
        Ok((pre?, post?))
    })
}

/// Copies to two programs, up to the end. One that ends early shows why by its exit status.
fn copy_to_both(archive: &mut OutputReader, one: ChildStdin, other: ChildStdin) -> Result<()> {
    let mut inputs = vec![one, other];
    let mut read = Vec::new();
    let mut limit = HELD;
    loop {
        read.clear();
        let n = archive.take(limit).read_to_end(&mut read);
        if n.context("reading the output of pg_dump")? == 0 {
            return Ok(());
        }
        let mut open = Vec::new();
        for mut input in inputs {
            match input.write_all(&read) {
                Ok(()) => open.push(input),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context("writing to pg_restore"),
            }
        }
        inputs = open;
        limit = BLOCK;
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Joins the sections, so that privileges and what may run user code come last.
fn joined(pre: Written, post: Written, level: Level) -> Result<Definitions> {
    let [objects, privileges, fills, triggers] = pre.passes;
    let before = (SectionLabel::of(Kind::PreData, pre.bytes[0]), objects);
    let bytes = post.bytes.iter().chain(&pre.bytes[1..]).sum::<u64>();
    let [after, more_privileges, more_fills, more_triggers] = post.passes;
    let late = [fills, more_fills, triggers, more_triggers].concat();
    let own_settings = match late.is_empty() {
        true => Vec::new(),
        false => {
            let member = Deflater::new(level).member(pg_dump::OWN_SETTINGS);
            vec![member.context("compressing the dump")?]
        }
    };
    let bytes = bytes + own_settings.len() as u64 * pg_dump::OWN_SETTINGS.len() as u64;
    let after = [after, privileges, more_privileges, own_settings, late].concat();
    let after = (SectionLabel::of(Kind::PostData, bytes), after);
    Ok(Definitions { before, after, key: pre.key })
}

/// One section, compressed, by its passes.
#[derive(Default)]
struct Written {
    passes: [Vec<Vec<u8>>; PASSES],
    bytes: [u64; PASSES],
    key: Option<Vec<u8>>,
}

impl Written {
    fn fill(
        pg_dump: PgDump<'_>,
        section: PgDumpSection,
        level: Level,
        head: impl FnOnce() -> Result<String>,
        source: OutputReader,
    ) -> Result<Self> {
        let mut written = Self::default();
        let mut makers = [(); PASSES].map(|()| MemberMaker::new(level));
        let ([a, b, c, d], [x, y, z, t]) = (&mut makers, &mut written.passes);
        let sections = [
            SectionWriter::new(a, x),
            SectionWriter::new(b, y),
            SectionWriter::new(c, z),
            SectionWriter::new(d, t),
        ];
        let mut passes = Passes::new(sections);
        passes.head(head()?.as_bytes())?;
        let key = pg_dump::write_section(pg_dump.run, section, source, &mut passes)?;
        written.bytes = passes.finish()?;
        written.key = key;
        Ok(written)
    }
}
