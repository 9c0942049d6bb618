//! Small histories, with one thing wrong in each.

use super::*;
use proptest::prelude::*;

/// What a report's files have as hashes.
const HASH: &str = "as written";

fn link(drill: &str, previous: Option<PreviousDrill>) -> Link {
    let files = FILES.map(|file| (file.to_owned(), HASH.to_owned()));
    Link { drill: drill.to_owned(), previous, files: files.into() }
}

fn named(stored: &Stored) -> PreviousDrill {
    PreviousDrill { drill: stored.name.clone(), sha256: stored.sha256.clone().unwrap() }
}

/// Reports with these names, each of which names the one before it.
fn history(names: &[String]) -> Vec<Stored> {
    let mut reports: Vec<Stored> = Vec::new();
    for name in names {
        let previous = reports.last().map(named);
        let hash = format!("hash of {name}");
        let link = Ok(link(name, previous));
        reports.push(Stored { name: name.clone(), sha256: Some(hash), link });
    }
    reports
}

fn newest_of(reports: &[Stored]) -> Newest {
    reports.last().map_or(Newest::Missing, |last| Newest::Names(named(last)))
}

fn check(reports: Vec<Stored>, newest: &Newest) -> Vec<String> {
    let ordered = in_order(reports, |report| report);
    let ordered: Vec<&Stored> = ordered.iter().collect();
    findings(&ordered, newest, &Newest::Missing, |_, _| Some(HASH.to_owned()))
}

/// Names in any order: a clock may have been wrong.
fn names() -> impl Strategy<Value = Vec<String>> {
    (1usize..8)
        .prop_flat_map(|n| Just((0..n).map(|n| format!("drill_{n}")).collect::<Vec<_>>()))
        .prop_shuffle()
}

fn is_found(lines: &[String], name: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("{name}: ")))
}

proptest! {
    #[test]
    fn whole_histories_are_good_and_in_order(names in names(), seed in any::<u64>()) {
        let mut reports = history(&names);
        let newest = newest_of(&reports);
        prop_assert_eq!(check(reports.clone(), &newest), Vec::<String>::new());
        let at = seed as usize % reports.len();
        reports.rotate_left(at);
        let ordered = in_order(reports, |report| report);
        prop_assert_eq!(ordered.iter().map(|r| &r.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        let ordered: Vec<&Stored> = ordered.iter().collect();
        prop_assert_eq!(before_next(&ordered, &newest, &newest), ordered.last().map(|last| named(last)));
    }

    #[test]
    fn any_removed_report_is_found_and_stays_found(names in names(), at in any::<prop::sample::Index>()) {
        let mut reports = history(&names);
        let newest = newest_of(&reports);
        let removed = reports.remove(at.index(names.len()));
        prop_assert!(is_found(&check(reports.clone(), &newest), &removed.name));
        // The next drill names the one that should be there.
        let ordered = in_order(reports, |report| report);
        let previous = before_next(&ordered.iter().collect::<Vec<_>>(), &newest, &Newest::Missing);
        let mut reports = ordered;
        reports.push(Stored { name: "next".into(), sha256: Some("n".into()), link: Ok(link("next", previous)) });
        let newest = newest_of(&reports);
        prop_assert!(is_found(&check(reports, &newest), &removed.name));
    }

    #[test]
    fn any_changed_report_is_found(names in names(), at in any::<prop::sample::Index>()) {
        let mut reports = history(&names);
        let newest = newest_of(&reports);
        let at = at.index(names.len());
        reports[at].sha256 = Some("another".into());
        prop_assert!(is_found(&check(reports, &newest), &names[at]));
    }

    #[test]
    fn any_two_swapped_reports_are_found(names in names(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let mut reports = history(&names);
        let newest = newest_of(&reports);
        let (a, b) = (a.index(names.len()), b.index(names.len()));
        prop_assume!(a != b);
        (reports[a].name, reports[b].name) = (names[b].clone(), names[a].clone());
        let lines = check(reports, &newest);
        prop_assert!(is_found(&lines, &names[a]) && is_found(&lines, &names[b]), "{lines:?}");
    }

    #[test]
    fn any_inserted_report_is_found(names in names(), after in prop::option::of(any::<prop::sample::Index>())) {
        let reports = history(&names);
        let newest = newest_of(&reports);
        let previous = after.map(|at| named(&reports[at.index(names.len())]));
        // After the newest one it looks like a drill that was killed before it noted itself as the newest.
        prop_assume!(previous.as_ref().is_none_or(|p| p.drill != names[names.len() - 1]));
        for name in ["drill_", "drill_3x", "drill_x"] {
            let inserted = Stored { name: name.into(), sha256: Some("i".into()), link: Ok(link(name, previous.clone())) };
            let mut with_it = reports.clone();
            with_it.push(inserted);
            prop_assert!(!check(with_it, &newest).is_empty());
        }
    }

    #[test]
    fn anything_is_checked_without_an_end(
        links in prop::collection::vec((0usize..5, prop::option::of(0usize..6)), 0..5),
    ) {
        let report = |(at, (drill, previous)): (usize, &(usize, Option<usize>))| {
            let previous = previous.map(|p| PreviousDrill { drill: format!("drill_{p}"), sha256: "h".into() });
            let link = Ok(link(&format!("drill_{drill}"), previous));
            Stored { name: format!("drill_{at}"), sha256: Some("h".into()), link }
        };
        let reports: Vec<Stored> = links.iter().enumerate().map(report).collect();
        let ordered = in_order(reports.clone(), |report| report);
        prop_assert_eq!(ordered.len(), reports.len());
        check(reports, &Newest::Missing);
    }
}

#[test]
fn a_drill_killed_before_it_was_noted_is_no_finding_and_the_next_one_follows_it() {
    let names = ["drill_1", "drill_2", "drill_3"].map(str::to_owned);
    let reports = history(&names);
    let one_behind = newest_of(&reports[..2]);
    assert_eq!(check(reports.clone(), &one_behind), [""; 0]);
    assert_eq!(check(reports[..1].to_vec(), &Newest::Missing), [""; 0]);
    let stored: Vec<&Stored> = reports.iter().collect();
    assert_eq!(before_next(&stored, &one_behind, &one_behind), Some(named(&reports[2])));
    assert_eq!(before_next(&stored, &Newest::Missing, &Newest::Missing), Some(named(&reports[2])));
    let two_behind = newest_of(&reports[..1]);
    assert_eq!(
        check(reports, &two_behind),
        ["drill_3: inserted: newest.json names drill_1 as the newest report"]
    );
}

#[test]
fn each_line_names_the_report_and_what_is_wrong_with_it() {
    let names = ["drill_1", "drill_2", "drill_3"].map(str::to_owned);
    let whole = history(&names);
    let newest = newest_of(&whole);
    let lines = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut reports = whole.clone();
        change(&mut reports);
        check(reports, &newest)
    };
    assert_eq!(
        lines(&|r| drop(r.remove(1))),
        ["drill_2: missing: drill_3 names it, with the SHA-256 hash of drill_2"]
    );
    assert_eq!(
        lines(&|r| r[0].sha256 = Some("x".into())),
        ["drill_1: changed: drill_2 names another SHA-256 of its report.json, hash of drill_1"]
    );
    assert_eq!(
        lines(&|r| r[1].link = Err("report.json:\nforged: line".into())),
        ["drill_2: unreadable: report.json:\\nforged: line"]
    );
    let file = |file: &str, hash: Option<&str>| {
        let stored: Vec<&Stored> = whole.iter().collect();
        findings(&stored, &newest, &Newest::Missing, |name, f| match (name, f) {
            ("drill_2", f) if f == file => hash.map(str::to_owned),
            _ => Some(HASH.to_owned()),
        })
    };
    assert_eq!(file("report.md", None), ["drill_2: missing or unreadable: report.md"]);
    assert_eq!(
        file("report.html", Some("x")),
        ["drill_2: changed: report.html is not as it was written"]
    );
    assert_eq!(check(whole.clone(), &Newest::Missing), ["newest.json: missing"]);
    assert_eq!(check(whole, &Newest::Unreadable("x".into())), ["newest.json: unreadable: x"]);
}
