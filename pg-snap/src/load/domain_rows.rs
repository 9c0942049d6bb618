//! Rows with a domain inside of another type, such as an array. The server does not validate a check of such a domain
//! (0A000), so queries check the rows; the check itself stays not valid.

use super::definition::Definition;
use crate::psql::Server;
use crate::server_error::ServerError;
use crate::sql::{properties, with_values};
use pipe_kit::warning;
use std::sync::Arc;

const NOT_SUPPORTED: &str = "0A000";

/// The queries that fail if a row does not fit the check that a statement has failed to add or to validate; none if it
/// is no statement on a domain, or has failed otherwise.
pub fn queries(
    server: &Server,
    database: &str,
    definition: &Definition,
    failure: &ServerError,
) -> Option<Definition> {
    if !failure.is(&[NOT_SUPPORTED]) {
        return None;
    }
    let (schema, domain) = properties::altered_domain(&definition.text)?;
    let values = [("schema", schema.as_str()), ("domain", domain.as_str())];
    let query = with_values(include_str!("domain_rows/queries.sql"), &values);
    match server.query(database, &query) {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => {
            let mut queries = Definition { text: text.into_bytes(), ..definition.clone() };
            // Policies that hide rows would hide what does not fit.
            let off = "SET row_security = off;\n";
            Arc::make_mut(&mut queries.settings).set(".row_security".into(), off.into());
            Some(queries)
        }
        Err(error) => {
            warning!("the rows of a domain cannot be found: {error:#}");
            None
        }
    }
}

/// For people: what the queries have shown.
pub fn fit(definition: &Definition) -> String {
    let (what, line) = (definition.what(), definition.first_line());
    format!(
        "{what} stays not valid, because the server cannot validate it; all rows fit it: {line}"
    )
}
