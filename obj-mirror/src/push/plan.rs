//! The push plan: a pure function of the sources and the listing.

use crate::mirror::index::Entry;
use crate::push::source::Source;
use crate::s3::etag::is_md5;
use crate::s3::page::Listed;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What a push will do.
#[derive(Debug, Default)]
pub struct PushPlan {
    /// Objects that are unchanged.
    pub keep: u64,
    /// Objects that may be unchanged; it takes a request or a read to know.
    pub check: Vec<(Source, Listed)>,
    /// Objects to upload.
    pub send: Vec<Source>,
    /// Keys that the source does not have.
    pub extra: BTreeSet<String>,
}

/// Plans a push. `source_keys` are all keys of the source, also of objects that cannot be sent, so that
/// these are not deleted as extra. With `ignore_existing`, an object that the bucket has stays as it is.
pub fn plan_push(
    sources: Vec<Source>,
    listing: Vec<Listed>,
    source_keys: &HashSet<String>,
    ignore_existing: bool,
) -> PushPlan {
    let mut plan = PushPlan::default();
    let mut there: BTreeMap<String, Listed> =
        listing.into_iter().map(|object| (object.key.clone(), object)).collect();
    for source in sources {
        match there.remove(&source.key) {
            None => plan.send.push(source),
            Some(_) if ignore_existing => plan.keep += 1,
            Some(object) if object.size != source.size => plan.send.push(source),
            Some(object) => match &source.entry {
                Some(e) if is_current(e, &object) => {
                    plan.keep += 1;
                }
                Some(e) if e.etag != object.etag && is_md5(&e.etag) && is_md5(&object.etag) => {
                    plan.send.push(source);
                }
                _ => plan.check.push((source, object)),
            },
        }
    }
    plan.extra = there.into_keys().filter(|key| !source_keys.contains(key)).collect();
    plan
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

    fn source(key: &str, entry: Option<Entry>) -> Source {
        Source { key: key.into(), path: key.into(), size: 1, sha256: Vec::new(), entry }
    }

    #[test]
    fn a_push_sends_checks_or_keeps() {
        let md5 = Entry { etag: "1".repeat(32), ..Entry::sample("changed", "changed") };
        let parts = Entry { etag: "1-2".into(), ..Entry::sample("parts", "parts") };
        let later = DateTime::from_timestamp_millis(2_000).unwrap();
        let rewritten = Entry { last_modified: later, ..Entry::sample("rewritten", "rewritten") };
        let sources = vec![
            source("same", Some(Entry::sample("same", "same"))),
            source("changed", Some(md5)),
            source("parts", Some(parts)),
            source("rewritten", Some(rewritten)),
            source("new", Some(Entry::sample("new", "new"))),
            source("plain", None),
            Source { size: 9, ..source("grown", None) },
        ];
        let there = ["same", "changed", "parts", "rewritten", "plain", "grown", "extra", "broken"];
        let plan = plan_push(
            sources,
            there.map(Listed::sample).to_vec(),
            &HashSet::from(["broken".into()]),
            false,
        );
        let keys = |sources: &[Source]| sources.iter().map(|s| s.key.clone()).collect::<Vec<_>>();
        assert_eq!(plan.keep, 1);
        assert_eq!(keys(&plan.send), ["changed", "new", "grown"]);
        let checked: Vec<_> = plan.check.iter().map(|(s, _)| s.key.as_str()).collect();
        assert_eq!(checked, ["parts", "rewritten", "plain"]);
        assert_eq!(plan.extra, BTreeSet::from(["extra".to_owned()]));
    }

    #[test]
    fn an_object_that_exists_is_never_replaced_with_that_option() {
        let grown = Source { size: 9, ..source("grown", None) };
        let there = ["grown", "extra"].map(Listed::sample).to_vec();
        let plan = plan_push(vec![grown, source("new", None)], there, &HashSet::new(), true);
        assert_eq!((plan.keep, plan.check.len()), (1, 0));
        assert_eq!(plan.send.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(), ["new"]);
        assert_eq!(plan.extra, BTreeSet::from(["extra".to_owned()]));
    }
}
