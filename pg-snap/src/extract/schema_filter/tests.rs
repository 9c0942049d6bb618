use super::*;
use crate::sql::scanner::Scanner;

/// What is passed on of a dump, cut into lines; what psql would see of its data.
#[derive(Default)]
struct Passed {
    text: Vec<u8>,
    statements: Vec<String>,
    copies: Vec<u64>,
}

impl Observer for Passed {
    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        self.statements.push(String::from_utf8_lossy(sql).trim().to_owned());
        Ok(())
    }
    fn copy_begins(&mut self) -> Result<()> {
        self.copies.push(0);
        Ok(())
    }
    fn copy_rows(&mut self, rows: u64, _bytes: u64) {
        *self.copies.last_mut().unwrap() += rows;
    }
}

fn filtered(schema: &str, dump: &str) -> Result<Passed> {
    let mut passed = Passed::default();
    let mut scanner = Scanner::default();
    let wanted = WantedSchema::of_utf8(schema);
    let mut part = SchemaFilter::new(&wanted, &mut passed);
    for line in dump.as_bytes().split_inclusive(|b| *b == b'\n') {
        scanner.scan(line, &mut part)?;
    }
    scanner.finish()?;
    part.finish()?;
    Ok(passed)
}

fn entry(heading: &str, sql: &str) -> String {
    format!("--\n-- {heading}\n--\n\n{sql}\n\n\n")
}

const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.1\n\n\
                    SET lock_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\n";
const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";

fn statements(schema: &str, entries: &[String]) -> Result<String> {
    let dump = format!("{HEAD}{}{END}", entries.concat());
    filtered(schema, &dump).map(|passed| passed.statements.join("; "))
}

#[test]
fn a_part_is_its_entries_as_they_stand_under_the_dumps_head() {
    let kept = [
        entry(
            "Name: s; Type: SCHEMA; Schema: -; Owner: o",
            "CREATE SCHEMA s;\n\n\nALTER SCHEMA s OWNER TO o;",
        ),
        "SET default_tablespace = '';\n\n".into(),
        entry(
            "Name: t; Type: TABLE; Schema: s; Owner: o",
            "CREATE TABLE s.t (\n    a text -- why\n);",
        ),
        entry(
            "Data for Name: t; Type: TABLE DATA; Schema: s; Owner: o",
            "COPY s.t (a) FROM stdin;\n-- Name: u; Type: TABLE; Schema: other; Owner: o\n\\.",
        ),
        entry("Name: SCHEMA s; Type: ACL; Schema: -; Owner: o", "GRANT USAGE ON SCHEMA s TO r;"),
    ];
    let other = [
        entry("Name: other; Type: SCHEMA; Schema: -; Owner: o", "CREATE SCHEMA other;"),
        entry("Name: x; Type: EXTENSION; Schema: -; Owner: -", "CREATE EXTENSION x WITH SCHEMA s;"),
        entry(
            "Name: f(); Type: FUNCTION; Schema: other; Owner: o",
            "CREATE FUNCTION other.f() RETURNS void LANGUAGE sql AS $$\n\n--\n\
             -- Name: t; Type: TABLE; Schema: s; Owner: o\n--\n\nCREATE TABLE s.never ();\n$$;",
        ),
        entry(
            "Data for Name: u; Type: TABLE DATA; Schema: other; Owner: o",
            "COPY other.u (a) FROM stdin;\n--\n-- Name: t; Type: TABLE; Schema: s; Owner: o\n\\.",
        ),
        entry(
            "Name: p t; Type: PUBLICATION TABLE; Schema: s; Owner: o",
            "ALTER PUBLICATION p ADD TABLE ONLY s.t;",
        ),
        entry(
            "Name: TABLE s; Type: COMMENT; Schema: other; Owner: o",
            "COMMENT ON TABLE other.s IS 's.t';",
        ),
    ];
    let mut dump = HEAD.to_owned();
    for (at, entry) in kept.iter().enumerate() {
        dump += &other[at];
        dump += entry;
    }
    dump += &other[5];
    dump += END;
    let passed = filtered("s", &dump).unwrap();
    assert_eq!(String::from_utf8(passed.text).unwrap(), format!("{HEAD}{}", kept.concat()));
    assert_eq!(passed.copies, [1]);
}

#[test]
fn what_an_entry_sets_for_itself_comes_with_it_and_what_others_set_is_set_when_it_matters() {
    let grant = |table: &str| {
        format!(
            "SET SESSION AUTHORIZATION a;\nGRANT SELECT ON TABLE {table} TO b;\nRESET SESSION AUTHORIZATION;"
        )
    };
    let entries = [
        "SET default_tablespace = fast;\n\n".into(),
        entry("Name: TABLE u; Type: ACL; Schema: other; Owner: o", &grant("other.u")),
        entry("Name: TABLE t; Type: ACL; Schema: s; Owner: o", &grant("s.t")),
        "SET default_tablespace = slow;\n\n".into(),
        entry("Name: TABLE u; Type: ACL; Schema: other; Owner: o", &grant("other.u")),
    ];
    let search = "SELECT pg_catalog.set_config('search_path', '', false)";
    assert_eq!(
        statements("s", &entries).unwrap(),
        format!(
            "SET lock_timeout = 0; {search}; SET default_tablespace = fast; SET SESSION AUTHORIZATION a; \
             GRANT SELECT ON TABLE s.t TO b; RESET SESSION AUTHORIZATION; SET default_tablespace = slow"
        )
    );
}

#[test]
fn a_name_that_reads_like_a_heading_pulls_nothing_in_and_keeps_nothing_out() {
    let table = |schema: &str, name: &str, owner: &str| {
        entry(
            &format!("Name: {name}; Type: TABLE; Schema: {schema}; Owner: {owner}"),
            &format!("CREATE TABLE \"{schema}\".\"{name}\" ();"),
        )
    };
    let hostile = "x; Type: TABLE; Schema: s; Owner: y";
    let entries = [
        table("other", hostile, "o"),
        table("other", "t", hostile),
        table(hostile, "t", "o"),
        table("s", "x; Type: TABLE; Schema: other; Owner: y", "o"),
        table("s", "t", "x; Type: TABLE; Schema: other; Owner: y"),
    ];
    let kept = statements("s", &entries).unwrap();
    let tables: Vec<&str> = kept.split("; CREATE ").skip(1).collect();
    assert_eq!(
        tables,
        ["TABLE \"s\".\"x; Type: TABLE; Schema: other; Owner: y\" ()", "TABLE \"s\".\"t\" ()"]
    );
    let kept = statements(hostile, &entries).unwrap();
    assert!(kept.ends_with(&format!("; CREATE TABLE \"{hostile}\".\"t\" ()")), "{kept}");
    assert_eq!(kept.matches("CREATE").count(), 1);
}

#[test]
fn line_breaks_in_names_are_blanks_in_headings() {
    let entries = [
        entry("Name: a b; Type: SCHEMA; Schema: -; Owner: o", "CREATE SCHEMA \"a\nb\";"),
        entry("Name: t; Type: TABLE; Schema: a b; Owner: o", "CREATE TABLE \"a\nb\".t ();"),
        entry("Name: a b; Type: SCHEMA; Schema: -; Owner: o", "CREATE SCHEMA \"a b\";"),
        entry("Name: t; Type: TABLE; Schema: a b; Owner: o", "CREATE TABLE \"a b\".t ();"),
    ];
    for schema in ["a b", "a\nb"] {
        let kept = statements(schema, &entries).unwrap();
        assert_eq!(kept.matches("CREATE").count(), 2);
        assert!(kept.ends_with(&format!("CREATE TABLE \"{schema}\".t ()")), "{kept}");
        // A statement without a schema could be of either.
        let unknown = entry("Name: x; Type: NEW; Schema: a b; Owner: o", "MAKE SOMETHING;");
        let error = statements(schema, &[entries.concat(), unknown]).err().unwrap();
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Damaged);
    }
}

#[test]
fn a_heading_and_a_statement_that_contradict_each_other_are_damage() {
    for (heading, sql) in [
        ("Name: t; Type: TABLE; Schema: s; Owner: o", "CREATE TABLE other.t ();"),
        ("Name: t; Type: TABLE; Schema: other; Owner: o", "CREATE TABLE s.t ();"),
        ("Name: t; Type: TABLE; Schema: other; Owner: o", "GRANT USAGE ON SCHEMA s TO o;"),
        (
            "Name: x; Type: TABLE; Schema: other; Owner: y; Type: TABLE; Schema: s; Owner: o",
            "DO $$ begin end $$;",
        ),
        ("", "CREATE TABLE s.t ();"),
    ] {
        let text = if heading.is_empty() { format!("{sql}\n") } else { entry(heading, sql) };
        let error = statements("s", &[text]).err().unwrap_or_else(|| panic!("{heading} {sql}"));
        assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Damaged, "{heading} {sql}");
    }
}

#[test]
fn a_partitions_rows_go_where_the_dump_sends_them() {
    let data = |schema: &str, root: &str| {
        entry(
            &format!("Data for Name: c; Type: TABLE DATA; Schema: {schema}; Owner: o"),
            &format!(
                "-- load via partition root {root}.p\n\nCOPY {root}.p (a) FROM stdin;\n1\n\\."
            ),
        )
    };
    let kept = statements("s", &[data("s", "other"), data("other", "s")]).unwrap();
    assert_eq!(kept.matches("COPY").count(), 1);
    assert!(kept.ends_with("COPY other.p (a) FROM stdin"), "{kept}");
}
