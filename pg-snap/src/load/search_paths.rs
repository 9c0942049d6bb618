//! The search paths that a load knows of, and under which of them it executes a statement at first.
//!
//! A dump names its objects with their schemas, so that its own empty search path is right for its text. It is wrong
//! for the bodies of functions that the server evaluates meanwhile: there, the source database has found names by
//! its own search path. An empty one may find others without an error, such as the `=` of text instead of that of
//! citext.

use super::definition::Definition;
use crate::database_state::search_path;
use crate::sql::{Name, properties};
use pipe_kit::info;
use std::borrow::Cow;

/// Since this major, indexes are built and materialized views are filled under a search path of their
/// own, whatever the session's is.
const OWN_PATH_SINCE: u32 = 17;
const CATALOG: &str = "pg_catalog";

#[derive(Clone, Debug, Default)]
pub struct SearchPaths {
    /// The elements of the source database's.
    pub source: Vec<String>,
    /// Whether the dump itself names it. If not, it is a guess, for what fails otherwise.
    pub is_of_dump: bool,
    /// Schemas of operators that a statement of the dump may use without naming them.
    pub operator_schemas: Vec<String>,
    pub server_major: u32,
}

/// A statement with what must be set for it.
#[derive(Debug)]
pub struct FirstScript<'a> {
    pub statement: Cow<'a, [u8]>,
    /// What evaluates its functions again.
    pub again: Vec<u8>,
    /// What undoes the setting.
    pub reset: &'static [u8],
}

impl<'a> FirstScript<'a> {
    /// Whether it is more than the statement.
    pub fn is_other(&self) -> bool {
        !self.reset.is_empty()
    }

    /// All of it.
    pub fn text(self) -> Cow<'a, [u8]> {
        match self.reset {
            b"" => self.statement,
            reset => Cow::Owned([&self.statement, &self.again[..], reset].concat()),
        }
    }
}

impl SearchPaths {
    /// The search path, a list of SQL, under which functions are evaluated at first; none if the dump does not name it.
    pub fn of_functions(&self) -> Option<String> {
        self.of_source().filter(|_| self.is_of_dump)
    }

    /// The search path, a list of SQL, under which a statement is executed at first, if not under the dump's.
    pub fn first(&self, definition: &Definition) -> Option<String> {
        let mut path = match self.evaluates(definition) && !self.would_misread(definition) {
            true => self.source.clone(),
            false => Vec::new(),
        };
        if !self.operator_schemas.is_empty() && properties::may_hide_operators(&definition.text) {
            path = joined(path, &self.operator_schemas);
        }
        (!path.is_empty()).then(|| search_path(&path))
    }

    /// The text that executes a statement at first.
    pub fn first_script<'a>(&self, definition: &'a Definition) -> FirstScript<'a> {
        let Definition { text, settings, .. } = definition;
        let mut script =
            FirstScript { statement: Cow::Borrowed(text), again: Vec::new(), reset: b"" };
        if let Some(path) = self.first(definition) {
            script.statement = Cow::Owned([settings.set_search_path(&path), text.clone()].concat());
            script.reset = RESET;
        }
        if self.evaluates(definition)
            && self.would_misread(definition)
            && let Some(again) = properties::reindex(text)
        {
            let set = settings.set_search_path(&search_path(&self.source));
            script.again = [&set, again.as_bytes()].concat();
            script.reset = RESET;
        }
        script
    }

    /// Whether it evaluates functions, and does so under the session's search path.
    fn evaluates(&self, definition: &Definition) -> bool {
        definition.calls
            && self.of_functions().is_some()
            && !(self.has_own_path() && properties::has_own_search_path(&definition.text))
    }

    /// Whether names in the text would be found in schemas that the source's search path has before PostgreSQL's own.
    fn would_misread(&self, definition: &Definition) -> bool {
        let catalog = self.source.iter().position(|element| element == CATALOG);
        catalog.is_some_and(|at| at > 0) && !properties::names_all_schemas(&definition.text)
    }

    /// Whether the server has search paths of its own for some statements.
    pub fn has_own_path(&self) -> bool {
        self.server_major >= OWN_PATH_SINCE
    }

    /// These schemas behind the source database's search path, a list of SQL.
    pub fn with(&self, schemas: &[String]) -> String {
        search_path(&joined(self.source.clone(), schemas))
    }

    /// The source database's search path, a list of SQL; none if it is empty.
    pub fn of_source(&self) -> Option<String> {
        (!self.source.is_empty()).then(|| search_path(&self.source))
    }

    /// Search paths to try, lists of SQL: the source database's, then the same with the object's schema before it.
    pub fn to_try(&self, schema: Option<&str>) -> Vec<String> {
        let source = &self.source;
        let mut paths: Vec<String> = self.of_source().into_iter().collect();
        if let Some(schema) =
            schema.filter(|schema| !source.iter().any(|element| element == schema))
        {
            paths.push(search_path(&[&[schema.to_owned()], &source[..]].concat()));
        }
        paths
    }
}

fn joined(mut path: Vec<String>, others: &[String]) -> Vec<String> {
    for schema in others {
        if !path.contains(schema) {
            path.push(schema.clone());
        }
    }
    path
}

/// What the dump sets at its beginning.
const RESET: &[u8] = b"SET search_path = '';\n";

/// How many objects are reported by name.
const NAMED: usize = 10;

/// The objects that get the values of functions under another search path than the dump's.
#[derive(Default)]
pub struct PathReport {
    /// Each with what happens to it.
    objects: Vec<(String, &'static str)>,
}

impl PathReport {
    /// Adds an object if it calls functions.
    pub fn add(&mut self, definition: &Definition, paths: &SearchPaths) {
        if paths.evaluates(definition) {
            self.objects.push((definition.what(), "is created"));
        }
    }

    /// Adds a table whose rows call functions.
    pub fn add_rows(&mut self, table: &Name, paths: &SearchPaths) {
        // Those of several partitions may be copied into their root.
        let what = rows_of(table);
        if paths.of_functions().is_some() && self.objects.iter().all(|(other, _)| *other != what) {
            self.objects.push((what, "are loaded"));
        }
    }

    /// Reports all that have not failed.
    pub fn report(&self, paths: &SearchPaths, has_failed: impl Fn(&str) -> bool) {
        let Some(path) = paths.of_functions() else { return };
        let done: Vec<_> = self.objects.iter().filter(|(what, _)| !has_failed(what)).collect();
        for (what, done) in done.iter().take(NAMED) {
            info!("{what} {done} under the search path {path}: calls of functions depend on it");
        }
        if done.len() > NAMED {
            let more = done.len() - NAMED;
            info!("under the search path that calls of functions depend on: and {more} more");
        }
    }
}

/// The rows of a table, for people.
pub fn rows_of((schema, table): &Name) -> String {
    format!("rows of table {schema}.{table}").replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &[&str], operators: &[&str], server_major: u32) -> SearchPaths {
        let owned = |elements: &[&str]| elements.iter().map(|e| (*e).to_owned()).collect();
        SearchPaths {
            source: owned(source),
            is_of_dump: true,
            operator_schemas: owned(operators),
            server_major,
        }
    }

    fn script(paths: &SearchPaths, text: &str, calls: bool) -> String {
        let definition = Definition { calls, ..Definition::of_text(text) };
        String::from_utf8(paths.first_script(&definition).text().into_owned()).unwrap()
    }

    #[test]
    fn functions_are_evaluated_first_under_the_sources_search_path() {
        let path = paths(&["app", "public"], &[], 15);
        let (index, view) =
            ("CREATE INDEX i ON s.t (s.f(a));\n", "REFRESH MATERIALIZED VIEW s.m;\n");
        let under = |text: &str, path: &str| {
            format!("SET search_path = {path};\n{text}SET search_path = '';\n")
        };
        for text in [index, view] {
            assert_eq!(script(&path, text, true), under(text, "'app', 'public'"));
            assert_eq!(script(&path, text, false), text);
            assert_eq!(script(&SearchPaths { server_major: 17, ..path.clone() }, text, true), text);
            assert_eq!(
                script(&SearchPaths { is_of_dump: false, ..path.clone() }, text, true),
                text
            );
        }
        assert_eq!(
            paths(&["a"], &[], 15).with(&["b".into(), "a".into()]),
            "'a', 'b'",
            "the source's elements come first"
        );
        let odd = paths(&["app", "pg_catalog"], &[], 15);
        let again = under("REINDEX INDEX \"s\".\"i\";\n", "'app', 'pg_catalog'");
        assert_eq!(script(&odd, index, true), format!("{index}{again}"));
        assert_eq!(script(&odd, view, true), under(view, "'app', 'pg_catalog'"));
    }

    #[test]
    fn operators_that_a_statement_cannot_name_are_looked_up_first_in_their_schemas() {
        let hides = "CREATE INDEX i ON s.t (NULLIF(a, b));\n";
        let under =
            |path: &str| format!("SET search_path = {path};\n{hides}SET search_path = '';\n");
        assert_eq!(script(&paths(&["app"], &["ext"], 15), hides, false), under("'ext'"));
        assert_eq!(script(&paths(&["app"], &["ext"], 15), hides, true), under("'app', 'ext'"));
        assert_eq!(script(&paths(&["app"], &["ext"], 17), hides, true), under("'ext'"));
        assert_eq!(script(&paths(&["app"], &[], 15), hides, false), hides);
        let plain = "CREATE VIEW s.v AS SELECT 1;\n";
        assert_eq!(script(&paths(&["app"], &["ext"], 15), plain, false), plain);
    }
}
