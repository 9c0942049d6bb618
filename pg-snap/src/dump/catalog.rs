//! What the database holds beside definitions: its tables' rows and its sequences' values, chosen
//! as pg_dump chooses them.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeSet;

/// A table whose rows go into the dump.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub owner: String,
    /// Schema and name, quoted where they must be.
    pub quoted: String,
    /// `(a, b)`, or nothing where no column has data of its own.
    pub columns: String,
    /// The file that held its rows when the snapshot was taken.
    pub filenode: u32,
    /// Whether ranges of its pages can be read.
    pub ranges: bool,
    pub pages: u64,
    /// On the server's disk, out-of-line values included.
    pub bytes: u64,
    /// Which rows of an extension's table are the user's: a WHERE clause.
    pub filter: Option<String>,
    /// Of an extension's table, whose keys are there before its rows: how many others must be filled
    /// before it.
    pub rank: Option<u32>,
    /// The partitioned table to load through, where a row's partition is not the same everywhere.
    pub root: Option<String>,
    /// Whether writing a row calls a function of the database's own, which may look at any other
    /// table's rows.
    pub calls: bool,
}

/// A sequence.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub owner: String,
    pub quoted: String,
    /// Whether its name may stand in a pattern, and is no materialized view's.
    pub plain: bool,
}

/// All of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    pub large_objects: bool,
    /// How many locks all sessions of the server may hold together.
    pub locks: u64,
}

/// pg_dump locks every table; with as many more locks there is room for others'.
const LOCKS_A_TABLE: u64 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Table(Table),
    Sequence(Sequence),
    LargeObjects(bool),
    Locks(u64),
}

/// Whether `c` is the database's own: of no schema of the server's, and no member of an extension.
const OWN: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists \
     (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.objid = c.oid and d.deptype = 'e')";
/// Tables of which a check, a stored generated column, a domain or a partition's bound calls a function
/// of the database's own: of no schema of the server's, and no member of an extension. Before PostgreSQL
/// 15, a generated column itself depends on the function, not its expression.
const CALLS: &str = "own_proc as (select p.oid from pg_catalog.pg_proc p \
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not exists \
        (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
           and d.objid = p.oid and d.deptype = 'e')), \
    caller as (select classid, objid from pg_catalog.pg_depend \
      where refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and refobjid in (select oid from own_proc) \
        or refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and refobjid in (select oid \
             from pg_catalog.pg_operator where oprcode in (select oid from own_proc))), \
    of_type as (select refobjid as part, objid as whole from pg_catalog.pg_depend \
         where classid = 'pg_catalog.pg_type'::pg_catalog.regclass \
           and refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass \
      union all select a.atttypid, c.reltype from pg_catalog.pg_class c \
         join pg_catalog.pg_attribute a on a.attrelid = c.oid where c.reltype <> 0 and a.attnum > 0), \
    calling_type as (select contypid as oid from pg_catalog.pg_constraint where contypid <> 0 \
         and ('pg_catalog.pg_constraint'::pg_catalog.regclass, oid) in (select classid, objid from caller) \
      union select whole from calling_type join of_type on part = calling_type.oid), \
    calls as (select conrelid as relid from pg_catalog.pg_constraint where contype = 'c' \
         and ('pg_catalog.pg_constraint'::pg_catalog.regclass, oid) in (select classid, objid from caller) \
      union select d.adrelid from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a \
         on a.attrelid = d.adrelid and a.attnum = d.adnum where a.attgenerated = 's' \
         and ('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid) in (select classid, objid from caller) \
      union select attrelid from pg_catalog.pg_attribute where attgenerated = 's' \
         and ('pg_catalog.pg_class'::pg_catalog.regclass, attrelid) in (select classid, objid from caller) \
      union select attrelid from pg_catalog.pg_attribute \
         where attnum > 0 and not attisdropped and atttypid in (select oid from calling_type) \
      union select c.oid from pg_catalog.pg_class c, pg_catalog.pg_partition_ancestors(c.oid) p (relid) \
         where c.relispartition and ('pg_catalog.pg_class'::pg_catalog.regclass, p.relid) in \
           (select classid, objid from caller))";
/// Tables of extensions that refer to each other in a circle are not followed for ever.
const DEEPEST: u32 = 100;
/// Names in a pattern: an argument holds no more than 128 KiB.
const NAMES: usize = 1000;
/// The first oid that an initialised server gives out.
const FIRST_OID: u32 = 16384;

/// The question; each line of its answer is for [`Contents::add`].
///
/// Rows of tables that are hash-partitioned by an enum are loaded through the root: an enum's hash
/// follows its values' oids, which differ from server to server.
pub fn ask() -> String {
    format!(
        "with recursive config as (select u.relid, nullif(u.condition, '') as filter from pg_catalog.pg_extension e, \
            unnest(e.extconfig, e.extcondition) as u (relid, condition) where e.oid >= {FIRST_OID}), \
         fk as (select conrelid, confrelid from pg_catalog.pg_constraint where contype = 'f' and conrelid <> confrelid \
              and conrelid in (select relid from config) and confrelid in (select relid from config)), \
         depth as (select relid, 0 as depth from config \
            union select conrelid, depth + 1 from depth join fk on confrelid = relid where depth < {DEEPEST}), \
         chosen as (select c.oid as relid, null::text as filter \
              from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('r', 'S') and {OWN} \
            union all select * from config), \
         unsafe as (select partrelid from pg_catalog.pg_partitioned_table p where exists \
            (select from pg_catalog.pg_opclass o join pg_catalog.pg_am a on a.oid = o.opcmethod \
             where o.oid = any (p.partclass) and o.opcname = 'enum_ops' and a.amname = 'hash' \
               and o.opcnamespace = 'pg_catalog'::pg_catalog.regnamespace)), \
         {CALLS}, rel as (select c.*, chosen.filter, n.nspname, \
              pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as quoted, \
              pg_catalog.pg_get_userbyid(c.relowner) as owner \
            from chosen join pg_catalog.pg_class c on c.oid = chosen.relid \
              join pg_catalog.pg_namespace n on n.oid = c.relnamespace) \
         select pg_catalog.json_build_object('table', pg_catalog.json_build_object(\
            'oid', oid::int8, 'schema', nspname, 'name', relname, 'owner', owner, 'quoted', quoted, \
            'columns', coalesce((select '(' || string_agg(pg_catalog.quote_ident(attname), ', ' order by attnum) || ')' \
               from pg_catalog.pg_attribute a where a.attrelid = rel.oid and attnum > 0 \
                 and not attisdropped and attgenerated = ''), ''), \
            'filenode', relfilenode::int8, \
            'ranges', relam = 2 and pg_catalog.current_setting('server_version_num')::int >= 140000, \
            'pages', coalesce(pg_catalog.pg_relation_size(oid), 0) / pg_catalog.current_setting('block_size')::int, \
            'bytes', coalesce(pg_catalog.pg_table_size(oid), 0), 'filter', filter, 'rank', (select max(depth) from depth where relid = rel.oid), \
            'root', case when relispartition and exists (select from unsafe, \
                 pg_catalog.pg_partition_ancestors(rel.oid) p (relid) where p.relid = partrelid) \
               then (select pg_catalog.quote_ident(rn.nspname) || '.' || pg_catalog.quote_ident(r.relname) \
                 from pg_catalog.pg_class r join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace \
                 where r.oid = pg_catalog.pg_partition_root(rel.oid)) end, \
            'calls', oid in (select relid from calls))) \
           from rel where relkind = 'r' \
         union all select pg_catalog.json_build_object('sequence', pg_catalog.json_build_object(\
            'schema', nspname, 'name', relname, 'owner', owner, 'quoted', quoted, \
            'plain', relname !~ '[^a-z0-9_]' and not exists (select from pg_catalog.pg_class m \
               where m.relkind = 'm' and m.relname = rel.relname))) \
           from rel where relkind = 'S' \
         union all select pg_catalog.json_build_object('large_objects', \
            exists (select from pg_catalog.pg_largeobject_metadata)) \
         union all select pg_catalog.json_build_object('locks', \
            pg_catalog.current_setting('max_locks_per_transaction')::int8 \
            * (pg_catalog.current_setting('max_connections')::int8 \
              + pg_catalog.current_setting('max_prepared_transactions')::int8));\n"
    )
}

impl Contents {
    /// Takes a line of the answer.
    ///
    /// # Errors
    /// If it is none.
    pub fn add(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line)
            .with_context(|| format!("unexpected line in the list of tables: {line}"))?
        {
            Line::Table(table) => self.tables.push(table),
            Line::Sequence(sequence) => self.sequences.push(sequence),
            Line::LargeObjects(any) => self.large_objects = any,
            Line::Locks(locks) => self.locks = locks,
        }
        Ok(())
    }

    /// Patterns that match the sequences by their names, for an argument each.
    pub fn sequence_patterns(&self) -> Vec<String> {
        let names = self.sequences.iter().filter(|s| s.plain).map(|s| s.name.as_str());
        let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
        names.chunks(NAMES).map(|names| format!("*.({})", names.join("|"))).collect()
    }

    /// Whether tables may be copied while pg_dump holds its locks on all of them: the server has room
    /// for so many locks and no more, and who asks for one more fails.
    pub fn leave_room_for_locks(&self) -> bool {
        self.tables.len() as u64 * LOCKS_A_TABLE <= self.locks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_answer_are_taken() {
        let mut contents = Contents::default();
        for line in [
            r#"{"table":{"oid":1,"schema":"s","name":"t","owner":"o","quoted":"s.t","columns":"(a)","filenode":2,"ranges":true,"pages":3,"bytes":4,"filter":null,"rank":null,"root":null,"calls":false}}"#,
            r#"{"sequence":{"schema":"s","name":"q","owner":"o","quoted":"s.q","plain":true}}"#,
            r#"{"large_objects":true}"#,
            r#"{"locks":4}"#,
        ] {
            contents.add(line).unwrap();
        }
        assert_eq!((contents.tables.len(), contents.sequences.len()), (1, 1));
        assert!(contents.large_objects && contents.add("ERROR").is_err());
        assert_eq!(contents.sequence_patterns(), ["*.(q)"]);
        assert!(contents.leave_room_for_locks());
        contents.locks = 3;
        assert!(!contents.leave_room_for_locks());
    }
}
