//! The planner's statistics of what was loaded.
//!
//! Gathered from a sample a tenth as large as usual: enough for sane plans at once, at a tenth of the
//! cost. Columns are named, which leaves the server's count of changed rows as it is, so that
//! autovacuum soon gathers them again in full. Where autovacuum is off, the sample is as large as usual.

use crate::sql::{ident, literal};
use crate::words::Name;

/// What sessions that gather statistics begin with.
pub const BEGIN: &str = "SELECT pg_catalog.set_config('default_statistics_target', \
     greatest(1, pg_catalog.current_setting('default_statistics_target')::int / 10)::text, false) \
     WHERE pg_catalog.current_setting('autovacuum')::bool;\n";

/// A statement that gathers those of one table. An error, such as that of a function in an index or in
/// extended statistics, is none of the load's.
pub fn gather(table: &Name) -> String {
    let name = format!("{}.{}", ident(&table.0), ident(&table.1));
    let code = format!(
        "DECLARE columns text; BEGIN \
         SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ') INTO columns \
         FROM pg_catalog.pg_attribute WHERE attrelid = {}::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped; \
         IF columns IS NOT NULL THEN EXECUTE {} || '(' || columns || ')'; END IF; \
         EXCEPTION WHEN OTHERS THEN NULL; END",
        literal(&name),
        literal(&format!("ANALYZE {name} ")),
    );
    format!("DO LANGUAGE plpgsql {};\n", literal(&code))
}

#[cfg(test)]
mod tests {
    use super::gather;

    #[test]
    fn names_stay_names() {
        let sql = gather(&("it's".into(), "a\"b".into()));
        let quoted = [r#"''"it"#, r#"s"."a""b"''::pg_catalog.regclass"#].join("''''");
        assert!(sql.contains(&quoted), "{sql}");
    }
}
