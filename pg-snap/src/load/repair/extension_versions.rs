//! Extensions in the version that they had in the source database: a pure decision by the statement.

use crate::sql::{literal, name_after};
use std::collections::BTreeMap;

/// `CREATE EXTENSION` with the extension's version; none for any other statement or extension.
pub fn with_version(sql: &[u8], versions: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    // Text in another encoding cannot be cut without changing it.
    let statement = std::str::from_utf8(sql).ok()?.trim();
    let (_, name) = name_after(statement, &["CREATE EXTENSION"])?;
    let version = versions.get(&name)?;
    let statement = statement.strip_suffix(';').unwrap_or(statement);
    Some(format!("{statement} VERSION {};\n", literal(version)).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_added_where_it_is_known() {
        let versions = [("uuid-ossp".to_owned(), "1.0".to_owned())].into();
        let of = |sql: &str| {
            with_version(sql.as_bytes(), &versions).map(|sql| String::from_utf8(sql).unwrap())
        };
        assert_eq!(
            of("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public;\n").as_deref(),
            Some(
                "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public VERSION '1.0';\n"
            )
        );
        for sql in [
            "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;\n",
            "COMMENT ON EXTENSION \"uuid-ossp\" IS 'x';\n",
            "CREATE TABLE \"uuid-ossp\" ();\n",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }
}
