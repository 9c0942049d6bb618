//! A line of an `.env` that every reader of such files reads alike: this toolkit, and both Composes.

/// `KEY=value`, in quotes where the value needs them.
pub fn line(key: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=~^".contains(c);
    if value.chars().all(is_plain) {
        format!("{key}={value}\n")
    } else if !value.contains(['\'', '\\']) {
        format!("{key}='{value}'\n")
    } else {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        format!("{key}=\"{escaped}\"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::line;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_value_is_quoted_only_where_it_has_to_be() {
        for (value, text) in [
            ("", "K=\n"),
            ("redis://:a%40b@h:1/0", "K=redis://:a%40b@h:1/0\n"),
            ("a b", "K='a b'\n"),
            ("a#b", "K='a#b'\n"),
            ("${A}", "K='${A}'\n"),
            ("it's $5\\", "K=\"it's \\$5\\\\\"\n"),
        ] {
            assert_eq!(line("K", value), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in "[^\\x00]{0,40}") {
            let read = parse(line("K", &value).as_bytes(), &BTreeMap::new()).unwrap();
            prop_assert_eq!(read.values.get("K").unwrap(), &value);
        }

        #[test]
        fn what_is_written_is_read_with_every_quote(value in "[ab'\"\\\\$ {}#\\n\\t=]{0,20}") {
            let read = parse(line("K", &value).as_bytes(), &BTreeMap::new()).unwrap();
            prop_assert_eq!(read.values.get("K").unwrap(), &value);
        }
    }
}
