//! Modules that need each other.

use crate::modules::{Crate, ModulePath, Use};
use std::collections::{BTreeMap, BTreeSet};

/// Modules that all reach one another, at one level of the tree.
pub struct Circle {
    /// The module whose children they are.
    pub parent: ModulePath,
    /// Names of children; `self` is the parent's own code.
    pub members: Vec<String>,
    /// One place for each step from a member to another.
    pub places: Vec<String>,
}

impl std::fmt::Display for Circle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parent = ["crate"].into_iter().chain(self.parent.iter().map(String::as_str));
        let parent: Vec<&str> = parent.collect();
        write!(f, "{}: {}", parent.join("::"), self.members.join(", "))
    }
}

type Steps = BTreeMap<String, BTreeMap<String, String>>;

/// Every circle of a crate, at each level of its tree: among the children of a module, and between
/// a child and its parent's own code.
pub fn circles(read: &Crate) -> Vec<Circle> {
    let mut levels: BTreeMap<ModulePath, Steps> = BTreeMap::new();
    for Use { from, to, place } in read.uses() {
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let node = |path: &[String]| path.get(common).cloned().unwrap_or_else(|| "self".into());
        let steps = levels.entry(from[..common].to_vec()).or_default();
        steps.entry(node(&from)).or_default().entry(node(&to)).or_insert(place);
    }
    let circles = levels.iter().flat_map(|(parent, steps)| level(parent, steps));
    circles.collect()
}

fn level(parent: &ModulePath, steps: &Steps) -> Vec<Circle> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        steps.keys().map(|node| (node, reachable(node, steps))).collect();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for (node, beyond) in &reached {
        let joined = |other: &&&String| reached.get(*other).is_some_and(|r| r.contains(*node));
        let members: Vec<String> = beyond.iter().filter(joined).map(|m| (*m).clone()).collect();
        if members.len() < 2 || !seen.insert(members.clone()) {
            continue;
        }
        let inside = |(from, to): (&String, &BTreeMap<String, String>)| {
            let is_member = |name: &String| members.contains(name);
            let to = to.iter().filter(|(to, _)| is_member(from) && is_member(to));
            to.map(|(to, place)| format!("{from} -> {to}: {place}")).collect::<Vec<_>>()
        };
        let places = steps.iter().flat_map(inside).collect();
        circles.push(Circle { parent: parent.clone(), members, places });
    }
    circles
}

/// What a node leads to, itself only by way of another.
fn reachable<'a>(node: &'a String, steps: &'a Steps) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut ahead: Vec<&String> = vec![node];
    while let Some(next) = ahead.pop() {
        let further = steps.get(next).into_iter().flat_map(BTreeMap::keys);
        ahead.extend(further.filter(|name| found.insert(*name)));
    }
    found
}
