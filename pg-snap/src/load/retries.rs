//! Which statements that have failed are put aside, and when they are tried again: pure decisions.

use super::definition::Definition;
use crate::server_error::ServerError;
use crate::sql::named_roles::named_roles;
use crate::sql::{TokenCursor, properties, tokens};

/// What a later statement of the dump may provide: a right that it grants; a materialized view that it fills; a name, a key
/// or a kind of object that is there only after it. Not a value, a duplicate, or a resource.
const MENDED_LATER: [&str; 12] = [
    "42501", "55000", "42883", "42P01", "42704", "42P02", "3F000", "42803", "42804", "42809",
    "42830", "42846",
];
/// Begin statements whose objects others name in full, so that these fail without them. In the place of a function, an
/// operator or a cast they would take another one without an error.
const WITHOUT_NAMESAKES: [&str; 21] = [
    "ALTER",
    "COMMENT",
    "GRANT",
    "REFRESH",
    "REVOKE",
    "SECURITY LABEL",
    "CREATE CONSTRAINT TRIGGER",
    "CREATE EVENT TRIGGER",
    "CREATE FOREIGN TABLE",
    "CREATE INDEX",
    "CREATE MATERIALIZED VIEW",
    "CREATE OR REPLACE VIEW",
    "CREATE POLICY",
    "CREATE PUBLICATION",
    "CREATE RULE",
    "CREATE SERVER",
    "CREATE STATISTICS",
    "CREATE TRIGGER",
    "CREATE UNIQUE INDEX",
    "CREATE USER MAPPING",
    "CREATE VIEW",
];
/// Begin statements whose objects get default privileges.
const WITH_DEFAULT_PRIVILEGES: [&str; 8] = [
    "CREATE AGGREGATE",
    "CREATE FOREIGN TABLE",
    "CREATE FUNCTION",
    "CREATE MATERIALIZED VIEW",
    "CREATE OR REPLACE FUNCTION",
    "CREATE OR REPLACE VIEW",
    "CREATE PROCEDURE",
    "CREATE VIEW",
];
/// No phrase above has more words.
const PHRASE: usize = 4;

fn begins_with(sql: &[u8], phrases: &[&str]) -> bool {
    let tokens = tokens(&String::from_utf8_lossy(sql), PHRASE);
    phrases.iter().any(|phrase| TokenCursor(&tokens).skip(phrase))
}

/// Whether a statement that has failed may succeed after others of the dump, and changes nothing of what these do if it is
/// run after them.
pub fn may_be_put_aside(sql: &[u8], failure: &ServerError) -> bool {
    may_be_mended(failure)
        && properties::may_be_omitted(sql)
        && begins_with(sql, &WITHOUT_NAMESAKES)
        && !properties::drops(sql)
}

/// Whether what is missing may come with other statements.
pub fn may_be_mended(failure: &ServerError) -> bool {
    failure.is(&MENDED_LATER)
}

/// What is tried again before the next statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// What changes an owner, whose privileges come next: once they are given, its rights would become those of the
    /// owner before it, too.
    Owners,
    All,
}

impl Due {
    /// Whether it includes a statement.
    pub fn includes(self, definition: &Definition) -> bool {
        self == Self::All || named_roles(&definition.text).iter().any(|role| role.owns)
    }
}

/// How far the statements of a dump have come, as far as it matters for what is tried again.
#[derive(Debug, Default)]
pub struct Retries {
    has_privileges: bool,
    has_last: bool,
    /// The numbers of the first statements of their kinds.
    default_privileges: Option<u64>,
    event_trigger: Option<u64>,
}

impl Retries {
    /// Records the statement that is run next; what is to be tried again before it.
    pub fn enter(&mut self, next: &Definition) -> Option<Due> {
        let begins = |phrases: &[&str]| begins_with(&next.text, phrases);
        if begins(&["ALTER DEFAULT PRIVILEGES"]) {
            self.default_privileges.get_or_insert(next.number);
        } else if begins(&["CREATE EVENT TRIGGER"]) {
            self.event_trigger.get_or_insert(next.number);
        } else if !begins(&["REFRESH"]) {
            let gives = begins(&["GRANT", "REVOKE"]) && !is_on_schema(&next.text);
            let is_first = gives && !self.has_privileges;
            self.has_privileges |= gives;
            return is_first.then_some(Due::Owners);
        }
        (!std::mem::replace(&mut self.has_last, true)).then_some(Due::All)
    }

    /// Whether a statement may still be run without more effects than in its own place: an event trigger would take it for
    /// one of its application, and default privileges would be added to those of its object.
    pub fn allow(&self, definition: &Definition) -> bool {
        let is_before = |other: Option<u64>| {
            // What the load itself has added comes after all statements.
            other.is_some_and(|other| !(other..u64::MAX).contains(&definition.number))
        };
        let gets_more = is_before(self.default_privileges)
            && begins_with(&definition.text, &WITH_DEFAULT_PRIVILEGES);
        !gets_more && !is_before(self.event_trigger)
    }
}

fn is_on_schema(sql: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sql);
    let tokens = tokens(&text, 64);
    let mut rest = TokenCursor(&tokens);
    rest.find("ON") && rest.skip("SCHEMA")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_later_statements_may_mend_is_put_aside_and_nothing_else() {
        for (sql, state, aside) in [
            ("ALTER TABLE s.u OWNER TO a;", "42501", true),
            ("REFRESH MATERIALIZED VIEW s.m;", "55000", true),
            ("CREATE VIEW s.v AS SELECT 1;", "42P01", true),
            ("CREATE INDEX i ON s.t (s.f(a));", "42883", true),
            (
                "ALTER TABLE ONLY s.t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES s.u(a);",
                "42830",
                true,
            ),
            ("CREATE OR REPLACE VIEW s.v AS SELECT 1;", "42803", true),
            // No statement of a dump adds a column.
            ("CREATE VIEW s.v AS SELECT gone FROM s.t;", "42703", false),
            ("CREATE INDEX i ON s.t (s.f(a));", "P0001", false),
            ("CREATE UNIQUE INDEX i ON s.t (a);", "23505", false),
            ("ALTER TABLE s.t ADD CONSTRAINT c CHECK ((a > 0));", "23514", false),
            ("CREATE INDEX i ON s.t (a);", "53100", false),
            ("REFRESH MATERIALIZED VIEW s.m;", "57014", false),
            ("REFRESH MATERIALIZED VIEW s.m;", "22012", false),
            ("GRANT SELECT ON TABLE s.t TO a;", "42601", false),
            ("CREATE VIEW s.v AS SELECT 1;", "42P07", false),
            // Another function, operator or cast could be taken in its place.
            ("CREATE FUNCTION s.f(int) RETURNS int LANGUAGE c AS 'x';", "42501", false),
            ("CREATE OPERATOR s.= (FUNCTION = s.f, LEFTARG = int);", "42883", false),
            ("CREATE CAST (s.a AS int) WITH FUNCTION s.f(s.a);", "42501", false),
            ("CREATE EXTENSION citext WITH SCHEMA public;", "42501", false),
            // What rows need, and what drops something.
            ("CREATE TABLE s.t (a s.e);", "42704", false),
            ("SET default_table_access_method = gone;", "42704", false),
            ("ALTER TABLE IF EXISTS ONLY s.t DROP CONSTRAINT k;", "42704", false),
        ] {
            let found = may_be_put_aside(sql.as_bytes(), &ServerError::of_state(state));
            assert_eq!(found, aside, "{state} {sql}");
        }
    }

    fn numbered(number: u64, sql: &str) -> Definition {
        Definition {
            number,
            object: None,
            text: sql.into(),
            settings: Default::default(),
            calls: false,
        }
    }

    #[test]
    fn owners_come_before_the_privileges_and_all_else_before_what_would_see_it() {
        let mut retries = Retries::default();
        let due = [
            ("CREATE TRIGGER x AFTER INSERT ON s.t EXECUTE FUNCTION s.f();", None),
            ("GRANT CREATE ON SCHEMA s TO a;", None),
            ("REVOKE ALL ON TABLE s.schema FROM a;", Some(Due::Owners)),
            ("GRANT SELECT ON TABLE s.t TO a;", None),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;", Some(Due::All)),
            ("CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION s.f();", None),
            ("REFRESH MATERIALIZED VIEW s.m;", None),
            ("GRANT SELECT ON TABLE s.t TO b;", None),
        ];
        for (number, (sql, expected)) in (10..).zip(due) {
            assert_eq!(retries.enter(&numbered(number, sql)), expected, "{sql}");
        }
        let owner = numbered(3, "ALTER TABLE s.u OWNER TO a;");
        assert!(Due::Owners.includes(&owner) && Due::All.includes(&owner));
        assert!(!Due::Owners.includes(&numbered(3, "CREATE VIEW s.v AS SELECT 1;")));
    }

    #[test]
    fn what_would_have_other_effects_at_the_end_is_not_tried_then() {
        let view = "CREATE VIEW s.v AS SELECT 1;";
        let index = "CREATE INDEX i ON s.m (a);";
        let mut retries = Retries::default();
        assert!(retries.allow(&numbered(1, view)));
        retries.enter(&numbered(
            5,
            "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b;",
        ));
        assert!(!retries.allow(&numbered(1, view)) && retries.allow(&numbered(1, index)));
        assert!(retries.allow(&numbered(6, view)));
        retries.enter(&numbered(7, "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION s.f();"));
        assert!(!retries.allow(&numbered(1, index)) && !retries.allow(&numbered(u64::MAX, index)));
        assert!(retries.allow(&numbered(8, "REFRESH MATERIALIZED VIEW s.m;")));
    }
}
