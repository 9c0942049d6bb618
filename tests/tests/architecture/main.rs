//! What holds for the sources of every package: no modules that need each other, nothing too long to
//! read in one sitting, no name that names nothing, no dependency that is not used.
// In a test to panic is to fail.
#![allow(clippy::unwrap_used)]

mod circles;
mod examples;
mod modules;
mod shape;

use modules::Crate;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use test_kit::tools::{Package, packages, workspace};

/// Faults, and the places where each one is.
type Faults = BTreeMap<String, Vec<String>>;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = files.filter_entry(|e| e.file_name() != "target" && e.file_name() != "fixtures");
    let files = files.filter_map(Result::ok).map(walkdir::DirEntry::into_path);
    files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

/// The files with which a package's library and programs begin.
fn roots(package: &Path) -> Vec<PathBuf> {
    let of_programs = std::fs::read_dir(package.join("src/bin")).into_iter().flatten();
    let of_programs = of_programs.filter_map(Result::ok).map(|entry| match entry.path() {
        folder if folder.is_dir() => folder.join("main.rs"),
        file => file,
    });
    let roots = ["src/lib.rs", "src/main.rs"].map(|root| package.join(root));
    roots.into_iter().chain(of_programs).filter(|root| root.exists()).collect()
}

fn faults_of(package: &Path) -> Faults {
    let mut faults = Faults::new();
    for file in rust_files(package) {
        for fault in shape::faults(&file) {
            faults.entry(fault).or_default().push(file.display().to_string());
        }
    }
    for root in roots(package) {
        for circle in circles::circles(&Crate::read(&root)) {
            faults.entry(format!("circle in {circle}")).or_default().extend(circle.places);
        }
    }
    faults
}

/// Dependencies whose names none of the package's files mentions.
fn unused_dependencies(package: &Package) -> Faults {
    let files = rust_files(&package.folder);
    let texts: Vec<String> = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let is_word_byte = |c: char| c.is_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = texts.iter().flat_map(|t| t.split(|c| !is_word_byte(c))).collect();
    // A library may be called as its package is but for the hyphens: `md-5` is `md5`.
    let names = |package: &str| [package.replace('-', "_"), package.replace('-', "")];
    let is_unused = |name: &&String| !names(name).iter().any(|n| words.contains(n.as_str()));
    package
        .imports
        .iter()
        .filter(is_unused)
        .map(|name| (format!("unused dependency {name}"), Vec::new()))
        .collect()
}

#[test]
fn no_package_has_a_fault() {
    let mut found = String::new();
    for package in packages().unwrap() {
        let mut faults = faults_of(&package.folder);
        faults.extend(unused_dependencies(&package));
        for (fault, places) in faults {
            let places: String = places.iter().map(|p| format!("    {p}\n")).collect();
            found += &format!("{}: {fault}\n{places}", package.name);
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn every_package_is_checked() {
    let names: Vec<String> = packages().unwrap().into_iter().map(|p| p.name).collect();
    for name in test_kit::tools::TOOLS.iter().chain(&["pipe-kit", "test-kit", "pipeline-tests"]) {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
    assert!(workspace().join("Cargo.toml").exists());
}
