//! One page of a bucket's listing, decided without touching anything.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The most entries that S3 puts on a page, whatever is asked for.
pub const PAGE: usize = 1000;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Where keys are folded into common prefixes; empty for not at all.
    pub delimiter: &'a str,
    /// Only entries after this key or common prefix.
    pub after: &'a str,
    /// Entries wanted at most; [`PAGE`] caps it.
    pub max: usize,
}

/// A page: its entries in the order of their bytes, and where the next one starts.
#[derive(Debug)]
pub struct Page<'a, T> {
    /// Keys with what is stored under them.
    pub objects: Vec<(&'a str, &'a T)>,
    /// Common prefixes.
    pub prefixes: Vec<&'a str>,
    /// The last entry of this page, where there is more after it.
    pub next: Option<&'a str>,
}

/// The page of `objects` that `query` asks for.
#[must_use]
pub fn page<'a, T>(objects: &'a BTreeMap<String, T>, query: Query<'_>) -> Page<'a, T> {
    let mut page = Page { objects: Vec::new(), prefixes: Vec::new(), next: None };
    let max = query.max.min(PAGE);
    let mut last = "";
    for (key, object) in objects.range::<str, _>((start(&query), Bound::Unbounded)) {
        if !key.starts_with(query.prefix) {
            break;
        }
        let folded = common_prefix(key, query);
        if folded.is_some_and(|f| f == last || f <= query.after) {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == max {
            page.next = (max > 0).then_some(last);
            break;
        }
        last = folded.unwrap_or(key);
        match folded {
            Some(prefix) => page.prefixes.push(prefix),
            None => page.objects.push((key, object)),
        }
    }
    page
}

fn start<'a>(query: &Query<'a>) -> Bound<&'a str> {
    if query.after >= query.prefix && !query.after.is_empty() {
        Bound::Excluded(query.after)
    } else {
        Bound::Included(query.prefix)
    }
}

fn common_prefix<'a>(key: &'a str, query: Query<'_>) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let at = key[query.prefix.len()..].find(query.delimiter)?;
    Some(&key[..query.prefix.len() + at + query.delimiter.len()])
}

/// A key as `encoding-type=url` writes it: `/` stays, a space is `+`.
#[must_use]
pub fn url_encode(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                text.push(char::from(byte));
            }
            b' ' => text.push('+'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(keys: &[&str]) -> BTreeMap<String, ()> {
        keys.iter().map(|k| ((*k).to_owned(), ())).collect()
    }

    fn walk(objects: &BTreeMap<String, ()>, query: Query<'_>) -> (Vec<String>, Vec<String>, usize) {
        let (mut keys, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
        let mut after = String::new();
        loop {
            let page = page(objects, Query { after: &after, ..query });
            keys.extend(page.objects.iter().map(|(k, ())| (*k).to_owned()));
            prefixes.extend(page.prefixes.iter().map(|p| (*p).to_owned()));
            pages += 1;
            match page.next {
                Some(next) => after = next.to_owned(),
                None => return (keys, prefixes, pages),
            }
        }
    }

    #[test]
    fn every_key_is_on_exactly_one_page() {
        let objects = bucket(&["a", "a/b", "a//c", "..", "b", "ü", "z/1", "z/2"]);
        for max in 1..10 {
            let (keys, prefixes, pages) = walk(&objects, Query { max, ..Query::default() });
            assert_eq!(keys, objects.keys().cloned().collect::<Vec<_>>());
            assert!(prefixes.is_empty());
            assert_eq!(pages, objects.len().div_ceil(max));
        }
    }

    #[test]
    fn keys_fold_at_the_delimiter_once_on_any_page_size() {
        let objects = bucket(&["a", "a/b", "a/c", "b/1/x", "b/2", "c"]);
        for max in 1..6 {
            let query = Query { delimiter: "/", max, ..Query::default() };
            let (keys, prefixes, _) = walk(&objects, query);
            assert_eq!(
                (keys, prefixes),
                (vec!["a".into(), "c".into()], vec!["a/".into(), "b/".into()])
            );
        }
        let query = Query { prefix: "b/", delimiter: "/", max: 9, ..Query::default() };
        let (keys, prefixes, _) = walk(&objects, query);
        assert_eq!((keys, prefixes), (vec!["b/2".into()], vec!["b/1/".into()]));
    }

    #[test]
    fn a_page_holds_a_thousand_at_most_and_none_when_none_are_wanted() {
        let objects: BTreeMap<String, ()> = (0..1500).map(|i| (format!("{i:05}"), ())).collect();
        let first = page(&objects, Query { max: 5000, ..Query::default() });
        assert_eq!((first.objects.len(), first.next), (1000, Some("00999")));
        let none = page(&objects, Query { max: 0, ..Query::default() });
        assert_eq!((none.objects.len(), none.next), (0, None));
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(url_encode("a b/ü+\u{1}.txt"), "a+b/%C3%BC%2B%01.txt");
    }
}
