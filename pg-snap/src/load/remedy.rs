//! What may help if a statement of the dump fails: a pure decision by the statement and the SQLSTATE.

mod advice;

pub use advice::advice;

use super::definition::Definition;
use super::search_paths::SearchPaths;
use crate::server_error::{INSUFFICIENT_PRIVILEGE, ServerError};
use crate::sql::named_roles::named_roles;
use crate::sql::operators;
use crate::sql::properties;
use crate::sql::reduction::{ReducedDefinition, reductions};
use crate::sql::{ident, literal, with_values};

/// A name that a statement, or a function that it calls, looks up was not found: an undefined function,
/// table, column, object, parameter or schema; an ambiguous function; types that fit no operator.
const NOT_FOUND: [&str; 9] =
    ["42883", "42P01", "42703", "42704", "42P02", "3F000", "42725", "42804", "42846"];
/// A row does not fit a check, which may look up a name and find it only under another search path.
pub const CHECK_VIOLATION: &str = "23514";
/// Another session was in the way: a deadlock, a failed serialization, a lock that was not given.
const IN_THE_WAY: [&str; 3] = ["40P01", "40001", "55P03"];
/// Classes that say nothing about names or values: another session, resources, an operator, the system. What fails
/// by one of them must not succeed later under a search path in which it has other values.
const OF_THE_MOMENT: [&str; 4] = ["40", "53", "57", "58"];

/// Another way to execute a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// Under this search path, a list of SQL.
    SearchPath(String),
    /// With this search path set on the functions that it calls while it runs.
    FunctionsUnder(String),
    /// With its operators without their schemas, under this search path.
    OperatorsUnder(String),
    /// As a constraint that is not checked against the existing rows.
    NotValid,
    /// Without clauses that can be added afterwards.
    Reduced(ReducedDefinition),
    /// Once more as at first.
    Again,
    /// Under the policies that apply to its owner: it fills a materialized view.
    UnderPolicies,
    /// In a transaction in which this role is a superuser.
    WithSuperuser(String),
    /// In a transaction in which this role may create objects in this schema: PostgreSQL asks that of a new owner.
    WithRightToCreate { schema: String, role: String },
    /// As it is, where it was executed under another search path.
    AsWritten,
}

/// What the alternatives depend on besides the statement.
pub struct RetryContext<'a> {
    pub paths: &'a SearchPaths,
    /// The object's schema.
    pub schema: Option<&'a str>,
    pub keep_going: bool,
    /// Whether the rights in schemas that the dump grants are granted by now.
    pub has_rights: bool,
}

/// The alternatives to try, in this order.
pub fn alternatives(
    definition: &Definition,
    failure: &ServerError,
    context: &RetryContext<'_>,
) -> Vec<Alternative> {
    let (sql, paths) = (&definition.text[..], context.paths);
    let mut alternatives = Vec::new();
    alternatives.extend(failure.is(&IN_THE_WAY).then_some(Alternative::Again));
    let first = paths.first(definition);
    let is_other = paths.first_script(definition).is_other();
    let may_be_of_path = is_other && !is_of_the_moment(failure);
    alternatives.extend(may_be_of_path.then_some(Alternative::AsWritten));
    if failure.is(&NOT_FOUND) && !properties::is_setting(sql) {
        let to_try = paths.to_try(context.schema);
        let others = to_try.iter().filter(|path| first.as_ref() != Some(path));
        alternatives.extend(others.cloned().map(Alternative::SearchPath));
        alternatives.extend(operators_under(sql, paths));
        if paths.has_own_path() && properties::has_own_search_path(sql) {
            alternatives.extend(to_try.into_iter().map(Alternative::FunctionsUnder));
        }
    }
    if failure.is(&[INSUFFICIENT_PRIVILEGE]) {
        alternatives.extend(former_superuser(sql).map(Alternative::WithSuperuser));
        let schema = context.schema.filter(|_| context.has_rights);
        alternatives.extend(schema.and_then(|schema| {
            let (schema, role) = (schema.to_owned(), new_owner(sql)?);
            Some(Alternative::WithRightToCreate { schema, role })
        }));
        let fills = properties::refreshed_view(&String::from_utf8_lossy(sql)).is_some();
        alternatives.extend(fills.then_some(Alternative::UnderPolicies));
    }
    let checked = properties::adds_checked_constraint(sql);
    if checked && failure.is(&[CHECK_VIOLATION]) {
        let source = paths.of_source().filter(|path| first.as_ref() != Some(path));
        alternatives.extend(source.map(Alternative::SearchPath));
    }
    if context.keep_going {
        alternatives.extend(checked.then_some(Alternative::NotValid));
        // Text in another encoding cannot be cut without changing it.
        let reduced = std::str::from_utf8(sql).map_or_else(|_| Vec::new(), reductions);
        alternatives.extend(reduced.into_iter().map(Alternative::Reduced));
    }
    alternatives
}

/// Whether a failure says nothing about names or values.
pub fn is_of_the_moment(failure: &ServerError) -> bool {
    let of_class = |state: &str| OF_THE_MOMENT.iter().any(|class| state.starts_with(class));
    failure.is(&IN_THE_WAY) || failure.sqlstate().is_some_and(of_class)
}

/// The operator of a row's first column is written for all of its columns.
fn operators_under(sql: &[u8], paths: &SearchPaths) -> Option<Alternative> {
    let (_, schemas) = operators::without_schemas(std::str::from_utf8(sql).ok()?)?;
    Some(Alternative::OperatorsUnder(paths.with(&schemas)))
}

/// The role to which a statement gives what PostgreSQL gives only to superusers. An owner that was one once has kept it.
fn former_superuser(sql: &[u8]) -> Option<String> {
    new_owner(sql).filter(|_| properties::gives_to_superuser(sql))
}

/// The role to which a statement gives something.
fn new_owner(sql: &[u8]) -> Option<String> {
    // The name is sent back: it must not have changed by the way.
    std::str::from_utf8(sql).ok()?;
    named_roles(sql).into_iter().find(|role| role.owns).map(|role| role.name)
}

/// The more informative failure: that of the last alternative, unless a name was still not found.
pub fn more_informative(first: ServerError, last: ServerError) -> ServerError {
    if first.is(&NOT_FOUND) && !last.is(&NOT_FOUND) && last.sqlstate().is_some() {
        last
    } else {
        first
    }
}

/// Another way to copy rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowAlternative {
    /// Under the dump's search path, where another was set.
    AsWritten,
    /// Under this search path, a list of SQL.
    SearchPath(String),
    /// Without the checks that the rows do not fit.
    WithoutChecks,
}

/// The alternatives to try with rows that have failed under a search path, or under the dump's.
pub fn alternatives_for_rows(
    failure: &ServerError,
    paths: &SearchPaths,
    first: Option<&str>,
    schema: &str,
) -> Vec<RowAlternative> {
    let mut alternatives = Vec::new();
    let may_be_of_path = first.is_some() && !is_of_the_moment(failure);
    alternatives.extend(may_be_of_path.then_some(RowAlternative::AsWritten));
    let others = match failure {
        _ if failure.is(&NOT_FOUND) => paths.to_try(Some(schema)),
        _ if failure.is(&[CHECK_VIOLATION]) => paths.of_source().into_iter().collect(),
        _ => Vec::new(),
    };
    let others = others.into_iter().filter(|path| first != Some(path));
    alternatives.extend(others.map(RowAlternative::SearchPath));
    alternatives
}

/// Whether rows violate a constraint.
pub fn is_violation(failure: &ServerError) -> bool {
    failure.sqlstate().is_some_and(|state| state.starts_with("23"))
}

impl Alternative {
    /// Whether it looks up names elsewhere, and changes nothing else.
    pub fn is_of_paths(&self) -> bool {
        use Alternative::{AsWritten, FunctionsUnder, OperatorsUnder, SearchPath};
        matches!(self, AsWritten | SearchPath(_) | OperatorsUnder(_) | FunctionsUnder(_))
    }

    /// The script that executes a statement this way.
    pub fn script(&self, definition: &Definition) -> Vec<u8> {
        let script = self.script_in_transaction(definition);
        match self {
            Self::FunctionsUnder(_) | Self::WithSuperuser(_) | Self::WithRightToCreate { .. } => {
                [b"BEGIN;\n", &script[..], b"COMMIT;\n"].concat()
            }
            _ => script,
        }
    }

    /// The same for a session that is in a transaction.
    pub fn script_in_transaction(&self, definition: &Definition) -> Vec<u8> {
        let sql = &definition.text[..];
        match self {
            Self::SearchPath(path) => [&definition.settings.set_search_path(path), sql].concat(),
            Self::OperatorsUnder(path) => {
                let text = String::from_utf8_lossy(sql);
                let text =
                    operators::without_schemas(&text).map_or_else(|| text.into(), |(text, _)| text);
                [&definition.settings.set_search_path(path), text.as_bytes()].concat()
            }
            Self::Again | Self::AsWritten => sql.to_vec(),
            Self::UnderPolicies => [b"SET row_security = on;\n", sql].concat(),
            Self::NotValid => not_valid(sql),
            Self::Reduced(reduced) => reduced.text.clone().into_bytes(),
            Self::WithSuperuser(role) => {
                let role = ident(role);
                let (make, unmake) = (
                    format!("ALTER ROLE {role} SUPERUSER;\n"),
                    format!("ALTER ROLE {role} NOSUPERUSER;\n"),
                );
                [make.as_bytes(), sql, unmake.as_bytes()].concat()
            }
            Self::WithRightToCreate { schema, role } => {
                let (schema, role) = (ident(schema), ident(role));
                let grant = format!("GRANT CREATE ON SCHEMA {schema} TO {role};\n");
                let revoke = format!("REVOKE CREATE ON SCHEMA {schema} FROM {role};\n");
                [grant.as_bytes(), sql, revoke.as_bytes()].concat()
            }
            Self::FunctionsUnder(path) => {
                let (set, reset) = functions_under(&String::from_utf8_lossy(sql), path);
                [set.as_bytes(), sql, reset.as_bytes()].concat()
            }
        }
    }
}

fn not_valid(sql: &[u8]) -> Vec<u8> {
    let statement = sql.trim_ascii_end();
    let statement = statement.strip_suffix(b";").unwrap_or(statement);
    [statement, b" NOT VALID;\n"].concat()
}

/// Statements that set the search path on the functions that a statement calls, and reset it: functions
/// that it names, or that the query of the materialized view calls that it fills.
fn functions_under(sql: &str, path: &str) -> (String, String) {
    let functions = match properties::refreshed_view(sql) {
        Some((schema, view)) => with_values(
            include_str!("remedy/functions_of_view.sql"),
            &[("schema", &schema), ("view", &view)],
        ),
        None => {
            let called = properties::called_functions(sql);
            let called = if called.is_empty() { "('', '')" } else { &called };
            format!("(n.nspname, p.proname) IN ({called})")
        }
    };
    let format = format!("ALTER ROUTINE %s SET search_path = {}", path.replace('%', "%%"));
    // Constants first: what the dump names must not be replaced in again.
    let set = include_str!("remedy/set_search_path.sql").replace("/*functions*/", &functions);
    let set = with_values(&set, &[("format", &format)]);
    let run = |code: &str| format!("DO LANGUAGE plpgsql {};\n", literal(code));
    (run(&set), run(include_str!("remedy/reset_search_path.sql")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(state: &str) -> ServerError {
        ServerError::of_state(state)
    }

    fn found(sql: &str, state: &str, major: u32, keep_going: bool) -> Vec<Alternative> {
        found_for(&Definition::of_text(sql), state, major, keep_going)
    }

    fn found_for(
        definition: &Definition,
        state: &str,
        server_major: u32,
        keep_going: bool,
    ) -> Vec<Alternative> {
        let paths = SearchPaths {
            source: vec!["app".into(), "public".into()],
            is_of_dump: true,
            operator_schemas: vec!["ext".into()],
            server_major,
        };
        let context =
            RetryContext { paths: &paths, schema: Some("t1"), keep_going, has_rights: false };
        alternatives(definition, &failure(state), &context)
    }

    #[test]
    fn what_is_not_found_is_looked_for_under_the_sources_path_then_with_the_objects_schema() {
        let path = |p: &str| Alternative::SearchPath(p.into());
        let both = [path("'app', 'public'"), path("'t1', 'app', 'public'")];
        assert_eq!(found("CREATE VIEW t1.v AS SELECT 1;", "42883", 15, false), both);
        assert_eq!(found("CREATE INDEX i ON t1.t (s.f(a));", "42P01", 16, false), both);
        assert_eq!(found("CREATE INDEX i ON t1.t (s.f(a));", "42P01", 17, false).len(), 4);
        assert_eq!(found("CREATE VIEW t1.v AS SELECT 1;", "23505", 15, false), []);
        assert_eq!(found("CREATE UNIQUE INDEX i ON t1.t (a);", "23505", 17, true), []);
    }

    #[test]
    fn what_was_executed_under_another_search_path_is_executed_as_it_is_then() {
        let hides = "CREATE VIEW t1.v AS SELECT NULLIF(a, b);\n";
        assert_eq!(found(hides, "23505", 15, false), [Alternative::AsWritten]);
        let index = Definition::of_text("CREATE UNIQUE INDEX i ON t1.t (s.f(a));\n");
        let calls = Definition { calls: true, ..index };
        assert_eq!(found_for(&calls, "23505", 15, false), [Alternative::AsWritten]);
        let other = Alternative::SearchPath("'t1', 'app', 'public'".into());
        assert_eq!(found_for(&calls, "42883", 15, false), [Alternative::AsWritten, other]);
        let rows = |state, first| {
            let paths = SearchPaths { source: vec!["app".into()], ..SearchPaths::default() };
            alternatives_for_rows(&failure(state), &paths, first, "t1")
        };
        let path = |path: &str| RowAlternative::SearchPath(path.into());
        assert_eq!(rows("42883", None), [path("'app'"), path("'t1', 'app'")]);
        assert_eq!(rows("42883", Some("'app'")), [RowAlternative::AsWritten, path("'t1', 'app'")]);
        assert_eq!(rows("23514", Some("'app'")), [RowAlternative::AsWritten]);
        // Nothing but the disk was full: the values must be those of the source's path.
        for state in ["53100", "40P01", "55P03", "57014", "58030"] {
            assert_eq!(rows(state, Some("'app'")), []);
            let again = vec![Alternative::Again; usize::from(["40P01", "55P03"].contains(&state))];
            assert_eq!(found_for(&calls, state, 15, false), again);
        }
        assert_eq!(rows("23514", None), [path("'app'")]);
        assert_eq!(rows("23505", None), []);
    }

    #[test]
    fn foreign_keys_and_checks_may_go_unchecked_where_objects_may_be_left_out() {
        let key = "ALTER TABLE ONLY s.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES s.u(a);\n";
        let check = "ALTER TABLE s.t ADD CONSTRAINT c CHECK ((a > 0));";
        assert_eq!(found(key, "23503", 15, true), [Alternative::NotValid]);
        let looked_up = Alternative::SearchPath("'app', 'public'".into());
        assert_eq!(found(check, "23514", 15, true), [looked_up, Alternative::NotValid]);
        assert_eq!(found(key, "23503", 15, false), []);
        assert_eq!(
            found("ALTER TABLE s.t ADD CONSTRAINT p PRIMARY KEY (a);", "23505", 15, true),
            []
        );
        assert!(
            Alternative::NotValid
                .script(&Definition::of_text(key))
                .ends_with(b"REFERENCES s.u(a) NOT VALID;\n")
        );
    }

    #[test]
    fn what_only_superusers_own_goes_to_one_that_is_none_any_more() {
        let trigger = "ALTER EVENT TRIGGER watch OWNER TO \"Odd \"\" one\";\n";
        let with = Alternative::WithSuperuser("Odd \" one".into());
        assert_eq!(found(trigger, "42501", 15, false), std::slice::from_ref(&with));
        assert_eq!(found(trigger, "42704", 15, false).len(), 2);
        assert_eq!(found("ALTER TABLE s.t OWNER TO o;", "42501", 15, false), []);
        let script = String::from_utf8(with.script(&Definition::of_text(trigger))).unwrap();
        let role = "ALTER ROLE \"Odd \"\" one\"";
        assert_eq!(
            script,
            format!("BEGIN;\n{role} SUPERUSER;\n{trigger}{role} NOSUPERUSER;\nCOMMIT;\n")
        );
    }

    #[test]
    fn a_new_owner_may_create_in_the_schema_once_the_dump_has_granted_its_rights() {
        let owner = Definition::of_text("ALTER TABLE t1.t OWNER TO o;\n");
        let paths = SearchPaths::default();
        let found = |has_rights, state| {
            let context =
                RetryContext { paths: &paths, schema: Some("t1"), keep_going: false, has_rights };
            alternatives(&owner, &failure(state), &context)
        };
        let with = Alternative::WithRightToCreate { schema: "t1".into(), role: "o".into() };
        assert_eq!(found(true, "42501"), std::slice::from_ref(&with));
        assert_eq!((found(false, "42501"), found(true, "23505")), (vec![], vec![]));
        let script = String::from_utf8(with.script(&owner)).unwrap();
        assert_eq!(
            script,
            "BEGIN;\nGRANT CREATE ON SCHEMA \"t1\" TO \"o\";\nALTER TABLE t1.t OWNER TO o;\n\
             REVOKE CREATE ON SCHEMA \"t1\" FROM \"o\";\nCOMMIT;\n"
        );
    }

    #[test]
    fn functions_that_a_statement_names_get_the_path_and_lose_it() {
        let (set, reset) =
            functions_under("CREATE INDEX i ON s.t USING btree (x.f(a), lower(b))", "'app'");
        assert!(set.contains("(''x'', ''f'')") && !set.contains("lower"), "{set}");
        assert!(reset.contains("RESET search_path"), "{reset}");
    }
}
