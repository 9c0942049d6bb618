//! The folders of this crate use each other in one direction only.

use std::fs;
use std::path::Path;

/// A folder, and the modules of the crate that it may use besides its own.
const ROOMS: [(&str, &[&str]); 7] = [
    ("object", &[]),
    ("s3", &["object", "settings", "location"]),
    ("mirror", &["object", "external_sort", "spool"]),
    ("pull", &["object", "s3", "mirror", "location", "cli", "report"]),
    ("push", &["object", "s3", "mirror", "location", "cli", "report", "external_sort", "spool"]),
    ("put", &["object", "s3", "location", "cli", "report", "spool"]),
    ("get", &["object", "s3", "location", "cli"]),
];

#[test]
fn the_client_and_the_directory_do_not_know_each_other_nor_pull_and_push() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, allowed) in ROOMS {
        let entries = fs::read_dir(source.join(room)).expect(room);
        let files = entries.map(|entry| entry.expect(room).path());
        for file in files.chain([source.join(format!("{room}.rs"))]) {
            let text = fs::read_to_string(&file).expect(room);
            for used in text.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_allowed = used == room || allowed.contains(&used.as_str());
                assert!(is_allowed, "{} uses crate::{used}", file.display());
            }
        }
    }
}
