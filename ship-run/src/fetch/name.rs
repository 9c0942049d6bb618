//! The names of copies: `s3://BUCKET/[PREFIX/]FILE`, `restic:[REPOSITORY:]BUNDLE`, `SHIP_n:BUNDLE`.

use crate::place::{Destination, Files, Place};
use anyhow::Result;
use bundle_format::BundleName;
use bundle_format::shipments;
use bundle_format::shipped::{AGE, GPG, sealed_name};
use pipe_kit::Stop;
use std::ffi::OsStr;

/// What a copy is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A sealed file in a bucket.
    Bucket { folder: String, file: String, bundle: BundleName },
    /// A snapshot in a repository; an empty one is that of the settings or of the environment.
    Restic { repository: String, bundle: BundleName },
    /// A copy at a destination of the settings.
    OfNumber { number: u8, bundle: BundleName },
}

impl Name {
    /// Reads one.
    ///
    /// # Errors
    /// [`Stop::usage`] if it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Stop::usage(format!(
                "{text}: a copy is written s3://BUCKET/NAME.tar.age, restic:REPOSITORY:BUNDLE or SHIP_n:BUNDLE"
            ))
            .into()
        };
        Self::read(text).ok_or_else(wrong)
    }

    fn read(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (folder, file) = rest.rsplit_once('/')?;
            let (folder, file) = (folder.to_owned(), file.to_owned());
            return Some(Self::Bucket { bundle: sealed_name(&file)?, folder, file });
        }
        let bundle = |name: &str| BundleName::parse(OsStr::new(name));
        if let Some(rest) = text.strip_prefix("restic:") {
            let (repository, name) = rest.rsplit_once(':').unwrap_or(("", rest));
            return Some(Self::Restic { repository: repository.to_owned(), bundle: bundle(name)? });
        }
        let (number, name) = text.strip_prefix("SHIP_")?.split_once(':')?;
        let bundle = bundle(name).or_else(|| sealed_name(name))?;
        Some(Self::OfNumber { number: number.parse().ok()?, bundle })
    }

    /// The bundle that it names.
    pub fn bundle(&self) -> &BundleName {
        let (Self::Bucket { bundle, .. }
        | Self::Restic { bundle, .. }
        | Self::OfNumber { bundle, .. }) = self;
        bundle
    }

    /// Whether the copy may be at a destination.
    pub fn is_of(&self, destination: &Destination) -> bool {
        match (self, &destination.place) {
            (Self::Bucket { folder, file, .. }, Place::Files(Files::Bucket(bucket))) => {
                bucket.name_of(&format!("{folder}/{file}")).is_some()
            }
            (Self::Restic { repository, .. }, Place::Restic(_)) => {
                repository.is_empty()
                    || destination.name == shipments::place(&format!("restic:{repository}"), None)
            }
            (Self::OfNumber { number, .. }, _) => destination.number == *number,
            _ => false,
        }
    }

    /// The names that its file can have.
    pub fn files(&self) -> impl Iterator<Item = String> {
        let files = match self {
            Self::Bucket { file, .. } => vec![file.clone()],
            Self::Restic { .. } => Vec::new(),
            Self::OfNumber { bundle, .. } => {
                [AGE, GPG].map(|suffix| format!("{}{suffix}", bundle.as_str())).to_vec()
            }
        };
        files.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_is_read_and_nothing_else() {
        const BUNDLE: &str = "piprio_20260421T020000Z";
        let bundle = || BundleName::parse(OsStr::new(BUNDLE)).unwrap();
        let restic =
            |repository: &str| Name::Restic { repository: repository.into(), bundle: bundle() };
        for (text, name) in [
            (
                format!("s3://b/host1/{BUNDLE}.tar.age"),
                Name::Bucket {
                    folder: "b/host1".into(),
                    file: format!("{BUNDLE}.tar.age"),
                    bundle: bundle(),
                },
            ),
            (format!("restic:/srv/r:{BUNDLE}"), restic("/srv/r")),
            (format!("restic:s3:https://h:9000/b/p:{BUNDLE}"), restic("s3:https://h:9000/b/p")),
            (format!("restic:{BUNDLE}"), restic("")),
            (format!("SHIP_3:{BUNDLE}"), Name::OfNumber { number: 3, bundle: bundle() }),
            (format!("SHIP_3:{BUNDLE}.tar.gpg"), Name::OfNumber { number: 3, bundle: bundle() }),
        ] {
            assert_eq!(Name::parse(&text).unwrap(), name);
        }
        for wrong in ["s3://b", "s3://b/other", "restic:/srv/r", "SHIP_x:y", "SHIP_1:../x", BUNDLE]
        {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
    }
}
