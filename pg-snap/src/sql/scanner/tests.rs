use super::*;
use crate::blocks::Blocks;
use crate::sql::quoted_begin::with_quoted_begin;
use proptest::prelude::*;

#[derive(Default, Debug, PartialEq)]
struct Seen {
    text: Vec<u8>,
    statements: Vec<String>,
    rows: u64,
    version: String,
}

impl Observer for Seen {
    fn text(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }
    fn statement(&mut self, sql: &[u8]) -> anyhow::Result<()> {
        self.statements.push(String::from_utf8_lossy(sql).trim().to_owned());
        Ok(())
    }
    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        self.rows += rows;
    }
    fn server_version(&mut self, version: &str) {
        version.clone_into(&mut self.version);
    }
}

fn scan(dump: &str) -> (Seen, anyhow::Result<()>) {
    let (mut scanner, mut seen) = (Scanner::default(), Seen::default());
    let mut blocks = Blocks::new(dump.as_bytes());
    let result = (|| {
        while let Some(block) = blocks.next()? {
            scanner.scan(block, &mut seen)?;
        }
        Ok(scanner.finish()?)
    })();
    (seen, result)
}

const WHOLE: &str = "\
--
-- PostgreSQL database dump
--

\\restrict abcDEF123

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
SET client_encoding = 'UTF8';
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ select 'COPY x FROM stdin;'; \\! id
-- PostgreSQL database dump complete
$_$;
COMMENT ON TABLE t IS E'it\\'s; \\\\';
CREATE TABLE \"a;b\" (x int /* ; ' */, y text DEFAULT 'a''b;');
COPY public.\"a;b\" (x, y) FROM stdin;
1\tone; \\! id
2\t-- PostgreSQL database dump complete
\\\\.\ttwo
\\.


SELECT pg_catalog.setval('s', 2, true);
--
-- PostgreSQL database dump complete
--

\\unrestrict abcDEF123

";

#[test]
fn a_whole_dump_is_whole_and_passes_unchanged_but_for_its_restrict_lines() {
    let (seen, result) = scan(WHOLE);
    result.unwrap();
    let expected =
        WHOLE.replace("\\restrict abcDEF123\n", "").replace("\\unrestrict abcDEF123\n", "");
    assert_eq!(String::from_utf8(seen.text).unwrap(), expected);
    assert_eq!(seen.rows, 3);
    assert_eq!(seen.version, "15.18 (Debian 15.18-0+deb12u1)");
    assert_eq!(seen.statements.len(), 6, "{:#?}", seen.statements);
}

#[test]
fn a_dump_cut_after_any_line_is_not_whole() {
    let body = WHOLE.find("-- Dumped from").unwrap();
    let end = WHOLE.rfind("-- PostgreSQL database dump complete").unwrap();
    for (at, _) in WHOLE.char_indices().filter(|(at, _)| *at > body && *at <= end) {
        assert!(scan(&WHOLE[..at]).1.is_err(), "cut at {at}: {:?}", &WHOLE[at - 10..at]);
    }
}

#[test]
fn what_follows_the_end_marker_may_only_be_comments() {
    let more = |text: &str| scan(&format!("{WHOLE}{text}")).1;
    more("-- more\n/* and; more */\n\n--\n").unwrap();
    assert!(more("SELECT 1;\n").is_err());
    assert!(more("'x").is_err());
    assert!(more("- 1").is_err());
    assert!(more("-- x\nSELECT 1;\n-- PostgreSQL database dump complete\n").is_ok());
}

#[test]
fn psql_commands_are_refused_wherever_psql_would_run_them() {
    for hostile in [
        "\\! id\n",
        "SELECT 1 \\! id\n",
        "SELECT 1; \\! id\n",
        " \\restrict abc\n",
        "\\restrict abc \\! id\n",
        "\\restrict\n",
        "SELECT (\\! id\n",
        "SELECT 'a' \\g |id\n",
        "SELECT E'a\\'' \\g\n",
        "SELECT $a$ $a$ \\g\n",
        "SELECT $a$ $b$a$ \\! $a$;\n",
        "SELECT $ \\! id\n",
        "/* /* */ */ \\! id\n",
        "-- x\n\\! id\n",
        "\\.\n",
        "\\connect other\n",
        "SELECT e'x' 'y\\' \\! id\n",
    ] {
        let (seen, result) = scan(&format!("{hostile}{WHOLE}"));
        let error = result.expect_err(hostile).to_string();
        assert!(error.contains("psql command"), "{hostile}: {error}");
        assert!(!String::from_utf8(seen.text).unwrap().contains("\\!"), "{hostile}");
    }
    for harmless in [
        "SELECT '\\! id';\n",
        "SELECT E'\\'; \\! id';\n",
        "SELECT e'x'\n'y\\' \\! id';\n",
        "SELECT $a$ \\! id $b$ $a$;\n",
        "SELECT $a$ $b$ \\! $a$;\n",
        "SELECT \"\\! id\";\n",
        "-- \\! id\n",
        "/* \\! id /* */ \\! */\n",
        "COPY t FROM stdin;\n\\! id\n\\N\n\\.\n",
        "COPY t (a, \"b)\") FROM STDIN WITH (FORMAT csv);\n\\! id\n\\.\n",
    ] {
        scan(&format!("{harmless}{WHOLE}")).1.expect(harmless);
    }
}

#[test]
fn a_string_that_another_setting_would_prolong_is_refused_where_psql_takes_commands() {
    let open = |text: &str| Scanner::for_open_psql().scan(text.as_bytes(), &mut Seen::default());
    for doubtful in [
        "SET standard_conforming_strings = off;\nSELECT 'a\\'' \\! id '\n;\n",
        "SELECT 'C:\\';\n",
        "SELECT 'a\\\\\\';\n",
        "SELECT '\\\n\\', E'\\'';\n",
    ] {
        assert!(open(doubtful).is_err(), "{doubtful}");
    }
    for plain in ["SELECT 'a\\\\';\n", "SELECT E'\\'', 'b';\n", "SELECT 'a\\b', $$\\'$$;\n", WHOLE]
    {
        open(plain).expect(plain);
    }
    // Otherwise it is as good a default as any.
    scan(&format!("SELECT 'C:\\';\n{WHOLE}")).1.unwrap();
}

#[test]
fn text_behind_a_copy_statement_is_refused() {
    assert!(scan("COPY t FROM stdin; SELECT 1;\n1\n\\.\n").1.is_err());
}

proptest! {
    #[test]
    fn where_the_input_is_cut_into_pieces_does_not_matter(cuts in prop::collection::vec(1..40usize, 0..60)) {
        let (whole, _) = scan(WHOLE);
        let (mut scanner, mut seen) = (Scanner::default(), Seen::default());
        let mut rest = WHOLE;
        // Lines are never cut where they are short; a dump has its \restrict lines whole.
        for cut in cuts {
            let cut = rest.match_indices('\n').nth(cut % 5).map_or(rest.len(), |(at, _)| at + 1);
            scanner.scan(&rest.as_bytes()[..cut], &mut seen).unwrap();
            rest = &rest[cut..];
        }
        scanner.scan(rest.as_bytes(), &mut seen).unwrap();
        scanner.finish().unwrap();
        prop_assert_eq!(whole, seen);
    }

    #[test]
    fn no_input_makes_the_scanner_panic(text in "(\\PC|[\\\\'\"$;()\n*/-]){0,200}") {
        let _ = scan(&text);
    }
}

/// The statements of a text.
fn statements(text: &str) -> Vec<String> {
    struct Statements(Vec<String>);
    impl Observer for Statements {
        fn statement(&mut self, sql: &[u8]) -> anyhow::Result<()> {
            self.0.push(String::from_utf8_lossy(sql).trim().to_owned());
            Ok(())
        }
    }
    let mut statements = Statements(Vec::new());
    Scanner::default().scan(text.as_bytes(), &mut statements).unwrap();
    statements.0
}

#[test]
fn a_semicolon_in_an_atomic_body_ends_no_statement() {
    for (text, count) in [
        (
            "CREATE FUNCTION f() RETURNS int\nBEGIN ATOMIC\n SELECT 1;\n SELECT CASE WHEN true THEN 2 END;\nEND;\nSELECT 1;\n",
            2,
        ),
        ("CREATE FUNCTION f() RETURNS int\nBEGIN /* ; */ ATOMIC SELECT begin FROM t; END;\n", 1),
        ("CREATE FUNCTION f() AS 'BEGIN ATOMIC';\nSELECT 1;\n", 2),
        ("CREATE FUNCTION f() AS $$BEGIN ATOMIC; $$;\nSELECT 1;\n", 2),
        ("BEGIN;\nSELECT atomic;\nEND;\n", 3),
        ("SELECT begin, atomic;\nSELECT 1;\n", 2),
        ("CREATE FUNCTION f(\"begin\" int) RETURNS int BEGIN ATOMIC; END;\nSELECT 1;\n", 2),
    ] {
        assert_eq!(statements(text).len(), count, "{text}");
    }
}

#[test]
fn a_name_begin_in_a_functions_definition_is_quoted_for_psql() {
    let quoted =
        |sql: &str| with_quoted_begin(sql.as_bytes()).map(|sql| String::from_utf8(sql).unwrap());
    for (sql, expected) in [
        (
            "--\n-- Name: begin\n--\n\nCREATE FUNCTION s.f() RETURNS int\nBEGIN ATOMIC\n SELECT t.begin, 'begin' FROM \"begin\" t;\nEND;",
            "--\n-- Name: begin\n--\n\nCREATE FUNCTION s.f() RETURNS int\nBEGIN ATOMIC\n SELECT t.\"begin\", 'begin' FROM \"begin\" t;\nEND;",
        ),
        (
            "CREATE OR REPLACE PROCEDURE s.begin(begin integer) LANGUAGE sql AS $$begin$$;",
            "CREATE OR REPLACE PROCEDURE s.\"begin\"(\"begin\" integer) LANGUAGE sql AS $$begin$$;",
        ),
    ] {
        assert_eq!(quoted(sql).as_deref(), Some(expected));
    }
    for sql in [
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;",
        "CREATE VIEW v AS SELECT begin FROM t;",
        "CREATE FUNCTION f() AS $$ begin $$;",
        "",
    ] {
        assert_eq!(quoted(sql), None, "{sql}");
    }
}
