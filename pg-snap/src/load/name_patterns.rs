//! How expressions that read the name of the database are recognised in what the server writes of a definition.

use crate::sql::with_values;

/// How the server writes an expression that reads the name.
const NAME: &str = r#"(^|[^a-z0-9_"])current_(database *[(]|catalog([^a-z0-9_"]|$))"#;
/// The same in the body of a function, which may read it by a view.
const NAME_IN_BODY: &str =
    r#"(^|[^a-z0-9_"])(current_(database *[(]|catalog([^a-z0-9_"]|$))|information_schema[.])"#;

/// A query with the patterns of what reads the name.
pub fn with_patterns(query: &str) -> String {
    with_values(query, &[("name_in_body", NAME_IN_BODY), ("name", NAME)])
}
