//! The sections that pg_dump writes: the definitions, and the large objects. Each is a dump of its own, with
//! a head and an end marker; joined, they must read as one.

use super::passes::Passes;
use super::public_schema::PublicSchema;
use super::run::DumpRun;
use super::section_writer::{SectionWriter, Sink};
use anyhow::{Context, Result, bail};
use pipe_kit::child::{self, OutputReader, Running};
use std::io::Read;
use std::process::{Command, Stdio};

pub const END_MARKER: &[u8] = b"--\n-- PostgreSQL database dump complete\n--\n\n";
const RESTRICT: &[u8] = b"\\restrict ";
const UNRESTRICT: &[u8] = b"\\unrestrict ";
/// Bytes that are searched for a dump's head, and held back for its end.
const MARGIN: usize = 16 * 1024;
/// With these settings, text means the same to every server: amounts of money follow the locale, and NULL
/// in an array may be a word.
const SAME_TEXT: &[u8] = b"SET lc_monetary = 'C';\nSET array_nulls = on;\n";
/// The locale in which pg_dump writes money, which it does not set itself. And no query of the catalog is
/// compiled: on a database of thousands of tables, that takes longer than it saves.
const OPTIONS: &str = "-c lc_monetary=C -c jit=off";
/// What is derived from rows follows the database's own locale, its reading of NULL and its policies again.
pub const OWN_SETTINGS: &[u8] =
    b"RESET lc_monetary;\nRESET array_nulls;\nSET row_security = on;\n\n";
/// The last line of what pg_dump sets at the head of every dump.
const LAST_SETTING: &[u8] = b"SET row_security = off;\n";

/// A section of pg_dump's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgDumpSection {
    PreData,
    /// Large objects are in no schema, so the one schema asked for has nothing to dump or lock.
    LargeObjects,
    PostData,
}

impl PgDumpSection {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            PgDumpSection::PreData => &["--section=pre-data"],
            PgDumpSection::LargeObjects => &["--section=data", "--blobs", "--schema=pg_toast"],
            PgDumpSection::PostData => &["--section=post-data"],
        }
    }
}

/// What the runs of pg_dump have in common.
#[derive(Clone, Copy)]
pub struct PgDump<'a> {
    pub run: &'a DumpRun<'a>,
    pub snapshot: &'a str,
    /// Patterns of sequences whose data pg_dump skips: for any section it would read and lock every sequence,
    /// and 10,000 of them take all locks that a server has.
    pub excluded: &'a [String],
}

impl PgDump<'_> {
    /// Starts it for one section, as text.
    pub fn section(self, section: PgDumpSection) -> Result<OutputReader> {
        self.start(&[&["--format=plain"], section.arguments()].concat())
    }

    /// Starts it for all definitions, as an archive in which pg_restore finds each section.
    pub fn archive(self) -> Result<OutputReader> {
        let sections = [PgDumpSection::PreData, PgDumpSection::PostData];
        let sections = sections.map(PgDumpSection::arguments).concat();
        self.start(&[&["--format=custom", "--compress=0"], sections.as_slice()].concat())
    }

    fn start(self, arguments: &[&str]) -> Result<OutputReader> {
        let run = self.run;
        let mut command = run.pg_dump.command();
        command
            .args(arguments)
            .args(["--no-password", "--no-sync"])
            .args(self.excluded.iter().map(|pattern| format!("--exclude-table-data={pattern}")))
            .arg(format!("--encoding={}", run.encoding))
            .arg(format!("--snapshot={}", self.snapshot))
            .arg(format!("--lock-wait-timeout={}", run.lock_wait.as_millis()))
            .args(["-d", &run.server.target_with(run.database, OPTIONS)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let running = child::spawn_captured(&mut command, "pg_dump")?;
        Ok(running.into_reader()?.keeping_words(&run.words))
    }
}

/// Starts pg_restore for a section of the archive on its stdin. It writes what pg_dump of that section alone
/// would: pg_dump, too, makes its text out of the archive's entries, and each entry names its section.
pub fn restore(mut pg_restore: Command, section: PgDumpSection) -> Result<Running> {
    pg_restore.args(section.arguments()).arg("--file=-");
    pg_restore.stdin(Stdio::piped()).stdout(Stdio::piped());
    child::spawn_captured(&mut pg_restore, "pg_restore")
}

/// Writes the section's text, which `source` reads from its program, and returns the key of its `\restrict`
/// line, if it has one.
pub fn write_section(
    run: &DumpRun<'_>,
    section: PgDumpSection,
    mut source: impl Read,
    text: &mut impl TextSink,
) -> Result<Option<Vec<u8>>> {
    // Asked before pg_dump has ended, whose end everything waits for.
    let public = match section {
        PgDumpSection::PreData => PublicSchema::omitted_by_pg_dump(run)?,
        PgDumpSection::LargeObjects | PgDumpSection::PostData => PublicSchema::default(),
    };
    let mut held = Vec::new();
    source
        .by_ref()
        .take(MARGIN as u64)
        .read_to_end(&mut held)
        .context("reading the output of pg_dump")?;
    let preamble = Preamble::of(&held, section == PgDumpSection::PreData, run.server.version.major);
    text.apart(&preamble.title)?;
    text.head(&preamble.settings)?;
    held = preamble.rest;
    held.splice(0..0, public.owner_statement().into_bytes());
    let mut block = vec![0; 256 * 1024];
    loop {
        let n = source.read(&mut block).context("reading the output of pg_dump")?;
        if n == 0 {
            break;
        }
        // No estimate foresees definitions and large objects.
        run.bar.inc_length(n as u64);
        run.bar.inc(n as u64);
        held.extend_from_slice(&block[..n]);
        let sure = held.len().saturating_sub(MARGIN);
        text.write(&held[..sure])?;
        held.drain(..sure);
    }
    match without_end(&held) {
        // They come after those that pg_dump writes as a difference.
        Some(rest) => text.write(&[rest, public.rights_statements().as_bytes()].concat())?,
        None => bail!(
            "pg_dump exited with status 0, but its output is incomplete: it has no end marker"
        ),
    }
    Ok(preamble.key)
}

/// Where the text of a section goes.
pub trait TextSink {
    /// Ends the member, and takes what differs in every dump, if there is any, as a member of its own.
    fn apart(&mut self, text: &[u8]) -> Result<()>;
    /// Takes the settings at its head.
    fn head(&mut self, text: &[u8]) -> Result<()>;
    fn write(&mut self, text: &[u8]) -> Result<()>;
}

impl<S: Sink> TextSink for SectionWriter<'_, S> {
    fn apart(&mut self, text: &[u8]) -> Result<()> {
        SectionWriter::write_apart(self, text)
    }

    fn head(&mut self, text: &[u8]) -> Result<()> {
        SectionWriter::write(self, text)
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        SectionWriter::write(self, text)
    }
}

impl<S: Sink> TextSink for Passes<'_, S> {
    fn apart(&mut self, text: &[u8]) -> Result<()> {
        Passes::apart(self, text)
    }

    fn head(&mut self, text: &[u8]) -> Result<()> {
        Passes::head(self, text)
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        Passes::write(self, text)
    }
}

/// The beginning of a dump, up to the last setting.
#[derive(Debug, PartialEq, Eq)]
struct Preamble {
    /// Of its `\restrict` line.
    key: Option<Vec<u8>>,
    /// Up to the `\restrict` line, whose key is another one in every dump; empty if there is none, and for a
    /// later section.
    title: Vec<u8>,
    /// The settings; empty for a later section, because those of the first one are in force.
    settings: Vec<u8>,
    rest: Vec<u8>,
}

impl Preamble {
    fn of(text: &[u8], first: bool, server_major: u32) -> Self {
        let Some(end) = memchr::memmem::find(text, LAST_SETTING) else {
            // Without the usual last setting, drop at least the line that psql would take for a wrong key.
            let rest = lines(text).filter(|line| !line.starts_with(RESTRICT));
            return Self {
                key: None,
                title: Vec::new(),
                settings: Vec::new(),
                rest: rest.collect::<Vec<_>>().concat(),
            };
        };
        let (head, rest) = text.split_at(end + LAST_SETTING.len());
        let before =
            lines(head).take_while(|line| !line.starts_with(RESTRICT)).map(<[u8]>::len).sum();
        let line = lines(&head[before..]).next().unwrap_or_default();
        let key = line.strip_prefix(RESTRICT).map(|key| key.trim_ascii_end().to_vec());
        if !first {
            let rest = rest.trim_ascii_start().to_vec();
            return Self { key, title: Vec::new(), settings: Vec::new(), rest };
        }
        let (title, settings) = head.split_at(if key.is_some() { before + line.len() } else { 0 });
        let settings = [&without_unknown_settings(settings, server_major), SAME_TEXT].concat();
        Self { key, title: title.to_vec(), settings, rest: rest.to_vec() }
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

/// A pg_dump newer than the server sets parameters that the server does not know.
fn without_unknown_settings(head: &[u8], server_major: u32) -> Vec<u8> {
    if server_major >= 17 {
        return head.to_vec();
    }
    let preamble = |line: &&[u8]| {
        line.len() <= 1
            || [&b"--"[..], b"SET ", b"SELECT pg_catalog.set_config("]
                .iter()
                .any(|start| line.starts_with(start))
    };
    // Beyond its preamble, the same text may be a row of a table.
    let end: usize = lines(head).take_while(preamble).map(<[u8]>::len).sum();
    let mut kept: Vec<u8> = lines(&head[..end])
        .filter(|line| *line != b"SET transaction_timeout = 0;\n")
        .collect::<Vec<_>>()
        .concat();
    kept.extend_from_slice(&head[end..]);
    kept
}

/// The text without the end marker and the line that follows it; none if it has no end marker.
fn without_end(text: &[u8]) -> Option<&[u8]> {
    let mut text = text;
    let last = text.trim_ascii_end();
    let line = memchr::memrchr(b'\n', last).map_or(0, |at| at + 1);
    if last[line..].starts_with(UNRESTRICT) {
        text = &text[..line];
    }
    text.strip_suffix(END_MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_clients_setting_is_left_out_for_an_older_server_only() {
        let head = b"--\n\nSET transaction_timeout = 0;\nSET b = 1;\nCOPY t FROM stdin;\nSET transaction_timeout = 0;\n";
        let kept = b"--\n\nSET b = 1;\nCOPY t FROM stdin;\nSET transaction_timeout = 0;\n";
        assert_eq!(without_unknown_settings(head, 16), kept);
        assert_eq!(without_unknown_settings(head, 17), head);
    }

    #[test]
    fn a_later_part_begins_with_its_first_statement() {
        let head = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped from\n\nSET a = 1;\nSET row_security = off;\n\nSET default_tablespace = '';\n\n--\n-- Name: x\n";
        let rest = b"SET default_tablespace = '';\n\n--\n-- Name: x\n";
        let later = Preamble::of(head, false, 15);
        assert_eq!(later.key.as_deref(), Some(&b"abc"[..]));
        assert_eq!((later.settings.as_slice(), later.rest.as_slice()), (&b""[..], &rest[..]));
        let first = Preamble::of(head, true, 15);
        assert!(first.title.ends_with(b"\n\n\\restrict abc\n"), "{first:?}");
        let settings = first.settings.strip_suffix(SAME_TEXT).unwrap();
        assert_eq!([&first.title, settings, &first.rest].concat(), head);
        let bare = Preamble::of(b"\\restrict abc\nSELECT 1;\n", false, 15);
        assert_eq!((bare.key, bare.rest), (None, b"SELECT 1;\n".to_vec()));
    }

    #[test]
    fn the_end_is_taken_off_where_it_is_an_end() {
        let with = |after: &str| [b"SELECT 1;\n\n", END_MARKER, after.as_bytes()].concat();
        assert_eq!(without_end(&with("")), Some(&b"SELECT 1;\n\n"[..]));
        assert_eq!(without_end(&with("\\unrestrict abc\n\n")), Some(&b"SELECT 1;\n\n"[..]));
        assert_eq!(without_end(&with("SELECT 2;\n")), None);
        assert_eq!(without_end(b""), None);
    }
}
