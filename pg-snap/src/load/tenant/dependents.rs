//! What outside a schema depends on what is in it. Set aside, the schema would take that along: a
//! foreign key would go on pointing at what nobody uses any more.

use crate::preflight;
use crate::psql::Server;
use crate::sql::literal;
use anyhow::{Context, Result};

/// At most so many are listed.
const LISTED: usize = 20;

/// Catalogs of things that are in a schema by themselves: the column that tells which.
const OWN: [(&str, &str); 13] = [
    ("pg_class", "relnamespace"),
    ("pg_type", "typnamespace"),
    ("pg_proc", "pronamespace"),
    ("pg_operator", "oprnamespace"),
    ("pg_opclass", "opcnamespace"),
    ("pg_opfamily", "opfnamespace"),
    ("pg_collation", "collnamespace"),
    ("pg_conversion", "connamespace"),
    ("pg_constraint", "connamespace"),
    ("pg_statistic_ext", "stxnamespace"),
    ("pg_ts_config", "cfgnamespace"),
    ("pg_ts_dict", "dictnamespace"),
    ("pg_default_acl", "defaclnamespace"),
];
/// Catalogs of things that are in the schema of another: the column that names it, and its catalog.
const OF_ANOTHER: [(&str, &str, &str, &str); 6] = [
    ("pg_trigger", "tgrelid", "pg_class", "relnamespace"),
    ("pg_rewrite", "ev_class", "pg_class", "relnamespace"),
    ("pg_policy", "polrelid", "pg_class", "relnamespace"),
    ("pg_attrdef", "adrelid", "pg_class", "relnamespace"),
    ("pg_amop", "amopfamily", "pg_opfamily", "opfnamespace"),
    ("pg_amproc", "amprocfamily", "pg_opfamily", "opfnamespace"),
];

/// Everything inside the schema, as `(class, object)`.
fn inside() -> String {
    let class = |catalog: &str| format!("'pg_catalog.{catalog}'::pg_catalog.regclass::oid");
    let itself = format!("SELECT {}, oid FROM s", class("pg_namespace"));
    let own = OWN.iter().map(|(catalog, namespace)| {
        let class = class(catalog);
        format!("SELECT {class}, o.oid FROM pg_catalog.{catalog} o JOIN s ON o.{namespace} = s.oid")
    });
    let others = OF_ANOTHER.iter().map(|(catalog, of, other, namespace)| {
        format!(
            "SELECT {}, o.oid FROM pg_catalog.{catalog} o JOIN pg_catalog.{other} x ON x.oid = o.{of} \
             JOIN s ON x.{namespace} = s.oid",
            class(catalog)
        )
    });
    std::iter::once(itself).chain(own).chain(others).collect::<Vec<_>>().join("\nUNION ALL ")
}

/// Asks for all, a line each. A rule of a view is told as the view.
fn question(schema: &str) -> String {
    format!(
        "SET search_path = '';
WITH s AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {}),
inside (class, object) AS MATERIALIZED ({}),
outside AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid
  FROM pg_catalog.pg_depend d JOIN inside i ON i.class = d.refclassid AND i.object = d.refobjid
  LEFT JOIN inside own ON own.class = d.classid AND own.object = d.objid
  WHERE own.object IS NULL AND d.deptype NOT IN ('P', 'S')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
      WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid AND t.tgisinternal)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
        AND c.relnamespace = 'pg_toast'::pg_catalog.regnamespace)),
named AS (
  SELECT coalesce(r.class, o.classid) AS class, coalesce(r.object, o.objid) AS object,
    CASE WHEN k.relkind IN ('v', 'm') THEN 0 ELSE o.objsubid END AS part
  FROM outside o LEFT JOIN pg_catalog.pg_class k
    ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.oid = o.objid LEFT JOIN LATERAL (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class, ev_class AS object FROM pg_catalog.pg_rewrite
    WHERE o.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND oid = o.objid) r ON true),
lines AS (
  SELECT DISTINCT i.type || ' ' || i.identity AS line
  FROM named, LATERAL pg_catalog.pg_identify_object(class, object, part) i
  UNION
  SELECT 'table ' || p.identity || ', of which ' || c.identity || ' is a part'
  FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid JOIN s ON k.relnamespace = s.oid
  JOIN pg_catalog.pg_class e ON e.oid = h.inhparent AND e.relnamespace <> s.oid AND e.relkind IN ('r', 'p', 'f'),
  LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, h.inhparent, 0) p,
  LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, h.inhrelid, 0) c
  UNION
  SELECT 'subscription ' || pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription_rel
  JOIN pg_catalog.pg_class k ON k.oid = srrelid JOIN s ON k.relnamespace = s.oid
  JOIN pg_catalog.pg_subscription u ON u.oid = srsubid)
SELECT coalesce(pg_catalog.json_agg(line ORDER BY line), '[]') FROM lines",
        literal(schema),
        inside()
    )
}

/// Refuses to set a schema aside that something outside depends on.
///
/// # Errors
/// [`Stop::refused`], after a line for each of the first of them; what the server says.
pub fn check(server: &Server, database: &str, schema: &str) -> Result<()> {
    let answer = server.query(database, &question(schema))?;
    let lines: Vec<String> =
        serde_json::from_str(&answer).context("asking what depends on the schema")?;
    preflight::refuse(&told(schema, &lines))
}

/// None where nothing depends on it.
fn told(schema: &str, lines: &[String]) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let schema = schema.replace(char::is_control, "?");
    let mut told: Vec<String> = lines
        .iter()
        .take(LISTED)
        .map(|line| {
            format!(
                "outside schema {schema} and bound to it: {}",
                line.replace(char::is_control, "?")
            )
        })
        .collect();
    if lines.len() > LISTED {
        told.push(format!("and {} more", lines.len() - LISTED));
    }
    let count = match lines.len() {
        1 => "1 object".to_owned(),
        n => format!("{n} objects"),
    };
    told.push(format!(
        "{count} outside schema {schema} would stay bound to what is set aside; nothing was changed; bring \
         the schema back under another name (--into), or drop what is listed and make it anew afterwards"
    ));
    told
}

/// A statement that fails if a table of the schema is a part of one elsewhere, whose readers would see
/// its rows.
pub fn forbid_parts(schema: &str) -> String {
    let code = format!(
        "DECLARE found text; BEGIN \
         SELECT pg_catalog.string_agg(h.inhrelid::pg_catalog.regclass || ' of ' || h.inhparent::pg_catalog.regclass, ', ') \
         INTO found FROM pg_catalog.pg_inherits h \
         JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid \
         JOIN pg_catalog.pg_namespace s ON s.oid = k.relnamespace AND s.nspname = {} \
         JOIN pg_catalog.pg_class e ON e.oid = h.inhparent AND e.relnamespace <> s.oid AND e.relkind IN ('r', 'p', 'f'); \
         IF found IS NOT NULL THEN \
         RAISE EXCEPTION 'in the dump, tables of the schema are parts of tables elsewhere: %', found; END IF; END",
        literal(schema)
    );
    format!("DO LANGUAGE plpgsql {};\n", literal(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_listed_and_all_are_counted() {
        let lines = |n: usize| (0..n).map(|n| format!("view v{n}")).collect::<Vec<_>>();
        assert!(told("s", &lines(0)).is_empty());
        assert_eq!(told("s", &lines(1))[0], "outside schema s and bound to it: view v0");
        assert!(told("s", &lines(1))[1].starts_with("1 object outside schema s "));
        let many = told("s", &lines(23));
        assert_eq!((many.len(), many[20].as_str()), (22, "and 3 more"));
        assert!(many[21].starts_with("23 objects "));
    }
}
