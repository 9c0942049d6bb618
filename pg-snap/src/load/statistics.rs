//! The planner's statistics of what was loaded.
//!
//! A sample a tenth of the usual size gives good plans at once, at a tenth of the cost. ANALYZE names the
//! columns, which leaves the server's count of changed rows alone, so that autovacuum soon gathers the
//! statistics in full. Where autovacuum is off, the sample has the usual size.

use crate::sql::{Name, ident, literal, with_values};

/// Sets the size of the sample for a session.
pub const SET_SAMPLE: &str = include_str!("statistics/set_sample.sql");

/// A statement that analyzes one table and its partitions. It ignores errors, such as that of a function in extended
/// statistics: they do not concern the load. `path`: the search path, a list of SQL, under which expressions of
/// indexes find what they name.
pub fn analyze(table: &Name, path: Option<&str>) -> String {
    let name = format!("{}.{}", ident(&table.0), ident(&table.1));
    let set = format!("SET LOCAL search_path = {}", path.unwrap_or("''"));
    let values = [("table", &*name), ("set", &*set)];
    let code = with_values(include_str!("statistics/analyze.sql"), &values);
    format!("DO LANGUAGE plpgsql {};\n", literal(&code))
}

#[cfg(test)]
mod tests {
    use super::analyze;

    #[test]
    fn names_stay_names() {
        let sql = analyze(&("it's".into(), "a\"b".into()), None);
        let quoted = [r#"''"it"#, r#"s"."a""b"''::pg_catalog.regclass"#].join("''''");
        assert!(sql.contains(&quoted), "{sql}");
    }
}
