//! The head of a dump: what the dump needs of a server, read without its data.

use crate::blocks::Blocks;
use crate::database_state::{DatabaseState, Role};
use crate::sql::named_roles::{NamedRole, named_roles};
use crate::sql::scanner::{Observer, Scanner};
use crate::sql::{client_encoding, name_after};
use anyhow::Result;
use std::io::Read;

/// How far the dump of another tool is searched, in bytes: its extensions and the owners of its tables come
/// before the first table's data.
const SEARCH: usize = 16 << 20;

/// The first part of a dump.
pub struct Head {
    /// Its text. The rest is still in the input.
    pub bytes: Vec<u8>,
    pub needs: Needs,
}

/// What a dump needs of a server.
#[derive(Debug, Default)]
pub struct Needs {
    /// Of the server that was dumped.
    pub server_version: Option<String>,
    /// Whether it has `\restrict` lines.
    pub restrict: bool,
    /// The database's state as `pg-snap dump` wrote it; none for another tool's dump.
    pub state: Option<DatabaseState>,
    /// The encoding of its text; none if it does not set one.
    pub encoding: Option<String>,
    pub extensions: Vec<String>,
    /// Of another tool's dump, those that its first part names.
    pub roles: Vec<Role>,
}

impl Head {
    /// Reads it: one block if that states what the dump needs, else up to the first table's data.
    ///
    /// # Errors
    /// [`pipe_kit::Stop::damaged`] if it is empty, cut, or no dump.
    pub fn read<R: Read>(blocks: &mut Blocks<R>) -> Result<Self> {
        let (mut scanner, mut found) = (Scanner::default(), FoundNeeds::default());
        let mut bytes = Vec::new();
        let state = DatabaseState::from_head(blocks.head()?)?;
        loop {
            let Some(block) = blocks.next()? else {
                scanner.finish()?;
                break;
            };
            bytes.extend_from_slice(block);
            scanner.scan(block, &mut found)?;
            let is_complete = state.as_ref().is_some_and(|s| s.extensions.is_some());
            if is_complete || found.data || bytes.len() >= SEARCH {
                break;
            }
        }
        let needs = found.needs(state, has_restrict(&bytes));
        Ok(Self { bytes, needs })
    }
}

fn has_restrict(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\\restrict ") || memchr::memmem::find(bytes, b"\n\\restrict ").is_some()
}

impl Needs {
    /// The major of the server that was dumped.
    pub fn major(&self) -> Option<u32> {
        let version = self.server_version.as_deref()?;
        version.split(['.', ' ', 'b', 'r', 'd']).next()?.parse().ok()
    }
}

#[derive(Default)]
struct FoundNeeds {
    server_version: Option<String>,
    encoding: Option<String>,
    extensions: Vec<String>,
    roles: Vec<Role>,
    /// Whether the data of the first table was reached.
    data: bool,
}

impl FoundNeeds {
    /// What the dump states about itself takes precedence over what was found in it.
    fn needs(self, state: Option<DatabaseState>, restrict: bool) -> Needs {
        let stated = state.clone().unwrap_or_default();
        Needs {
            server_version: self.server_version,
            restrict,
            encoding: self.encoding,
            extensions: stated.extensions.unwrap_or(self.extensions),
            roles: if state.is_some() { stated.roles } else { self.roles },
            state,
        }
    }

    fn add_role(&mut self, name: String, owns: bool) {
        if name.starts_with("pg_") || name.eq_ignore_ascii_case("public") {
            return;
        }
        match self.roles.iter_mut().find(|role| role.name == name) {
            Some(role) => role.owns = Some(owns || role.owns == Some(true)),
            None => self.roles.push(Role { name, login: false, owns: Some(owns) }),
        }
    }
}

impl Observer for FoundNeeds {
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        // How much of the text after the data is in the block is a matter of chance.
        if self.data {
            return Ok(());
        }
        let text = String::from_utf8_lossy(sql);
        let text = text.trim_start();
        if text.starts_with("COPY ") {
            self.data = true;
        } else if let Some((_, name)) = name_after(text, &["CREATE EXTENSION"]) {
            self.extensions.push(name);
        } else if let Some(encoding) = client_encoding(sql) {
            self.encoding.get_or_insert(encoding);
        } else if let Some(role) = role_of(sql)
            && role.is_read_right(self.encoding.as_deref())
        {
            self.add_role(role.name, role.owns);
        }
        Ok(())
    }

    fn server_version(&mut self, version: &str) {
        self.server_version.get_or_insert_with(|| version.to_owned());
    }
}

/// The role that a statement of pg_dump gives an object or a privilege to.
fn role_of(sql: &[u8]) -> Option<NamedRole> {
    let sql = sql.trim_ascii_start();
    let is_searched = sql.starts_with(b"ALTER ") || sql.starts_with(b"GRANT ");
    is_searched.then(|| named_roles(sql).into_iter().next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dump: &str) -> Result<Needs> {
        Head::read(&mut Blocks::new(dump.as_bytes())).map(|head| head.needs)
    }

    #[test]
    fn another_tools_dump_is_searched_up_to_its_data() {
        let needs = read(
            "-- Dumped from database version 16.3 (x)\n\\restrict abc\n\
             SET client_encoding = 'LATIN1';\n\
             CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public;\n\
             ALTER SCHEMA a OWNER TO \"Odd \"\" one\";\nGRANT ALL ON SCHEMA a TO app WITH GRANT OPTION;\n\
             ALTER DEFAULT PRIVILEGES FOR ROLE boss IN SCHEMA a GRANT SELECT ON TABLES TO reader;\n\
             GRANT USAGE ON SCHEMA a TO PUBLIC;\nCOPY a.t (x) FROM stdin;\n\\.\n\
             CREATE EXTENSION late;\n-- PostgreSQL database dump complete\n",
        )
        .unwrap();
        assert_eq!((needs.major(), needs.restrict), (Some(16), true));
        assert_eq!(needs.encoding.as_deref(), Some("LATIN1"));
        assert_eq!(needs.extensions, ["uuid-ossp"]);
        let roles: Vec<_> = needs.roles.iter().map(|r| (r.name.as_str(), r.owns)).collect();
        assert_eq!(roles, [("Odd \" one", Some(true)), ("app", Some(false)), ("boss", Some(true))]);
    }

    #[test]
    fn a_role_whose_name_is_not_known_is_not_needed_by_another_one() {
        let alter = "ALTER SCHEMA a OWNER TO \"rôle\";\nALTER SCHEMA b OWNER TO plain;\nCOPY a.t (x) FROM stdin;\n\\.\n";
        for (encoding, roles) in [("LATIN1", "plain"), ("UTF8", "rôle plain")] {
            let needs = read(&format!("SET client_encoding = '{encoding}';\n{alter}")).unwrap();
            let names: Vec<&str> = needs.roles.iter().map(|role| role.name.as_str()).collect();
            assert_eq!(names.join(" "), roles, "{encoding}");
        }
    }

    #[test]
    fn what_a_dump_states_about_itself_is_not_searched_for() {
        let state =
            DatabaseState { extensions: Some(vec!["citext".into()]), ..DatabaseState::default() };
        let dump = format!("{}CREATE EXTENSION other;\n", state.to_comment().unwrap());
        assert_eq!(read(&dump).unwrap().extensions, ["citext"]);
    }

    #[test]
    fn a_damaged_head_is_reported() {
        for dump in ["", "SET a = 1;\n", "\\! id\n", "-- pg-snap-database: {\n"] {
            let error = read(dump).err().unwrap();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Damaged, "{dump}");
        }
    }
}
