//! What belongs to a database but lies outside it, so that `pg_dump` of that one database omits it:
//! encoding, locale, owner, grants, comment, connection limit, settings, and the roles that
//! its objects need. It travels as one SQL comment at the head of the dump.

mod contents;
mod grants;
mod planned;
mod public_schema;
mod requirements;
mod settings;

pub use contents::{DatabaseContents, QUERY as CONTENTS};
pub use grants::Grant;
pub use planned::PLANNED;
pub use public_schema::{PublicSchema, STATE as PUBLIC_SCHEMA_STATE};
pub use requirements::{
    ABSENT_PUBLIC, Dictionary, Requirements, Resolution, SuperuserKind, SuperuserObject, queries,
};
pub use settings::list as search_path;

use crate::blocks::comments;
use crate::psql::Server;
use crate::sql::{ident, literal};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The beginning of the line of the dump that carries the state.
pub const LINE: &str = "-- pg-snap-database: ";

/// A database's own state. Field names are part of the dump format (docs/FORMAT.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseState {
    /// The database's name when it was dumped.
    pub name: String,
    pub owner: String,
    pub encoding: String,
    pub collate: String,
    pub ctype: String,
    /// `c` libc, `i` ICU, `b` builtin; none before PostgreSQL 15.
    #[serde(default)]
    pub locale_provider: Option<String>,
    /// The ICU or builtin locale.
    #[serde(default)]
    pub locale: Option<String>,
    #[serde(default)]
    pub icu_rules: Option<String>,
    pub tablespace: String,
    /// -1: no limit.
    pub connection_limit: i64,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the server's defaults. Empty: nobody has any privilege.
    #[serde(default)]
    pub grants: Option<Vec<Grant>>,
    #[serde(default)]
    pub settings: Vec<Setting>,
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Extensions that the dump creates. None: not known.
    #[serde(default)]
    pub extensions: Option<Vec<String>>,
    /// The size of the database on its server's disk, in bytes.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// The search path of the session that dumped it, as the server shows it. None: not known.
    #[serde(default)]
    pub search_path: Option<String>,
    /// What can cause trouble when the dump is loaded, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What it needs of a server. None: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Requirements>,
}

/// `ALTER DATABASE … SET`, or `ALTER ROLE … IN DATABASE … SET` where a role is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    #[serde(default)]
    pub role: Option<String>,
    pub name: String,
    pub value: String,
}

/// A role that the database or its objects name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    /// Whether it could log in: its password is the server's, not the dump's.
    pub login: bool,
    /// Whether it owns the database or an object in it, or has granted a privilege on what another role owns:
    /// the role that loads the dump must be a member of it. None: not known.
    #[serde(default)]
    pub owns: Option<bool>,
}

impl DatabaseState {
    /// Adds the requirements; roles that rows refer to become roles of the dump.
    pub fn require(&mut self, mut requirements: Requirements) {
        for (name, login) in requirements.take_roles() {
            if self.roles.iter().all(|role| role.name != name) {
                self.roles.push(Role { name, login, owns: Some(false) });
            }
        }
        self.roles.sort_by(|a, b| a.name.cmp(&b.name));
        self.requirements = Some(requirements);
    }
}

impl Setting {
    fn statement(&self, database: &str) -> String {
        let target = settings::alter_target(self.role.as_deref(), database);
        format!("ALTER {target} {};\n", self.assignment())
    }

    /// What follows the target of an `ALTER`.
    pub fn assignment(&self) -> String {
        let value = settings::value(&self.name, &self.value);
        format!("SET {} TO {value}", settings::name(&self.name))
    }
}

/// `:'db'` stands for an expression, the name of the database.
const QUERY: &str = include_str!("database_state/state.sql");

impl DatabaseState {
    /// Reads it from the server; none if there is no such database.
    pub fn read(server: &Server, database: &str) -> Result<Option<Self>> {
        let read = |session: &str, name: &str| server.query(session, &QUERY.replace(":'db'", name));
        let answer = match read(&server.maintenance, &literal(database)) {
            // Outside ASCII, another database's session may read other text than its own ones, or an error.
            answer if server.maintenance == database => answer?,
            Ok(answer) if answer.is_ascii() => answer,
            // It may accept no session, and be read only from outside.
            outside => read(database, "pg_catalog.current_database()").or(outside)?,
        };
        if answer.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&answer)
            .map(Some)
            .with_context(|| format!("reading the state of database {database}"))
    }

    /// Schemas of operators that a statement of the dump may use without naming them.
    pub fn operator_schemas(&self) -> Vec<String> {
        let hidden = self.requirements.as_ref().map(|needs| &needs.hidden_operators);
        hidden.map(|hidden| hidden.schemas.clone()).unwrap_or_default()
    }

    /// Adds what only the database itself knows.
    pub fn add_contents(&mut self, contents: DatabaseContents) {
        self.size_bytes = Some(contents.size_bytes);
        self.extensions = Some(contents.extensions);
        let grants = self.grants.as_deref().unwrap_or_default();
        let grantors: BTreeSet<&String> =
            grants.iter().filter_map(|g| g.grantor.as_ref()).collect();
        for role in &mut self.roles {
            let name = &role.name;
            let owns = *name == self.owner || contents.owners.contains(name);
            role.owns = Some(owns || grantors.contains(name));
        }
    }

    /// The comment line that carries it. JSON has no raw line breaks, so it cannot end the comment.
    pub fn to_comment(&self) -> Result<String> {
        Ok(format!("{LINE}{}\n", serde_json::to_string(self)?))
    }

    /// Finds it in the text at the head of a dump, looking no further than the first line that is
    /// not a comment.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::damaged`] if the line is there and cannot be read.
    pub fn from_head(head: &[u8]) -> Result<Option<Self>> {
        let Some(line) = comments(head).filter_map(|l| l.strip_prefix(LINE.as_bytes())).next()
        else {
            return Ok(None);
        };
        serde_json::from_slice(line).map(Some).map_err(|e| {
            pipe_kit::Stop::damaged(format!("the dump's '{}' line: {e}", LINE.trim())).into()
        })
    }

    /// `CREATE DATABASE` for a database of that name with this encoding and locale, which
    /// [`DatabaseState::owner_statement`] then gives to its owner.
    pub fn create_statement(
        &self,
        name: &str,
        server_major: u32,
        has_tablespace: impl Fn(&str) -> bool,
    ) -> String {
        let mut sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            ident(name),
            literal(&self.encoding),
            literal(&self.collate),
            literal(&self.ctype)
        );
        if server_major >= 15 {
            let (provider, option) = match self.locale_provider.as_deref() {
                Some("i") => ("icu", "ICU_LOCALE"),
                Some("b") => ("builtin", "BUILTIN_LOCALE"),
                _ => ("libc", ""),
            };
            let _ = write!(sql, " LOCALE_PROVIDER {provider}");
            if let (Some(locale), false) = (&self.locale, option.is_empty()) {
                let _ = write!(sql, " {option} {}", literal(locale));
            }
            if let Some(rules) = &self.icu_rules {
                let _ = write!(sql, " ICU_RULES {}", literal(rules));
            }
        }
        // If named, even the default one requires a privilege that an ordinary owner lacks.
        if self.tablespace != "pg_default" && has_tablespace(&self.tablespace) {
            let _ = write!(sql, " TABLESPACE {}", ident(&self.tablespace));
        }
        sql.push(';');
        sql
    }

    /// Gives a database of that name to the owner.
    pub fn owner_statement(&self, name: &str) -> String {
        format!("ALTER DATABASE {} OWNER TO {};\n", ident(name), ident(&self.owner))
    }

    /// The value of a setting of the database itself.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let of_database = |s: &&Setting| s.role.is_none() && s.name.eq_ignore_ascii_case(name);
        self.settings.iter().find(of_database).map(|s| s.value.as_str())
    }

    /// The schema public of the source database; none if the dump does not say.
    pub fn known_public_schema(&self) -> Option<&PublicSchema> {
        self.requirements.as_ref()?.public_schema.as_ref()
    }

    /// The search path that it is known to have had, as the server shows it.
    pub fn known_search_path(&self) -> Option<&str> {
        self.search_path.as_deref().or_else(|| self.setting("search_path"))
    }

    /// The elements of a search path as the server shows it; `"$user"` is the owner's.
    pub fn search_path_elements(&self, path: &str) -> Vec<String> {
        let elements = settings::split_list(path).into_iter().filter(|e| !e.is_empty());
        elements.map(|e| if e == "$user" { self.owner.clone() } else { e }).collect()
    }

    /// The statements that give a database, before its first row, the settings that change what text
    /// means or what is derived from rows: all but those that only cost or forbid.
    pub fn settings_before_rows(&self, name: &str) -> String {
        self.settings
            .iter()
            .filter(|setting| !settings::comes_last(&setting.name))
            .map(|setting| setting.statement(name))
            .collect()
    }

    /// The statements that give a loaded database the rest of the state: grants, comment, limit,
    /// and the settings that would cost the load something or forbid it.
    pub fn apply_statements(&self, name: &str) -> String {
        format!("BEGIN;\n{}COMMIT;\n", self.rest_statements(name))
    }

    /// The same, and nothing is changed: they fail now if they would fail after the load.
    pub fn try_statements(&self, name: &str) -> String {
        format!("BEGIN;\n{}ROLLBACK;\n", self.rest_statements(name))
    }

    fn rest_statements(&self, name: &str) -> String {
        let db = ident(name);
        let mut sql = String::new();
        if let Some(comment) = &self.comment {
            let _ = writeln!(sql, "COMMENT ON DATABASE {db} IS {};", literal(comment));
        }
        if let Some(grants) = &self.grants {
            sql += &grants::statements(grants, name, &self.owner);
        }
        // Reset first, so that the settings end up in the order of the dump.
        let owners: BTreeSet<Option<&str>> =
            self.settings.iter().map(|setting| setting.role.as_deref()).collect();
        for owner in owners {
            let _ = writeln!(sql, "ALTER {} RESET ALL;", settings::alter_target(owner, name));
        }
        self.settings.iter().for_each(|setting| sql += &setting.statement(name));
        let _ = writeln!(sql, "ALTER DATABASE {db} CONNECTION LIMIT {};", self.connection_limit);
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_in_rows_are_roles_of_the_dump() {
        let known = Role { name: "a".into(), login: true, owns: Some(true) };
        let mut state = DatabaseState { roles: vec![known.clone()], ..DatabaseState::default() };
        let mut requirements = Requirements::default();
        for (value, how) in [("b", "login"), ("a", "role")] {
            let line =
                format!(r#"{{"type":"regrole","column":"t.x","value":"{value}","how":"{how}"}}"#);
            requirements.add_line(&line).unwrap();
        }
        state.require(requirements);
        let named = Role { name: "b".into(), login: true, owns: Some(false) };
        assert_eq!(state.roles, [known, named]);
    }

    fn state() -> DatabaseState {
        DatabaseState {
            name: "piprio".into(),
            owner: "it's \"me\"".into(),
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            locale_provider: Some("i".into()),
            locale: Some("de-DE".into()),
            tablespace: "pg_default".into(),
            connection_limit: -1,
            comment: Some("two\nlines; -- \\! id".into()),
            grants: Some(vec![Grant {
                grantee: None,
                privilege: "CONNECT".into(),
                grantable: false,
                grantor: None,
            }]),
            ..DatabaseState::default()
        }
    }

    #[test]
    fn travels_as_one_comment_line_whatever_it_holds() {
        let line = state().to_comment().unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let head = format!("--\n-- x\n{line}--\n\nSET a = 1;\n");
        assert_eq!(DatabaseState::from_head(head.as_bytes()).unwrap(), Some(state()));
        assert_eq!(DatabaseState::from_head(b"--\nSET x;\n-- pg-snap-database: {}").unwrap(), None);
        assert!(DatabaseState::from_head(b"-- pg-snap-database: {\n").is_err());
    }

    #[test]
    fn a_line_of_an_older_version_gives_what_it_gave() {
        let members = [
            r#""name":"a","owner":"o","encoding":"UTF8","collate":"C","ctype":"C","tablespace":"pg_default""#,
            r#""connection_limit":-1,"roles":[{"name":"o","login":true}]"#,
            r#""grants":[{"grantee":null,"privilege":"CONNECT","grantable":false}]"#,
        ];
        let line = format!("{LINE}{{{}}}\n", members.join(","));
        let state = DatabaseState::from_head(line.as_bytes()).unwrap().unwrap();
        let sql = state.apply_statements("x");
        assert!(sql.contains("\nGRANT CONNECT ON DATABASE \"x\" TO PUBLIC;\n"), "{sql}");
        assert!(!state.to_comment().unwrap().contains("grantor"));
    }

    #[test]
    fn names_and_values_are_quoted() {
        let sql = state().create_statement("a\"b", 15, |_| false);
        assert!(
            sql.starts_with(r#"CREATE DATABASE "a""b" TEMPLATE template0 ENCODING 'UTF8'"#),
            "{sql}"
        );
        assert!(sql.ends_with("LOCALE_PROVIDER icu ICU_LOCALE 'de-DE';"), "{sql}");
        assert!(!state().create_statement("x", 14, |_| false).contains("PROVIDER"));
        let sql = state().owner_statement("x");
        assert_eq!(sql, "ALTER DATABASE \"x\" OWNER TO \"it's \"\"me\"\"\";\n");
        let sql = state().apply_statements("x");
        assert!(sql.contains("GRANT CONNECT ON DATABASE \"x\" TO PUBLIC;"), "{sql}");
    }
}
