//! Settings as `ALTER … SET` takes them.

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

/// A setting's name, `extension.setting` included.
pub fn name(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

/// A setting's value.
pub fn value(name: &str, value: &str) -> String {
    if !LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return literal(value);
    }
    let elements = split_list(value);
    if elements.is_empty() {
        return "''".into();
    }
    elements.iter().map(|e| literal(e)).collect::<Vec<_>>().join(", ")
}

/// Splits `"$user", public` at its commas; double quotes hold an element together.
fn split_list(list: &str) -> Vec<String> {
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
