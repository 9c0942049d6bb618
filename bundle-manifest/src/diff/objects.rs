//! Objects that were added, removed and changed, by the first part of their keys.

use super::change::Change;
use crate::bundle::objects::{self, Object};
use anyhow::Result;
use bundle_format::layout::MIRROR;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

/// What changed in the objects under one prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prefix {
    pub prefix: String,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    pub objects: Change,
    pub bytes: Change,
}

impl Prefix {
    fn change_count(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// What changed in the objects.
#[derive(Debug, Default, Serialize)]
pub struct Objects {
    /// Whether there was a mirror, and whether there is one.
    pub mirror_before: bool,
    pub mirror_after: bool,
    /// All objects; its prefix is empty.
    pub all: Prefix,
    /// The greatest change first; prefixes without a change are left out.
    pub prefixes: Vec<Prefix>,
}

impl Objects {
    pub fn between(before: &Path, after: &Path) -> Result<Self> {
        let has = |bundle: &Path| bundle.join(MIRROR).is_dir();
        let (old, new) = std::thread::scope(|scope| {
            let old = scope.spawn(|| objects::all(before));
            let new = objects::all(after);
            let panicked = |_| Err(anyhow::anyhow!("reading an index panicked"));
            (old.join().unwrap_or_else(panicked), new)
        });
        let all = compare(&old?, &new?);
        Ok(Self { mirror_before: has(before), mirror_after: has(after), ..all })
    }
}

/// Compares two lists, both sorted by key.
fn compare(old: &[Object], new: &[Object]) -> Objects {
    let mut prefixes: BTreeMap<&str, Prefix> = BTreeMap::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key.cmp(&new.key),
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        let Some(key) = was.or(is).map(|object| &object.key) else { break };
        add(prefixes.entry(objects::prefix(key)).or_default(), was, is);
    }
    let mut all = Prefix::default();
    for part in prefixes.values() {
        all.added += part.added;
        all.removed += part.removed;
        all.changed += part.changed;
        for (sum, own) in [(&mut all.objects, part.objects), (&mut all.bytes, part.bytes)] {
            sum.before += own.before;
            sum.after += own.after;
        }
    }
    let named = |(prefix, part): (&str, Prefix)| Prefix { prefix: prefix.to_owned(), ..part };
    let mut prefixes: Vec<_> =
        prefixes.into_iter().map(named).filter(|part| part.change_count() > 0).collect();
    prefixes.sort_by_key(|part| std::cmp::Reverse((part.change_count(), part.bytes.size())));
    Objects { all, prefixes, ..Objects::default() }
}

fn add(part: &mut Prefix, was: Option<&Object>, is: Option<&Object>) {
    if let Some(was) = was {
        part.objects.before += 1;
        part.bytes.before += was.size;
    }
    if let Some(is) = is {
        part.objects.after += 1;
        part.bytes.after += is.size;
    }
    match (was, is) {
        (None, _) => part.added += 1,
        (_, None) => part.removed += 1,
        (Some(was), Some(is)) => {
            let known = was.sha256.is_some() && is.sha256.is_some();
            let same = was.size == is.size && (!known || was.sha256 == is.sha256);
            part.changed += u64::from(!same);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64, sha256: &str) -> Object {
        let sha256 = (!sha256.is_empty()).then(|| sha256.to_owned());
        Object { key: key.to_owned(), size, sha256 }
    }

    #[test]
    fn objects_are_counted_by_prefix_and_the_greatest_change_comes_first() {
        let old = [
            object("a/1", 5, "x"),
            object("a/2", 5, "x"),
            object("b/1", 1, "x"),
            object("c", 1, ""),
        ];
        let new = [
            object("a/2", 5, "y"),
            object("a/3", 7, "z"),
            object("b/1", 1, "x"),
            object("c", 1, "s"),
            object("d", 2, ""),
        ];
        let Objects { all, prefixes, .. } = compare(&old, &new);
        let counts = |p: &Prefix| (p.prefix.clone(), p.added, p.removed, p.changed);
        assert_eq!(
            prefixes.iter().map(counts).collect::<Vec<_>>(),
            [("a".to_owned(), 1, 1, 1), (String::new(), 1, 0, 0)]
        );
        assert_eq!(counts(&all), (String::new(), 2, 1, 1));
        assert_eq!(all.objects, Change { before: 4, after: 5 });
        assert_eq!(all.bytes, Change { before: 12, after: 16 });
    }
}
