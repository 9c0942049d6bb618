//! The push plan: a pure function of the sources and the listing, both in byte order of their keys.

use crate::external_sort::Sorter;
use crate::mirror::index::Entry;
use crate::object::Failure;
use crate::push::source::{Found, Source};
use crate::s3::etag::is_md5;
use crate::s3::listed::Listed;
use crate::s3::tagging::TagPolicy;
use anyhow::Result;
use std::cmp::Ordering;
use std::iter::Peekable;

/// What is to be done with an object.
#[derive(Debug)]
pub enum Step {
    Send(Source),
    /// It may be unchanged; it takes a request or a read to know.
    Check(Source, Listed),
    /// It is unchanged, but its tags may not be: neither time nor ETag shows that they changed.
    CheckTags(Source),
}

impl Step {
    pub fn source(&self) -> &Source {
        match self {
            Self::Send(source) | Self::Check(source, _) | Self::CheckTags(source) => source,
        }
    }

    pub fn into_source(self) -> Source {
        match self {
            Self::Send(source) | Self::Check(source, _) | Self::CheckTags(source) => source,
        }
    }
}

/// Which differences a push makes good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// An object that the bucket has stays as it is.
    pub ignore_existing: bool,
    /// Keys that the source does not have are gathered.
    pub delete: bool,
    /// Whose tags are compared.
    pub tags: TagPolicy,
}

impl Rules {
    /// Whether the tags of an object that is otherwise unchanged are compared.
    fn compares_tags(&self, entry: &Entry) -> bool {
        match self.tags {
            TagPolicy::Always => true,
            TagPolicy::Auto => !entry.tags.is_empty(),
            TagPolicy::Never => false,
        }
    }
}

/// What a push does besides its steps.
#[derive(Default)]
pub struct Others {
    /// Objects that are unchanged.
    pub keep: u64,
    /// Objects that cannot be sent.
    pub failures: Vec<Failure>,
    /// Keys that the source does not have. They are not deleted while objects cannot be sent.
    pub extra: Sorter,
}

/// Plans a push step by step, in byte order of the keys. Neither side is held in memory.
pub struct Planner<S: Iterator, L: Iterator> {
    sources: Peekable<S>,
    listing: Peekable<L>,
    rules: Rules,
    pub others: Others,
}

impl<S, L> Planner<S, L>
where
    S: Iterator<Item = Result<Found>>,
    L: Iterator<Item = Result<Listed>>,
{
    /// Both sides are sorted by key; in the listing, each key is there once.
    pub fn new(sources: S, listing: L, rules: Rules) -> Self {
        let (sources, listing) = (sources.peekable(), listing.peekable());
        Self { sources, listing, rules, others: Others::default() }
    }

    fn advance(&mut self) -> Result<Option<Step>> {
        loop {
            let side = match (self.sources.peek(), self.listing.peek()) {
                (None, None) => return Ok(None),
                (Some(Ok(found)), Some(Ok(object))) => key(found).cmp(object.key.as_str()),
                // An object counts as missing only if the listing goes on, or has ended.
                (_, Some(Err(_))) | (None, Some(_)) => Ordering::Greater,
                (Some(_), _) => Ordering::Less,
            };
            let source = self.sources.next_if(|_| side.is_le()).transpose()?;
            let object = self.listing.next_if(|_| side.is_ge()).transpose()?;
            let step = match (source, object) {
                (Some(Ok(source)), object) => self.decide(source, object),
                (Some(Err(failure)), _) => {
                    self.others.failures.push(failure);
                    None
                }
                (None, Some(object)) if self.rules.delete => {
                    self.others.extra.push(object.key.as_bytes(), &[])?;
                    None
                }
                (None, _) => None,
            };
            if step.is_some() {
                return Ok(step);
            }
        }
    }

    fn decide(&mut self, source: Source, object: Option<Listed>) -> Option<Step> {
        let Some(object) = object else { return Some(Step::Send(source)) };
        let is_kept = match &source.entry {
            _ if self.rules.ignore_existing => true,
            _ if object.size != source.size => return Some(Step::Send(source)),
            Some(entry) if is_current(entry, &object) && self.rules.compares_tags(entry) => {
                return Some(Step::CheckTags(source));
            }
            Some(entry) if is_current(entry, &object) => true,
            Some(e) if e.etag != object.etag && is_md5(&e.etag) && is_md5(&object.etag) => {
                return Some(Step::Send(source));
            }
            _ => false,
        };
        self.others.keep += u64::from(is_kept);
        (!is_kept).then_some(Step::Check(source, object))
    }
}

impl<S, L> Iterator for Planner<S, L>
where
    S: Iterator<Item = Result<Found>>,
    L: Iterator<Item = Result<Listed>>,
{
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Result<Step>> {
        self.advance().transpose()
    }
}

fn key(found: &Found) -> &str {
    match found {
        Ok(source) => &source.key,
        Err(failure) => &failure.key,
    }
}

/// Whether the bucket's object is the one in the index. Without an ETag this is unknown.
fn is_current(entry: &Entry, object: &Listed) -> bool {
    let has_etag = !object.etag.is_empty();
    has_etag && entry.etag == object.etag && entry.last_modified == object.modified
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn source(key: &str, entry: Option<Entry>) -> Source {
        Source { key: key.into(), path: key.into(), size: 1, sha256: Vec::new(), entry }
    }

    fn unsendable(key: &str) -> Found {
        Err(Failure { key: key.into(), reason: "damaged".into() })
    }

    fn id(found: &Found) -> String {
        key(found).to_owned()
    }

    /// The keys that are sent, checked, checked for their tags alone, unchanged, failed and extra.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Plan {
        send: Vec<String>,
        check: Vec<String>,
        check_tags: Vec<String>,
        keep: u64,
        failed: Vec<String>,
        extra: Vec<String>,
    }

    fn plan(mut sources: Vec<Found>, listing: &[&str], ignore_existing: bool) -> Plan {
        sources.sort_by_key(id);
        let listing: BTreeSet<&&str> = listing.iter().collect();
        let listing = listing.into_iter().map(|key| Ok(Listed::sample(key)));
        let rules = Rules { ignore_existing, delete: true, ..Rules::default() };
        let mut planner = Planner::new(sources.into_iter().map(Ok), listing, rules);
        let mut plan = Plan::default();
        for step in planner.by_ref() {
            match step.unwrap() {
                Step::Send(source) => plan.send.push(source.key),
                Step::Check(source, object) => {
                    assert_eq!(source.key, object.key);
                    plan.check.push(source.key);
                }
                Step::CheckTags(source) => plan.check_tags.push(source.key),
            }
        }
        let Others { keep, failures, extra } = planner.others;
        plan.keep = keep;
        plan.failed = failures.into_iter().map(|failure| failure.key).collect();
        let text = |record: Result<crate::external_sort::Record>| record.unwrap().key;
        let extra = extra.finish().unwrap().map(text);
        plan.extra = extra.map(|key| String::from_utf8(key).unwrap()).collect();
        plan
    }

    #[test]
    fn a_push_sends_checks_or_keeps() {
        let md5 = Entry { etag: "1".repeat(32), ..Entry::sample("changed", "changed") };
        let parts = Entry { etag: "1-2".into(), ..Entry::sample("parts", "parts") };
        let later = DateTime::from_timestamp_millis(2_000).unwrap();
        let rewritten = Entry { last_modified: later, ..Entry::sample("rewritten", "rewritten") };
        let tags = [("k".to_owned(), "v".to_owned())].into();
        let tagged = Entry { tags, ..Entry::sample("tagged", "tagged") };
        let sources = vec![
            Ok(source("tagged", Some(tagged))),
            Ok(source("same", Some(Entry::sample("same", "same")))),
            Ok(source("changed", Some(md5))),
            Ok(source("parts", Some(parts))),
            Ok(source("rewritten", Some(rewritten))),
            Ok(source("new", Some(Entry::sample("new", "new")))),
            Ok(source("plain", None)),
            Ok(Source { size: 9, ..source("grown", None) }),
            unsendable("broken"),
        ];
        let there = [
            "tagged",
            "same",
            "changed",
            "parts",
            "rewritten",
            "plain",
            "grown",
            "extra",
            "broken",
        ];
        let plan = plan(sources, &there, false);
        assert_eq!(plan.keep, 1);
        assert_eq!(plan.send, ["changed", "grown", "new"]);
        assert_eq!(plan.check, ["parts", "plain", "rewritten"]);
        assert_eq!(plan.check_tags, ["tagged"]);
        assert_eq!((plan.failed, plan.extra), (vec!["broken".into()], vec!["extra".into()]));
    }

    #[test]
    fn an_object_that_exists_is_never_replaced_with_that_option() {
        let grown = Source { size: 9, ..source("grown", None) };
        let plan = plan(vec![Ok(grown), Ok(source("new", None))], &["grown", "extra"], true);
        assert_eq!((plan.keep, plan.check.len()), (1, 0));
        assert_eq!((plan.send, plan.extra), (vec!["new".into()], vec!["extra".into()]));
    }

    #[test]
    fn keys_compare_as_utf8_not_as_utf16() {
        // In UTF-16, the first begins with a surrogate, which is below the second.
        let keys = ["\u{1f600}", "\u{ff5e}"];
        let plan = plan(keys.map(|key| Ok(source(key, None))).to_vec(), &keys, false);
        assert_eq!(plan.check, ["\u{ff5e}", "\u{1f600}"]);
        assert_eq!((plan.send.len(), plan.extra.len()), (0, 0));
    }

    #[test]
    fn a_side_that_cannot_be_read_on_ends_the_plan_and_deletes_nothing() {
        fn broken<T>() -> Result<T> {
            anyhow::bail!("broken")
        }
        let listing = ["a", "b"].map(|key| Ok(Listed::sample(key)));
        let rules = Rules { delete: true, ..Rules::default() };
        let sources: Vec<Result<Found>> = vec![broken()];
        let mut planner = Planner::new(sources.into_iter(), listing.into_iter(), rules);
        assert!(planner.next().unwrap().is_err());
        assert_eq!(planner.others.extra.len(), 0);
        let sources = vec![Ok(Ok(source("b", None)))];
        let mut planner = Planner::new(sources.into_iter(), vec![broken()].into_iter(), rules);
        assert!(planner.next().unwrap().is_err(), "it is not known whether the bucket has b");
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_place(
            mine in prop::collection::btree_map("[a-c\u{ff5e}\u{1f600}/]{1,3}", any::<bool>(), 0..20),
            theirs in prop::collection::btree_set("[a-c\u{ff5e}\u{1f600}/]{1,3}", 0..20),
        ) {
            let found = |(key, is_whole): (&String, &bool)| match is_whole {
                true => Ok(source(key, None)),
                false => unsendable(key),
            };
            let listing: Vec<&str> = theirs.iter().map(String::as_str).collect();
            let got = plan(mine.iter().map(found).collect(), &listing, false);
            let whole: BTreeMap<_, _> = mine.iter().filter(|(_, is_whole)| **is_whole).collect();
            let (check, send): (Vec<_>, Vec<_>) =
                whole.into_keys().cloned().partition(|key| theirs.contains(key));
            let failed = mine.iter().filter(|(_, is_whole)| !**is_whole);
            let failed = failed.map(|(key, _)| key.clone()).collect();
            let extra = theirs.iter().filter(|key| !mine.contains_key(*key)).cloned().collect();
            prop_assert_eq!(got, Plan { send, check, failed, extra, ..Plan::default() });
        }
    }
}
