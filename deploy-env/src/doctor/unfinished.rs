//! A restore that is not complete. Its journal is what it continues by, and what keeps backups from running; services
//! that it has stopped would run on data that is neither the old nor the new.

use super::place::Place;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Whether a restore is unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// There is none.
    No,
    /// It is not known.
    Unknown,
    /// There is one, of this bundle; none if the journal cannot be read.
    Of(Option<PathBuf>),
}

/// What is read of the journal.
#[derive(Deserialize)]
struct Journal {
    bundle: PathBuf,
}

impl Unfinished {
    /// Reads the journal of a deployment.
    pub fn look(place: &Place) -> Self {
        let file = place.path(".restore/unfinished.json");
        match std::fs::symlink_metadata(&file) {
            Ok(_) => {
                let text = super::file::read(&file).unwrap_or_default();
                let journal = serde_json::from_slice(&text).ok();
                Self::Of(journal.map(|journal: Journal| journal.bundle))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::No,
            Err(_) => Self::Unknown,
        }
    }

    /// Continues the restore, where there is one.
    pub fn resume(&self, place: &Place) -> Option<String> {
        let Self::Of(bundle) = self else { return None };
        let bundle = bundle.as_ref().map_or("BUNDLE".into(), |bundle| bundle.to_string_lossy());
        Some(place.script("restore.sh", &[&bundle, "--resume"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_is_continued_with_the_bundle_of_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        let journal = dir.path().join(".restore/unfinished.json");
        assert_eq!(Unfinished::look(&place), Unfinished::No);
        std::fs::create_dir(dir.path().join(".restore")).unwrap();
        let resume = |text: &str| {
            std::fs::write(&journal, text).unwrap();
            let command = Unfinished::look(&place).resume(&Place::new("/d".as_ref()));
            command.unwrap()
        };
        assert_eq!(
            resume(r#"{"bundle":"/b/my bundle","identity":"x"}"#),
            "bash /d/scripts/restore.sh '/b/my bundle' --resume"
        );
        assert_eq!(resume("{"), "bash /d/scripts/restore.sh BUNDLE --resume");
        assert_eq!(Unfinished::No.resume(&place), None);
        assert_eq!(Unfinished::Unknown.resume(&place), None);
        let below_a_file = Place::new(&journal);
        assert_eq!(Unfinished::look(&below_a_file), Unfinished::Unknown);
    }
}
