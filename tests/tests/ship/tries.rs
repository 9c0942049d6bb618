//! Copies that were damaged, cut, replaced or swapped, on each kind of destination: `verify` finds them, and
//! `restore.sh` restores none that is not as it was.

use crate::copies::{OTHER, two};
use crate::kit::{Bench, Ended, NAME, OFFSITE, end};
use crate::restic;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use test_kit::tools::workspace;

/// How many copies a test spoils: all with `PIPRIO_TEST_FULL=yes`.
fn tries(usual: usize) -> usize {
    if std::env::var_os("PIPRIO_TEST_FULL").is_some_and(|value| value == "yes") {
        100
    } else {
        usual
    }
}

/// A kind of destination, with two bundles in it.
struct Kind {
    bench: Bench,
    number: u8,
    /// What lies there, as it was written.
    good: Vec<(String, Vec<u8>)>,
}

/// How many tries ended in which way.
#[derive(Debug, Default)]
struct Tally {
    /// By the status of `verify`, and by that of `restore.sh`. No status: it was restored whole.
    verified: BTreeMap<i32, usize>,
    restored: BTreeMap<Option<i32>, usize>,
}

impl Kind {
    fn of(bench: Bench, number: u8) -> Self {
        let mut kind = Self { bench, number, good: Vec::new() };
        kind.good = kind.names().into_iter().map(|name| (name.clone(), kind.read(&name))).collect();
        kind
    }

    fn names(&self) -> Vec<String> {
        match self.number {
            1 => self.bench.objects(),
            2 => self.bench.copies(),
            _ => {
                // Locks hold nothing.
                let found = "cd repository && find . -type f -not -path './locks/*' | sort";
                self.bench.sh(found).lines().map(str::to_owned).collect()
            }
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.bench.path(if self.number == 2 { "copies" } else { "repository" }).join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        match self.number {
            1 => self.bench.object(name),
            _ => fs::read(self.path(name)).unwrap(),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        match self.number {
            1 => self.bench.put_object(name, bytes),
            _ => {
                // restic makes its files read-only.
                fs::remove_file(self.path(name)).unwrap();
                fs::write(self.path(name), bytes).unwrap();
            }
        }
    }

    /// `ship-run` with this destination alone.
    fn command(&self, arguments: &[&str]) -> Command {
        if self.number == 3 {
            return restic::ship_command(&self.bench, arguments);
        }
        let mut command = self.bench.ship_command(arguments);
        command.env_remove(if self.number == 1 { "SHIP_2" } else { "SHIP_1" });
        command
    }

    /// `restore.sh` with the same settings. Intact, the bundle is opened, and its restore ends then: no database is set.
    fn restore(&self, bundle: &str) -> Ended {
        let copy = format!("SHIP_{}:{bundle}", self.number);
        let script = workspace().join("scripts/restore.sh").display().to_string();
        let mut command = self.bench.command("bash", &[&script, &copy, "-i", "key", "--dry-run"]);
        for (name, value) in self.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let _ = fs::remove_dir_all(self.bench.path("backups/.unsealed"));
        end(&mut command)
    }

    /// Whether the restored bundle is there, as it was.
    fn is_opened(&self, bundle: &str) -> bool {
        let opened = self.bench.path("backups/.unsealed").join(bundle);
        if !opened.exists() {
            return false;
        }
        self.bench.sh(&format!("diff -r 'backups/{bundle}' '{}'", opened.display()));
        true
    }

    /// Spoils something; returns the names of what was changed.
    fn spoil(&self, number: usize, random: &mut fastrand::Rng) -> Vec<&str> {
        let count = self.good.len();
        let which = random.usize(..count);
        let (name, good) = &self.good[which];
        let mut changed = vec![name.as_str()];
        let mut bytes = good.clone();
        match number % 4 {
            0 => bytes[random.usize(..good.len())] ^= 1 << random.u8(..8),
            1 => bytes.truncate(random.usize(..good.len())),
            // Of the other bundle: the sealed file, the description, or both. Of a repository: any other file.
            2 => {
                let other =
                    |at: usize| if self.number == 3 { (at + 1) % count } else { (at + 2) % 4 };
                bytes.clone_from(&self.good[other(which)].1);
                let second = if self.number == 3 { other(which) } else { which ^ 1 };
                if self.number == 3 || number % 8 == 2 {
                    let (name, _) = &self.good[second];
                    let of = if self.number == 3 { which } else { other(second) };
                    self.write(name, &self.good[of].1);
                    changed.push(name);
                }
            }
            _ => bytes = (0..good.len()).map(|_| random.u8(..)).collect(),
        }
        self.write(name, &bytes);
        changed
    }

    /// `may_open`: whether a restore of a bundle may succeed although these were changed.
    fn spoil_all(&self, tries: usize, found: &[i32], may_open: impl Fn(&[&str]) -> bool) -> Tally {
        let mut random = fastrand::Rng::with_seed(7);
        let mut tally = Tally::default();
        let verify = || end(&mut self.command(&["verify"]));
        verify().with(0);
        self.restore(NAME);
        assert!(self.is_opened(NAME), "a good copy is not restored");
        for number in 0..tries {
            let changed = self.spoil(number, &mut random);
            let what = format!("SHIP_{}, try {number}, {changed:?}", self.number);
            let verified = verify();
            let code = verified.code.unwrap_or_default();
            assert!(found.contains(&code), "{what}: {code} {}", verified.err);
            *tally.verified.entry(code).or_default() += 1;
            let bundle = if changed[0].starts_with(OTHER) { OTHER } else { NAME };
            let ended = self.restore(bundle);
            let status = match self.is_opened(bundle) {
                true => {
                    assert!(may_open(&changed), "{what}: {}", ended.err);
                    None
                }
                false => ended.code,
            };
            assert!(!matches!(status, Some(0 | 2 | 3 | 5)), "{what}: {status:?} {}", ended.err);
            *tally.restored.entry(status).or_default() += 1;
            for (name, bytes) in self.good.iter().filter(|(name, _)| changed.contains(&&**name)) {
                self.write(name, bytes);
            }
        }
        verify().with(0);
        self.print(tries, &tally);
        tally
    }

    #[allow(clippy::print_stdout, reason = "the figures, for who runs all tries with --nocapture")]
    fn print(&self, tries: usize, tally: &Tally) {
        println!("SHIP_{}: {tries} tries: {tally:?}", self.number);
    }
}

/// If only the description is damaged, the sealed file's own encryption proves it.
fn is_description(changed: &[&str]) -> bool {
    changed.iter().all(|name| name.ends_with(".json"))
}

#[test]
fn spoilt_copies_in_a_directory_are_found_and_not_restored() {
    let kind = Kind::of(two(), 2);
    let tally = kind.spoil_all(100, &[4], is_description);
    assert!(tally.restored.keys().all(|status| matches!(status, None | Some(4))), "{tally:?}");
}

#[test]
fn spoilt_copies_in_a_bucket_are_found_and_not_restored() {
    let kind = Kind::of(two(), 1);
    assert_eq!(kind.bench.s3.client().list(OFFSITE, "").unwrap().len(), 4);
    let tally = kind.spoil_all(tries(16), &[4], is_description);
    assert!(tally.restored.keys().all(|status| matches!(status, None | Some(4))), "{tally:?}");
}

#[test]
fn spoilt_files_of_a_repository_are_found_and_not_restored() {
    let Some(bench) = restic::stand() else { return };
    bench.make(OTHER, "SELECT 2;");
    restic::ship(&bench, &["--all"]).with(0);
    let kind = Kind::of(bench, 3);
    // What cannot be opened at all is not distinguished from what cannot be reached (3, and 1 of a restore). Other
    // files than those that the restored bundle needs may be spoilt.
    kind.spoil_all(tries(8), &[3, 4], |_| true);
}
