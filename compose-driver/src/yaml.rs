//! YAML as Compose prints it, as a value.
//!
//! `docker-compose` writes by the rules of YAML 1.1, under which `1e3` is a text; the usual parsers take
//! it for a number, and a password would change. What it leaves unquoted is a number, a boolean or
//! nothing only in the forms that it writes itself.

use saphyr::{ScalarStyle, Yaml, YamlLoader};
use saphyr_parser::Parser;
use serde_json::{Map, Number, Value};

/// The only document of a text; `None` where it is no YAML, or has not exactly one.
pub fn parse(text: &str) -> Option<Value> {
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.early_parse(false);
    Parser::new_from_str(text).load(&mut loader, true).ok()?;
    let documents = loader.into_documents();
    match documents.as_slice() {
        [document] => value(document),
        _ => None,
    }
}

fn value(node: &Yaml<'_>) -> Option<Value> {
    match node {
        Yaml::Representation(text, ScalarStyle::Plain, None) => Some(plain(text)),
        Yaml::Representation(text, ..) => Some(Value::String(text.to_string())),
        Yaml::Sequence(items) => items.iter().map(value).collect::<Option<_>>().map(Value::Array),
        Yaml::Mapping(entries) => {
            let entry = |(name, item): (&Yaml<'_>, &Yaml<'_>)| {
                let Yaml::Representation(name, ..) = name else { return None };
                Some((name.to_string(), value(item)?))
            };
            entries.iter().map(entry).collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        _ => None,
    }
}

/// An unquoted scalar.
fn plain(text: &str) -> Value {
    let is_number =
        text.strip_prefix('-').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || "-+.e".contains(c))
            && (text.contains('.') || !text.contains('e'));
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<Number>() {
            Ok(number) if is_number => Value::Number(number),
            _ => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_text_that_other_rules_take_for_a_number_stays_a_text() {
        let text = "a: 1e3\nb: '8080'\nc: 8080\nd: 0.5\ne: 12:30\nf: \"yes\"\ng: true\nh: null\n\
                    i: '~'\nj: -1\nk: 0x10\nl: 1.0e+2\nm: ''\nn: 1m\n8: [x, 1]\n";
        let expected = json!({"a": "1e3", "b": "8080", "c": 8080, "d": 0.5, "e": "12:30",
            "f": "yes", "g": true, "h": null, "i": "~", "j": -1, "k": "0x10", "l": 100.0, "m": "",
            "n": "1m", "8": ["x", 1]});
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn what_is_repeated_by_a_name_is_there_twice() {
        let text = "a: &id001\n  x: y\nb: *id001\n";
        assert_eq!(parse(text), Some(json!({"a": {"x": "y"}, "b": {"x": "y"}})));
    }

    #[test]
    fn what_is_no_document_is_nothing() {
        for text in ["", "a: [", "a: 1\n---\nb: 2\n", "[a]: b\n", "a: 1\na: 2\n"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
