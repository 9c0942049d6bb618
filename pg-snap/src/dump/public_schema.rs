//! The schema public, of which a pg_dump before 15 writes neither the owner nor all rights.
//!
//! initdb creates it, and what the majors give PUBLIC there differs: up to 14 CREATE, too. The older pg_dump
//! writes its rights as a difference to those that it had on the source, which another server's has not.

use super::run::DumpRun;
use crate::sql::ident;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::fmt::Write;

/// Before this major, pg_dump omits the owner, and the rights that initdb gives.
const SINCE_WHOLE: u32 = 15;
/// The owner that initdb gives it on a server of these majors has the oid 10. Rights that others than the owner
/// have granted, or to others than PUBLIC, are in no server's initial state, so pg_dump writes them.
const QUERY: &str = "SELECT pg_catalog.json_build_object(\
       'changed_owner', CASE WHEN n.nspowner <> 10 THEN pg_catalog.pg_get_userbyid(n.nspowner) END, \
       'rights_of_public', (SELECT coalesce(pg_catalog.json_agg(privilege_type ORDER BY privilege_type), '[]') \
         FROM pg_catalog.aclexplode(n.nspacl) WHERE grantee = 0 AND grantor = n.nspowner)) \
     FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'";

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub struct PublicSchema {
    /// None: that of initdb.
    changed_owner: Option<String>,
    /// None: the dump has all of them, or there is no such schema.
    rights_of_public: Option<Vec<String>>,
}

impl PublicSchema {
    /// Asks the server for what its pg_dump omits.
    pub fn omitted_by_pg_dump(run: &DumpRun<'_>) -> Result<Self> {
        if run.pg_dump.version.major >= SINCE_WHOLE {
            return Ok(Self::default());
        }
        let answer = run.server.query(run.database, QUERY)?;
        match answer.trim() {
            "" => Ok(Self::default()),
            answer => serde_json::from_str(answer).context("reading the state of schema public"),
        }
    }

    /// What later majors of pg_dump write first if its owner was changed.
    pub fn owner_statement(&self) -> String {
        let Some(owner) = &self.changed_owner else { return String::new() };
        // A line break would end the comment.
        let shown = owner.replace(['\n', '\r'], " ");
        format!(
            "\n--\n-- Name: public; Type: SCHEMA; Schema: -; Owner: {shown}\n--\n\n\
             -- *not* creating schema, since initdb creates it\n\n\nALTER SCHEMA public OWNER TO {};\n\n",
            ident(owner)
        )
    }

    /// The statements that give PUBLIC the rights that it has, whatever the server has given it.
    pub fn rights_statements(&self) -> String {
        let Some(rights) = &self.rights_of_public else { return String::new() };
        let mut sql = "--\n-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -\n--\n\n\
             REVOKE ALL ON SCHEMA public FROM PUBLIC;\n"
            .to_owned();
        if !rights.is_empty() {
            let _ = writeln!(sql, "GRANT {} ON SCHEMA public TO PUBLIC;", rights.join(", "));
        }
        sql + "\n\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_no_second_statement() {
        let owner = "a\nDROP TABLE t; \"b".to_owned();
        let sql = PublicSchema { changed_owner: Some(owner), rights_of_public: None };
        let sql = sql.owner_statement();
        let last = "\nALTER SCHEMA public OWNER TO \"a\nDROP TABLE t; \"\"b\";\n\n";
        let (comments, statement) = sql.split_at(sql.find("\n\n\nALTER").unwrap() + 2);
        assert_eq!(statement, last);
        assert!(comments.lines().all(|l| l.is_empty() || l.starts_with("--")), "{sql}");
    }

    #[test]
    fn rights_are_taken_away_before_they_are_given_and_only_where_they_are_known() {
        let with = |rights: Option<&[&str]>| PublicSchema {
            rights_of_public: rights.map(|rights| rights.iter().map(|r| (*r).into()).collect()),
            ..PublicSchema::default()
        };
        assert_eq!(with(None).rights_statements(), "");
        let revoke = "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n";
        let none = with(Some(&[])).rights_statements();
        assert!(none.ends_with(&format!("\n\n{revoke}\n\n")), "{none}");
        let both = with(Some(&["CREATE", "USAGE"])).rights_statements();
        let grant = format!("{revoke}GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC;\n\n\n");
        assert!(both.ends_with(&grant), "{both}");
    }
}
