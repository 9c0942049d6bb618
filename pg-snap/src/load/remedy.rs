//! What may help where a statement of the dump fails: a pure decision by the statement and the SQLSTATE.

use super::reduced::{self, Reduced};
use crate::database_state::search_path;
use crate::server_error::ServerError;
use crate::sql::literal;
use crate::words::{Rest, Word, words};

/// A name that a statement, or a function that it calls, looks up was not found: an undefined function,
/// table, column, object, parameter or schema; an ambiguous function; types that fit no operator.
const NOT_FOUND: [&str; 9] =
    ["42883", "42P01", "42703", "42704", "42P02", "3F000", "42725", "42804", "42846"];
/// Since this major, indexes are built and materialized views are filled under a search path of their
/// own, whatever the session's is.
const OWN_PATH_SINCE: u32 = 17;
/// Of a statement this many words are looked at.
const WORDS: usize = 64;

/// Another way to have a statement done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Under this search path, a list of SQL.
    Path(String),
    /// With this search path set on the functions that it calls while it runs.
    FunctionsUnder(String),
    /// As a constraint that is not checked against the rows that are there.
    NotValid,
    /// Without clauses that can be added afterwards.
    Reduced(Reduced),
    /// Once more as it is.
    Again,
}

/// Another session was in the way: a deadlock, a failed serialization, a lock that was not given.
const IN_THE_WAY: [&str; 3] = ["40P01", "40001", "55P03"];

/// What the ways depend on beside the statement.
pub struct Facts<'a> {
    /// That of the source database, its elements.
    pub search_path: &'a [String],
    /// Of the object.
    pub schema: Option<&'a str>,
    pub server_major: u32,
    pub keep_going: bool,
}

/// The ways to try, in this order.
pub fn ways(bytes: &[u8], failure: &ServerError, facts: &Facts<'_>) -> Vec<Way> {
    let text = String::from_utf8_lossy(bytes);
    let words = words(&text, WORDS);
    let mut ways = Vec::new();
    ways.extend(failure.is(&IN_THE_WAY).then_some(Way::Again));
    if failure.is(&NOT_FOUND) && !is_setting(&words) {
        let paths = paths(facts.search_path, facts.schema);
        ways.extend(paths.iter().cloned().map(Way::Path));
        if facts.server_major >= OWN_PATH_SINCE && has_own_path(&words) {
            ways.extend(paths.into_iter().map(Way::FunctionsUnder));
        }
    }
    if facts.keep_going {
        ways.extend(adds_checked_constraint(&words).then_some(Way::NotValid));
        // Text in another encoding cannot be cut without changing it.
        let cut = std::str::from_utf8(bytes).map_or_else(|_| Vec::new(), reduced::reductions);
        ways.extend(cut.into_iter().map(Way::Reduced));
    }
    ways
}

/// Search paths to try: the source's own, then with the object's schema before it.
pub fn paths(source: &[String], schema: Option<&str>) -> Vec<String> {
    let list = |elements: &[String]| search_path(elements);
    let mut paths = Vec::new();
    if !source.is_empty() {
        paths.push(list(source));
    }
    if let Some(schema) = schema.filter(|schema| !source.iter().any(|element| element == schema)) {
        paths.push(list(&[&[schema.to_owned()], source].concat()));
    }
    paths
}

fn is_setting(words: &[Word]) -> bool {
    ["SET", "RESET"].iter().any(|verb| Rest(words).skip(verb))
}

/// Whether the server runs it under a search path of its own.
fn has_own_path(words: &[Word]) -> bool {
    let is = |keywords: &str| Rest(words).skip(keywords);
    is("CREATE INDEX")
        || is("CREATE UNIQUE INDEX")
        || is("REFRESH MATERIALIZED VIEW")
        || makes_key(words)
}

fn makes_key(words: &[Word]) -> bool {
    added_constraint(words).is_some_and(|rest| {
        ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|kind| rest.clone().skip(kind))
    })
}

/// Foreign keys and checks, which may be added without a look at the rows.
fn adds_checked_constraint(words: &[Word]) -> bool {
    added_constraint(words)
        .is_some_and(|rest| ["FOREIGN KEY", "CHECK"].iter().any(|kind| rest.clone().skip(kind)))
}

/// What follows the name in `ALTER TABLE t ADD CONSTRAINT c …`.
fn added_constraint(words: &[Word]) -> Option<Rest<'_>> {
    let mut rest = Rest(words);
    let domain = rest.skip("ALTER DOMAIN");
    if !domain && !rest.skip("ALTER TABLE") {
        return None;
    }
    rest.skip("ONLY");
    rest.name()?;
    rest.skip("ADD CONSTRAINT").then(|| rest.one())??;
    Some(rest)
}

/// Whether a database without what the statement makes still has all rows.
pub fn may_be_omitted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let words = words(&text, WORDS);
    let is = |keywords: &str| Rest(&words).skip(keywords);
    let holds_rows = [
        "CREATE TABLE",
        "CREATE UNLOGGED TABLE",
        "CREATE SCHEMA",
        "CREATE SEQUENCE",
        "CREATE TYPE",
        "CREATE DOMAIN",
    ];
    let verbs = ["CREATE", "ALTER", "GRANT", "REVOKE", "COMMENT", "REFRESH", "SECURITY LABEL"];
    verbs.iter().any(|verb| is(verb)) && !holds_rows.iter().any(|kind| is(kind))
}

/// The failure that says more: that of the last way, unless a name was still not found.
pub fn more_telling(first: ServerError, last: ServerError) -> ServerError {
    if first.is(&NOT_FOUND) && !last.is(&NOT_FOUND) && last.sqlstate().is_some() {
        last
    } else {
        first
    }
}

/// Another way to have rows taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowWay {
    /// Under this search path, a list of SQL.
    Path(String),
    /// Without the checks that they do not fit.
    WithoutConstraints,
}

/// The ways to try with rows that have failed.
pub fn ways_for_rows(failure: &ServerError, search_path: &[String], schema: &str) -> Vec<RowWay> {
    match failure.is(&NOT_FOUND) {
        true => paths(search_path, Some(schema)).into_iter().map(RowWay::Path).collect(),
        false => Vec::new(),
    }
}

/// Whether a constraint was not fulfilled.
pub fn is_constraint(failure: &ServerError) -> bool {
    failure.sqlstate().is_some_and(|state| state.starts_with("23"))
}

/// What the operator can do about an error, by the class of its SQLSTATE.
pub fn remedy(sqlstate: Option<&str>, may_be_omitted: bool) -> String {
    let state = sqlstate.unwrap_or_default();
    let remedy = match (state, state.get(..2).unwrap_or_default()) {
        ("42501", _) | (_, "28") => "load as a superuser, or grant what pg-snap preflight names",
        ("55P03", _) => "end the session that holds the lock (pg_locks), and load again",
        (_, "08") => "make the other server reachable, and load again",
        (_, "0A") => "load on a server that has the feature, of the dump's major or newer",
        (_, "21" | "22") => {
            "correct the value where the dump was made, or load on a server of the dump's major"
        }
        (_, "23") => "correct the rows where the dump was made",
        (_, "25" | "40" | "57") => "load again",
        (_, "3D" | "3F" | "42") => {
            "install or create what is missing (pg-snap preflight names it), and load again"
        }
        (_, "53" | "54") => {
            "give the server the room, memory, connections or limit that the error names, and load again"
        }
        (_, "58" | "F0") => {
            "install the file that the error names on the server's host, and load again"
        }
        (_, "P0") => "correct what the function objects to where the dump was made",
        (_, "XX") => "see the server's log, and check the dump by pg-snap inspect --full",
        _ => "see the server's log, and load again",
    };
    let omit = match may_be_omitted {
        true => "; or load all rows without such objects by --keep-going",
        false => "",
    };
    format!("{remedy}{omit}")
}

impl Way {
    /// The statements that have it done.
    pub fn script(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Way::Path(path) => [format!("SET search_path = {path};\n").as_bytes(), text].concat(),
            Way::Again => text.to_vec(),
            Way::NotValid => not_valid(text),
            Way::Reduced(reduced) => reduced.text.clone().into_bytes(),
            Way::FunctionsUnder(path) => {
                let (set, reset) = functions_under(&String::from_utf8_lossy(text), path);
                [b"BEGIN;\n", set.as_bytes(), text, reset.as_bytes(), b"COMMIT;\n"].concat()
            }
        }
    }
}

fn not_valid(text: &[u8]) -> Vec<u8> {
    let statement = text.trim_ascii_end();
    let statement = statement.strip_suffix(b";").unwrap_or(statement);
    [statement, b" NOT VALID;\n"].concat()
}

/// Statements that set the search path on the functions that are called, and take it back. Functions
/// are those that the statement names, or the query of the materialized view that it fills.
fn functions_under(text: &str, path: &str) -> (String, String) {
    let words = words(text, usize::MAX);
    let mut rest = Rest(&words);
    let chosen = if rest.skip("REFRESH MATERIALIZED VIEW") {
        let (schema, name) = rest.name().unwrap_or_default();
        format!(
            "p.oid IN (WITH RECURSIVE r (oid) AS (SELECT c.oid FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = {} AND c.relname = {} \
               UNION SELECT d.refobjid FROM r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid \
                 JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid \
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass), \
               u AS (SELECT d.refclassid, d.refobjid FROM r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid \
                 JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid) \
               SELECT refobjid FROM u WHERE refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
               UNION SELECT o.oprcode FROM u JOIN pg_catalog.pg_operator o ON o.oid = u.refobjid \
               WHERE refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass)",
            literal(&schema),
            literal(&name)
        )
    } else {
        let called: Vec<String> = called(&words)
            .map(|(schema, name)| format!("({}, {})", literal(&schema), literal(&name)))
            .collect();
        format!(
            "(n.nspname, p.proname) IN ({})",
            if called.is_empty() { "('', '')".into() } else { called.join(", ") }
        )
    };
    let of = |what: &str| {
        format!(
            "SELECT pg_catalog.format('ALTER ROUTINE %s {what}', p.oid::pg_catalog.regprocedure) \
             FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             WHERE {chosen} AND n.nspname <> 'pg_catalog' AND p.prokind IN ('f', 'p')"
        )
    };
    let each = |what: &str, condition: &str| {
        let code = format!(
            "DECLARE a text; BEGIN FOR a IN {} AND {condition} LOOP EXECUTE a; END LOOP; END",
            of(what)
        );
        format!("DO LANGUAGE plpgsql {};\n", literal(&code))
    };
    let set = format!("SET search_path = {path}");
    (
        each(
            &set.replace('\'', "''").replace('%', "%%"),
            "NOT coalesce(p.proconfig::text LIKE '%search_path=%', false)",
        ),
        each("RESET search_path", "p.xmin = pg_catalog.pg_current_xact_id()::xid"),
    )
}

/// Names with a schema before a parenthesis.
fn called(words: &[Word]) -> impl Iterator<Item = (String, String)> + '_ {
    (0..words.len()).filter_map(|at| {
        let mut rest = Rest(&words[at..]);
        let name = rest.name()?;
        (!name.0.is_empty() && matches!(rest.0, [Word::Mark('('), ..])).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(state: &str) -> ServerError {
        ServerError::of_state(state)
    }

    fn found(sql: &str, state: &str, major: u32, keep_going: bool) -> Vec<Way> {
        let path = ["app".to_owned(), "public".to_owned()];
        let facts =
            Facts { search_path: &path, schema: Some("t1"), server_major: major, keep_going };
        ways(sql.as_bytes(), &failure(state), &facts)
    }

    #[test]
    fn what_is_not_found_is_looked_for_under_the_sources_path_then_with_the_objects_schema() {
        let path = |p: &str| Way::Path(p.into());
        let both = [path("'app', 'public'"), path("'t1', 'app', 'public'")];
        assert_eq!(found("CREATE VIEW t1.v AS SELECT 1;", "42883", 15, false), both);
        assert_eq!(found("CREATE INDEX i ON t1.t (s.f(a));", "42P01", 16, false), both);
        assert_eq!(found("CREATE INDEX i ON t1.t (s.f(a));", "42P01", 17, false).len(), 4);
        assert_eq!(found("CREATE VIEW t1.v AS SELECT 1;", "23505", 15, false), []);
        assert_eq!(found("CREATE UNIQUE INDEX i ON t1.t (a);", "23505", 17, true), []);
    }

    #[test]
    fn foreign_keys_and_checks_may_go_unchecked_where_objects_may_be_left_out() {
        let key = "ALTER TABLE ONLY s.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES s.u(a);\n";
        let check = "ALTER TABLE s.t ADD CONSTRAINT c CHECK ((a > 0));";
        assert_eq!(found(key, "23503", 15, true), [Way::NotValid]);
        assert_eq!(found(check, "23514", 15, true), [Way::NotValid]);
        assert_eq!(found(key, "23503", 15, false), []);
        assert_eq!(
            found("ALTER TABLE s.t ADD CONSTRAINT p PRIMARY KEY (a);", "23505", 15, true),
            []
        );
        assert!(Way::NotValid.script(key.as_bytes()).ends_with(b"REFERENCES s.u(a) NOT VALID;\n"));
    }

    #[test]
    fn what_rows_need_is_never_left_out() {
        for (sql, may) in [
            ("CREATE INDEX i ON s.t (a)", true),
            ("ALTER TABLE ONLY s.t ADD CONSTRAINT k UNIQUE (a)", true),
            ("GRANT SELECT ON TABLE s.t TO \"16999\"", true),
            ("CREATE FOREIGN TABLE s.t (a int)", true),
            ("SET default_tablespace = gone", false),
            ("CREATE TABLE s.t (a int)", false),
            ("CREATE DOMAIN s.d AS int", false),
            ("CREATE SCHEMA s", false),
            ("COPY s.t FROM stdin", false),
            ("SELECT pg_catalog.setval('s.q', 1)", false),
            ("INSERT INTO s.t VALUES (1)", false),
        ] {
            assert_eq!(may_be_omitted(sql.as_bytes()), may, "{sql}");
        }
    }

    #[test]
    fn every_class_of_errors_has_a_remedy_of_its_own() {
        let classes = [
            "08006", "0A000", "22P02", "23505", "42501", "42P01", "53100", "55P03", "57P01",
            "58P01", "P0001", "XX001",
        ];
        let all: std::collections::BTreeSet<String> =
            classes.iter().map(|state| remedy(Some(state), false)).collect();
        assert_eq!(all.len(), classes.len());
        assert!(remedy(None, true).ends_with("--keep-going"));
    }

    #[test]
    fn functions_that_a_statement_names_get_the_path_and_lose_it() {
        let (set, reset) =
            functions_under("CREATE INDEX i ON s.t USING btree (x.f(a), lower(b))", "'app'");
        assert!(set.contains("(''x'', ''f'')") && !set.contains("lower"), "{set}");
        assert!(reset.contains("RESET search_path"), "{reset}");
    }
}
