//! Settings in the form that `ALTER … SET` takes.

use crate::sql::{ident, literal};

/// Settings whose stored value is a list of quoted names, which must be given back element by
/// element: as one string, the list would become its own only element.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Whether a setting would only slow down or prevent a load, and does not change what rows mean or what
/// is derived from them.
pub fn comes_last(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // Those of extensions and applications, whose checks and views may read them.
    if name.contains('.') {
        return name.starts_with("auto_explain.");
    }
    let begins = ["default_transaction_", "transaction_", "log_"];
    let ends = ["_timeout", "_preload_libraries"];
    let whole =
        ["role", "session_authorization", "exit_on_error", "temp_file_limit", "synchronous_commit"];
    begins.iter().any(|begin| name.starts_with(begin))
        || ends.iter().any(|end| name.ends_with(end))
        || whole.contains(&name.as_str())
}

/// The target of an `ALTER` of the settings of a database, or of a role in it.
pub fn alter_target(role: Option<&str>, database: &str) -> String {
    let database = ident(database);
    match role {
        Some(role) => format!("ROLE {} IN DATABASE {database}", ident(role)),
        None => format!("DATABASE {database}"),
    }
}

/// A setting's name, `extension.setting` included.
pub fn name(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

pub fn value(name: &str, value: &str) -> String {
    if !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return literal(value);
    }
    list(&split_list(value))
}

/// Elements as a list of SQL.
pub fn list(elements: &[String]) -> String {
    if elements.is_empty() {
        return "''".into();
    }
    elements.iter().map(|e| literal(e)).collect::<Vec<_>>().join(", ")
}

/// Splits `"$user", public` at its commas; double quotes hold an element together.
pub fn split_list(list: &str) -> Vec<String> {
    let (mut elements, mut element, mut any) = (Vec::new(), String::new(), false);
    let (mut quoted, mut chars) = (false, list.chars().peekable());
    while let Some(c) = chars.next() {
        any = true;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            c if c.is_whitespace() && !quoted => {}
            c => element.push(c),
        }
    }
    if any {
        elements.push(element);
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_meaning_of_rows_comes_before_them() {
        for name in [
            "lc_monetary",
            "DateStyle",
            "app.session_timeout",
            "log_app.level",
            "app.role_preload_libraries",
            "default_text_search_config",
            "search_path",
        ] {
            assert!(!comes_last(name), "{name}");
        }
        for name in [
            "statement_timeout",
            "default_transaction_read_only",
            "role",
            "session_preload_libraries",
            "Auto_Explain.log_timing",
        ] {
            assert!(comes_last(name), "{name}");
        }
    }

    #[test]
    fn lists_of_names_stay_lists() {
        for (stored, sql) in [
            ("\"$user\", public", "'$user', 'public'"),
            ("\"a, \"\"b\"\"\",c", "'a, \"b\"', 'c'"),
            ("", "''"),
            ("\"\"", "''"),
        ] {
            assert_eq!(value("search_path", stored), sql, "{stored}");
        }
        assert_eq!(value("DateStyle", "ISO, MDY"), "'ISO, MDY'");
        assert_eq!(name("my.setting"), "\"my\".\"setting\"");
    }
}
