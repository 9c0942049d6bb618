//! Functions whose text names a schema. PostgreSQL stores most of them as text, so they still use a schema's
//! old name after it was renamed.

use crate::psql::Server;
use crate::sql::{ident, with_values};
use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Function {
    identity: String,
    text: String,
}

/// The functions in a schema whose text or own settings name another.
pub fn functions_naming(
    server: &Server,
    database: &str,
    schema: &str,
    named: &str,
) -> Result<Vec<String>> {
    let query =
        with_values(include_str!("mentions/functions.sql"), &[("schema", schema), ("name", named)]);
    let answer = server.query(database, &query)?;
    let functions: Vec<Function> =
        serde_json::from_str(&answer).context("asking for functions that name the schema")?;
    let naming = functions.into_iter().filter(|function| contains_name(&function.text, named));
    Ok(naming.map(|function| function.identity).collect())
}

/// Whether a text contains the name, as a word or in quotes.
fn contains_name(text: &str, name: &str) -> bool {
    let folds = !name.chars().any(char::is_uppercase);
    let word = if folds { has_word(&text.to_lowercase(), name) } else { has_word(text, name) };
    word || text.contains(&ident(name))
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_or_quoted() {
        for (text, name, expected) in [
            ("select tenant_1.f()", "tenant_1", true),
            ("SELECT Tenant_1.f()", "tenant_1", true),
            ("'tenant_1.' || x", "tenant_1", true),
            ("{search_path=tenant_1}", "tenant_1", true),
            ("\"tenant_1\".t", "tenant_1", true),
            ("tenant_10.t", "tenant_1", false),
            ("old_tenant_1.t", "tenant_1", false),
            ("\"Mixed \"\" Case\".t", "Mixed \" Case", true),
            ("mixed.t", "Mixed", false),
            ("", "x", false),
        ] {
            assert_eq!(contains_name(text, name), expected, "{text} {name}");
        }
    }
}
