//! What a dump will need and what only the database itself can tell: its extensions, which roles
//! own something in it, and its size.

use super::DatabaseState;
use crate::psql::Server;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Catalogs of what has an owner, with the column that names it. The server keeps no record of what
/// its first superuser owns, so that one's objects are looked for; those below the first oid that an
/// initialised server gives out are the server's own.
const OWNED: [(&str, &str); 17] = [
    ("pg_class", "relowner"),
    ("pg_collation", "collowner"),
    ("pg_conversion", "conowner"),
    ("pg_event_trigger", "evtowner"),
    ("pg_foreign_data_wrapper", "fdwowner"),
    ("pg_foreign_server", "srvowner"),
    ("pg_language", "lanowner"),
    ("pg_largeobject_metadata", "lomowner"),
    ("pg_namespace", "nspowner"),
    ("pg_opclass", "opcowner"),
    ("pg_operator", "oprowner"),
    ("pg_opfamily", "opfowner"),
    ("pg_proc", "proowner"),
    ("pg_publication", "pubowner"),
    ("pg_statistic_ext", "stxowner"),
    ("pg_ts_config", "cfgowner"),
    ("pg_type", "typowner"),
];
const FIRST_OID: u32 = 16384;

/// Members of an extension come with it, and the extension is whose who creates it.
const NO_MEMBER: &str = "not exists (select from pg_catalog.pg_depend e where e.classid = o.classid \
     and e.objid = o.objid and e.deptype = 'e')";

fn ask() -> String {
    let first_superusers: Vec<String> = OWNED
        .iter()
        .map(|(catalog, owner)| {
            format!(
                "select '{catalog}'::pg_catalog.regclass::pg_catalog.oid, oid from pg_catalog.{catalog} \
                 where {owner} = 10 and oid >= {FIRST_OID}"
            )
        })
        .collect();
    format!(
        "with o (classid, objid) as ({}) \
         select pg_catalog.json_build_array(pg_catalog.pg_database_size(pg_catalog.current_database()), \
         (select coalesce(pg_catalog.json_agg(extname order by extname), '[]') from pg_catalog.pg_extension \
            where oid >= {FIRST_OID}), \
         (select coalesce(pg_catalog.json_agg(distinct pg_catalog.pg_get_userbyid(refobjid)), '[]') \
            from pg_catalog.pg_shdepend o \
            where refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and deptype = 'o' \
              and dbid = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) \
              and classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass and {NO_MEMBER}), \
         (select pg_catalog.pg_get_userbyid(10) where exists (select from o where {NO_MEMBER})))",
        first_superusers.join(" union all ")
    )
}

impl DatabaseState {
    /// Adds what is asked of the database itself, for a dump to carry.
    ///
    /// # Errors
    /// If the database does not answer.
    pub fn with_contents(mut self, server: &Server) -> Result<Self> {
        let answer = server.query(&self.name, &ask())?;
        let (size, extensions, owners, first): (
            u64,
            Vec<String>,
            BTreeSet<String>,
            Option<String>,
        ) = serde_json::from_str(&answer)
            .with_context(|| format!("reading the contents of database {}", self.name))?;
        self.size_bytes = Some(size);
        self.extensions = Some(extensions);
        for role in &mut self.roles {
            role.owns = Some(
                role.name == self.owner
                    || owners.contains(&role.name)
                    || first.as_ref() == Some(&role.name),
            );
        }
        Ok(self)
    }
}
