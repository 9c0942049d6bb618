//! The checks, tried on made-up packages that have each fault.

use crate::{faults_of, unused_dependencies};
use tempfile::TempDir;
use test_kit::tools::Package;

fn package(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    faults_of(package(files).path()).into_keys().collect()
}

/// What the check of a library with modules `a` and `b` finds.
fn circles(root: &str, a: &str, b: &str) -> Vec<String> {
    let root = format!("mod a;\nmod b;\n{root}");
    found(&[("src/lib.rs", &root), ("src/a.rs", a), ("src/b.rs", b)])
}

#[test]
fn two_modules_that_need_each_other_are_a_circle_however_they_name_each_other() {
    let needs_b = [
        "use crate::b::B;",
        "use super::b::B;",
        "use crate::{b::{B as Other}};",
        "use crate::b::*;",
        "use crate::b; fn f() { b::g() }",
        "fn f() { crate::b::g() }",
        "fn f() { use super::b::B; }",
        "fn f(b: &super::b::B) {}",
        "fn f() { println!(\"{}\", super::b::g()) }",
        "#[arg(value_parser = crate::b::parse)] struct A;",
        // Through a name that the root makes public.
        "use crate::B;",
    ];
    for a in needs_b {
        let circles = circles("pub use b::B;", a, "use crate::a::A;");
        assert_eq!(circles, ["circle in crate: a, b"], "{a}");
    }
}

#[test]
fn a_module_that_only_uses_another_is_in_no_circle() {
    let b = "pub struct B; mod tests_of_b {}";
    for a in ["use crate::b::B;", "use crate::b; use std::io;", "fn f(x: u8) { Self::b::g() }"] {
        assert_eq!(circles("use a::A; use b::B;", a, b), [""; 0], "{a}");
    }
    // Tests may use anything, a module's name alone is no use of what it holds, nor is a visibility.
    for b in [
        "#[cfg(test)] mod tests { use crate::a::A; }",
        "#[cfg(test)] use crate::a::A;",
        "#[test] fn t() { crate::a::f() }",
        "use crate::a;",
        "pub(in crate::a) struct B;",
        "// crate::a::A",
    ] {
        assert_eq!(circles("", "use crate::b::B;", b), [""; 0], "{b}");
    }
}

#[test]
fn a_child_that_uses_its_parents_items_is_a_circle_only_if_the_parent_uses_it() {
    let files = |parent, child| {
        found(&[("src/lib.rs", "mod p;"), ("src/p.rs", parent), ("src/p/c.rs", child)])
    };
    assert_eq!(files("mod c; use c::C; struct P;", "struct C;"), [""; 0]);
    assert_eq!(files("mod c; struct P;", "use super::P;"), [""; 0]);
    let both = files("mod c; fn f() { c::g() } struct P;", "use super::P;");
    assert_eq!(both, ["circle in crate::p: c, self"]);
    let root =
        found(&[("src/lib.rs", "mod c; pub use c::C; fn f() {}"), ("src/c.rs", "use crate::f;")]);
    assert_eq!(root, ["circle in crate: c, self"]);
}

#[test]
fn a_circle_through_three_modules_and_their_children_is_found_at_its_level() {
    let circles = found(&[
        ("src/main.rs", "mod a; mod b; mod c; mod apart; use apart::X;"),
        ("src/a.rs", "mod inner;"),
        ("src/a/inner.rs", "use crate::b::B;"),
        ("src/b/mod.rs", "mod deep { use crate::c::C; }"),
        ("src/c.rs", "use crate::a::inner::I; use crate::apart::X;"),
        ("src/apart.rs", "pub struct X;"),
    ]);
    assert_eq!(circles, ["circle in crate: a, b, c"]);
    let deeper = found(&[
        ("src/lib.rs", "mod a;"),
        ("src/a.rs", "#[path = \"elsewhere.rs\"] mod x; mod y { use super::x::X; }"),
        ("src/elsewhere.rs", "use crate::a::y::Y;"),
    ]);
    assert_eq!(deeper, ["circle in crate::a: x, y"]);
    let of_a_program = found(&[
        ("src/lib.rs", ""),
        ("src/bin/alone.rs", ""),
        ("src/bin/program/main.rs", "mod a; mod b;"),
        ("src/bin/program/a.rs", "use crate::b::B;"),
        ("src/bin/program/b.rs", "use crate::a::A;"),
    ]);
    assert_eq!(of_a_program, ["circle in crate: a, b"]);
}

#[test]
fn a_file_and_a_function_too_long_are_found() {
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    assert_eq!(found(&[("src/lib.rs", &function(60))]), [""; 0]);
    assert_eq!(found(&[("src/lib.rs", &function(61))]), ["long function f"]);
    let method = format!("struct S;\nimpl S {{\n{}}}", function(61));
    assert_eq!(found(&[("src/lib.rs", &method)]), ["long function f"]);
    assert_eq!(found(&[("src/lib.rs", &"// c\n".repeat(400))]), [""; 0]);
    for file in ["src/lib.rs", "src/bin/program.rs", "tests/t.rs", "tests/t/part.rs"] {
        assert_eq!(found(&[(file, &"// c\n".repeat(401))]), ["long file"], "{file}");
    }
}

#[test]
fn names_and_comments_without_content_are_found() {
    let cases = [
        ("fn tell_all() {}", "function named tell_all"),
        ("#[test] fn a_fault_is_told() {}", "test named a_fault_is_told"),
        ("trait T { fn said(&self); }", "function named said"),
        ("struct RowTold;", "type named RowTold"),
        ("enum E { Untold }", "variant named Untold"),
        ("struct S { told: u8 }", "field named told"),
        ("fn f() { let say = 1; }", "variable named say"),
        ("mod said {}", "module named said"),
        ("enum From { A }", "enum From"),
        ("/// See the module.\nstruct S;", "comment See the module."),
    ];
    for (text, fault) in cases {
        assert_eq!(found(&[("src/lib.rs", text)]), [fault], "{text}");
    }
    for text in ["fn essay() {}", "fn teller() {}", "#[test] fn a_fault_is_reported() {}"] {
        assert_eq!(found(&[("tests/t.rs", text)]), [""; 0], "{text}");
    }
}

#[test]
fn a_dependency_that_no_source_names_is_found() {
    let folder = package(&[("src/lib.rs", "use used_one::X;"), ("tests/t.rs", "used_two::f()")]);
    let imports = ["used-one", "used-two", "left-over"].map(str::to_owned).into();
    let (name, folder) = ("p".into(), folder.path().into());
    let (dependencies, dev_dependencies) = (Vec::new(), Vec::new());
    let package = Package { name, folder, dependencies, dev_dependencies, imports };
    let unused: Vec<String> = unused_dependencies(&package).into_keys().collect();
    assert_eq!(unused, ["unused dependency left-over"]);
}
