use super::super::catalog::{CatalogIndex, CatalogRelation};
use super::super::dumped_objects::DumpIndex;
use super::super::statement;
use super::*;

fn n(name: &str) -> Name {
    ("s".into(), name.into())
}

fn relation(name: &str, kind: char, root: Option<&str>) -> (Name, CatalogRelation) {
    let relation = CatalogRelation {
        schema: "s".into(),
        name: name.into(),
        kind,
        quoted: format!("s.{name}"),
        filenode: 1,
        pages: 1,
        filled: false,
        member: false,
        filter: None,
        root: root.map(n),
        increment: (kind == 'S').then_some(-2),
    };
    (n(name), relation)
}

fn constraint(name: &str) -> statement::DumpConstraint {
    statement::DumpConstraint {
        name: name.into(),
        not_valid: false,
        not_enforced: false,
        not_null: false,
    }
}

fn found(
    name: &str,
    valid: bool,
    enforced: bool,
    local: bool,
) -> ((Name, String), CatalogConstraint) {
    let (schema, of, key) = ("s".into(), "t".into(), name.to_owned());
    ((n("t"), key.clone()), CatalogConstraint { schema, of, name: key, valid, enforced, local })
}

fn index(name: &str, valid: bool, ready: bool) -> (Name, CatalogIndex) {
    let (schema, table) = ("s".into(), "t".into());
    (n(name), CatalogIndex { schema, name: name.into(), table, valid, ready })
}

fn findings(dumped: &DumpedObjects, catalog: &Catalog, counts: &Counts) -> Vec<String> {
    let found = compare(dumped, catalog, counts, 17).findings;
    found.iter().map(|f| format!("{:?} {} {:?}", f.object, f.name, f.difference)).collect()
}

fn both() -> (DumpedObjects, Catalog) {
    let mut dumped = DumpedObjects::default();
    dumped.schemas.insert("s".into());
    dumped.relations.insert(n("t"), RelationKind::Table);
    let mut catalog = Catalog::default();
    catalog.schemas.extend(["s".into(), "public".into()]);
    catalog.relations.extend([relation("t", 'r', None)]);
    (dumped, catalog)
}

#[test]
fn what_is_missing_and_what_is_there_besides_is_found_once() {
    let (mut dumped, mut catalog) = both();
    let counts = Counts::default();
    assert!(findings(&dumped, &catalog, &counts).is_empty());
    dumped.relations.extend([
        (n("u"), RelationKind::Table),
        (n("v"), RelationKind::View),
        (n("q"), RelationKind::Sequence),
    ]);
    dumped.rows.insert(n("u"), Some(1));
    dumped.sequences.insert(n("q"), (1, true));
    dumped.constraints.insert((n("u"), "c".into()), constraint("c"));
    dumped.indexes.insert(n("i"), DumpIndex { table: n("u"), ..DumpIndex::default() });
    catalog.relations.extend([relation("x", 'p', None), relation("y", 'r', None)]);
    catalog.relations.get_mut(&n("y")).unwrap().member = true;
    catalog.schemas.extend(["other".into(), "ext".into()]);
    catalog.member_schemas.insert("ext".into());
    let all = findings(&dumped, &catalog, &counts);
    let expected = [
        "Schema  Extra",
        "Sequence q Missing",
        "Table u Missing",
        "View v Missing",
        "Table x Extra",
    ];
    assert_eq!(all, expected);
}

#[test]
fn rows_are_compared_by_table_and_through_a_root_together() {
    let (mut dumped, mut catalog) = both();
    dumped.rows.insert(n("t"), Some(3));
    dumped.relations.extend([(n("p"), RelationKind::Partitioned), (n("a"), RelationKind::Table)]);
    dumped.relations.extend([(n("b"), RelationKind::Table), (n("none"), RelationKind::Table)]);
    dumped.parents.extend([(n("a"), n("p")), (n("b"), n("p"))]);
    dumped.rows.extend([(n("p"), Some(4)), (n("a"), Some(0)), (n("odd"), None)]);
    catalog.relations.extend([
        relation("p", 'p', None),
        relation("a", 'r', Some("p")),
        relation("b", 'r', Some("p")),
        relation("none", 'r', None),
        relation("odd", 'r', None),
    ]);
    catalog.relations.get_mut(&n("odd")).unwrap().member = true;
    let mut counts = Counts::default();
    counts.rows.extend([(n("t"), 3), (n("a"), 1), (n("b"), 3)]);
    let same = compare(&dumped, &catalog, &counts, 17);
    assert_eq!((same.tables, same.rows, same.findings.len()), (2, 7, 0));
    assert_eq!(same.not_compared, [n("none"), n("odd")]);
    counts.rows.extend([(n("t"), 2), (n("a"), 2)]);
    let expected =
        ["Table p Rows { expected: 4, found: 5 }", "Table t Rows { expected: 3, found: 2 }"];
    assert_eq!(findings(&dumped, &catalog, &counts), expected);
}

#[test]
fn a_sequence_is_behind_by_what_it_gives_next_and_in_its_own_direction() {
    let (mut dumped, mut catalog) = both();
    dumped.relations.insert(n("q"), RelationKind::Sequence);
    catalog.relations.extend([relation("q", 'S', None)]);
    for (dump, now, step, behind) in [
        ((5, true), (5, true), 1, false),
        ((5, true), (6, true), 1, false),
        ((5, true), (5, false), 1, true),
        ((1, false), (1, true), 1, false),
        ((5, true), (6, false), 1, false),
        ((-5, true), (-4, true), -1, true),
        ((-5, true), (-6, true), -1, false),
        ((i64::MAX, true), (i64::MAX, true), 1, false),
    ] {
        dumped.sequences.insert(n("q"), dump);
        catalog.relations.get_mut(&n("q")).unwrap().increment = Some(step);
        let mut counts = Counts::default();
        counts.sequences.insert(n("q"), now);
        let found = findings(&dumped, &catalog, &counts);
        assert_eq!(!found.is_empty(), behind, "{dump:?} {now:?} {step}: {found:?}");
    }
}

#[test]
fn a_constraint_is_compared_with_its_definition_in_the_dump() {
    let (mut dumped, mut catalog) = both();
    let with = |name: &str, not_valid, not_enforced| {
        let constraint = statement::DumpConstraint { not_valid, not_enforced, ..constraint(name) };
        ((n("t"), name.to_owned()), constraint)
    };
    dumped.constraints.extend([
        with("good", false, false),
        with("bad", false, false),
        with("never", true, false),
        with("off", false, true),
        with("turned_off", false, false),
        with("gone", false, false),
    ]);
    let not_null = statement::DumpConstraint { not_null: true, ..constraint("nn") };
    dumped.constraints.insert((n("t"), "nn".into()), not_null);
    catalog.constraints.extend([
        found("good", true, true, true),
        found("bad", false, true, true),
        found("never", false, true, true),
        found("off", false, false, true),
        found("turned_off", false, false, true),
        found("of_parent", false, true, false),
        found("own", false, true, true),
    ]);
    let counts = Counts::default();
    let expected = [
        "Constraint gone Missing",
        "Constraint bad NotValid",
        "Constraint own NotValid",
        "Constraint turned_off NotEnforced",
    ];
    assert_eq!(findings(&dumped, &catalog, &counts), expected);
    let later = compare(&dumped, &catalog, &counts, 18).findings;
    assert!(later.iter().any(|finding| finding.name == "nn"));
}

#[test]
fn an_index_is_valid_unless_the_dump_leaves_a_partition_without_one() {
    let (mut dumped, mut catalog) = both();
    dumped.parents.extend([(n("a"), n("p")), (n("b"), n("p"))]);
    let only = |table: &str, parts: &[&str]| DumpIndex {
        table: n(table),
        only: true,
        parts: parts.iter().map(|part| n(part)).collect(),
    };
    dumped.indexes.extend([
        (n("i"), DumpIndex { table: n("t"), ..DumpIndex::default() }),
        (n("whole"), only("p", &["wa", "wb"])),
        (n("part"), only("p", &["pa"])),
        (n("lost"), DumpIndex { table: n("t"), ..DumpIndex::default() }),
    ]);
    let counts = Counts::default();
    catalog.indexes.extend([
        index("i", true, true),
        index("whole", true, true),
        index("part", false, true),
        index("lost", true, true),
    ]);
    assert!(findings(&dumped, &catalog, &counts).is_empty());
    catalog.indexes.remove(&n("lost"));
    catalog.indexes.extend([
        index("i", false, true),
        index("whole", false, true),
        index("own", true, false),
    ]);
    let expected =
        ["Index lost Missing", "Index i NotValid", "Index own NotReady", "Index whole NotValid"];
    assert_eq!(findings(&dumped, &catalog, &counts), expected);
}

#[test]
fn a_view_is_filled_where_the_dumps_is() {
    let (mut dumped, mut catalog) = both();
    dumped.relations.extend([
        (n("m"), RelationKind::MaterializedView),
        (n("e"), RelationKind::MaterializedView),
    ]);
    dumped.filled.insert(n("m"));
    catalog.relations.extend([relation("m", 'm', None), relation("e", 'm', None)]);
    let counts = Counts::default();
    assert_eq!(findings(&dumped, &catalog, &counts), ["MaterializedView m NotFilled"]);
    catalog.relations.get_mut(&n("m")).unwrap().filled = true;
    dumped.large_objects = Some(2);
    let expected = ["LargeObjects  Rows { expected: 2, found: 0 }"];
    assert_eq!(findings(&dumped, &catalog, &counts), expected);
}

#[test]
fn what_has_the_name_and_is_something_else_does_not_count() {
    let (mut dumped, mut catalog) = both();
    dumped.rows.insert(n("t"), Some(0));
    dumped.relations.insert(n("old"), RelationKind::Table);
    catalog.relations.extend([relation("t", 'v', None), relation("old", 'v', None)]);
    assert_eq!(findings(&dumped, &catalog, &Counts::default()), ["Table t Missing"]);
}
