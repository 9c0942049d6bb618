//! `MANIFEST.txt`: plain text for people, with a head and a table that can be read back.

use crate::layout::{CONFIG, DATABASE};
use pipe_kit::text::one_line;
use std::fmt::Write;

const OBJECTS: &str = "minio/";
const ABSENT: &str = "absent (external object storage)";

/// The values of a manifest that is written.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The finished bundle's name.
    pub bundle: String,
    /// When it was taken, RFC 3339, UTC.
    pub timestamp: String,
    /// The host it was taken on.
    pub host: String,
    /// The deployment's version.
    pub version: String,
    /// The deployment's domain.
    pub domain: String,
    /// The database server's version.
    pub postgres: String,
    /// This toolkit's name and version.
    pub toolkit: String,
    /// Sizes of the components.
    pub sizes: Sizes,
}

/// How much a mirror holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of objects.
    pub objects: u64,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
}

/// The component table: sizes in bytes; `None` where there is no mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The dump.
    pub database: u64,
    /// The mirror.
    pub objects: Option<Extent>,
    /// The config archive.
    pub config: u64,
}

impl Manifest {
    /// The whole text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (key, value) in [
            ("Bundle", &self.bundle),
            ("Timestamp", &self.timestamp),
            ("Host", &self.host),
            ("Version", &self.version),
            ("Domain", &self.domain),
            ("Postgres", &self.postgres),
            ("Toolkit", &self.toolkit),
        ] {
            let _ = writeln!(text, "{:<11}{}", format!("{key}:"), one_line(value));
        }
        text.push_str(&self.sizes.table());
        text.push_str(&how_to_restore(&self.bundle, self.sizes.objects.is_some()));
        text
    }
}

impl Sizes {
    fn table(&self) -> String {
        let mut text = format!("\n{:<16}  {:>15}  Content\n", "Component", "Bytes");
        let mut row = |name: &str, bytes: u64, content: &str| {
            let _ = writeln!(text, "{name:<16}  {bytes:>15}  {content}");
        };
        row(DATABASE, self.database, "PostgreSQL dump (plain SQL, gzip)");
        match self.objects {
            Some(Extent { objects, bytes }) => {
                let plural = if objects == 1 { "" } else { "s" };
                row(OBJECTS, bytes, &format!("{objects} object{plural}"));
            }
            None => {
                let _ = writeln!(text, "{OBJECTS:<16}  {ABSENT}");
            }
        }
        let mut row = |name: &str, bytes: u64, content: &str| {
            let _ = writeln!(text, "{name:<16}  {bytes:>15}  {content}");
        };
        row(CONFIG, self.config, "env file, secrets, certificates (holds keys in the clear)");
        text
    }
}

fn how_to_restore(bundle: &str, mirror: bool) -> String {
    let mut text = format!(
        "
Restore with this toolkit, in the deployment's directory:

    bash scripts/restore.sh PATH/TO/{bundle}

Restore without it, in this directory:

    sha256sum -c SHA256SUMS
"
    );
    if mirror {
        text.push_str("    (cd minio && sha256sum -c --quiet .obj-mirror/SHA256SUMS)\n");
    }
    text.push_str(
        "    createdb -T template0 DATABASE
    gunzip -c database.sql.gz | psql -X -v ON_ERROR_STOP=1 -d DATABASE
    tar xzf config.tar.gz -C DEPLOYMENT_DIRECTORY
",
    );
    if mirror {
        text.push_str(
            "
and copy minio/ to the bucket with any S3 client, leaving out .obj-mirror/, which
holds each object's content type and metadata, and the keys that cannot be paths.
",
        );
    }
    text
}

/// The value of a `Key: value` line; `None` where there is no such line, or no value.
#[must_use]
pub fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let of = |line: &'a str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim());
    text.lines().find_map(of).filter(|value| !value.is_empty())
}

/// What can be read of a manifest, ours or an older script's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// `Bundle`.
    pub bundle: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// `Domain`.
    pub domain: Option<String>,
    /// `Toolkit`; a bundle whose manifest has it must be sealed.
    pub toolkit: Option<String>,
    /// Size of the dump in bytes.
    pub database: Option<u64>,
    /// The mirror: `Some(None)` where the table reports none.
    pub objects: Option<Option<Extent>>,
    /// Size of the config archive in bytes.
    pub config: Option<u64>,
}

impl Parsed {
    /// Reads the values that are there. Any other text holds none.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let value = |key: &str| value(text, key).map(str::to_owned);
        let mut parsed = Self {
            bundle: value("Bundle"),
            version: value("Version"),
            domain: value("Domain"),
            toolkit: value("Toolkit"),
            ..Self::default()
        };
        let table = text.lines().skip_while(|line| !line.starts_with("Component "));
        for line in table.skip(1).take_while(|line| !line.trim().is_empty()) {
            parsed.read_row(line);
        }
        parsed
    }

    fn read_row(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (name, size) = (words.next(), words.next());
        let number = |word: Option<&str>| word.and_then(|w| w.parse().ok());
        match (name, number(size)) {
            (Some(DATABASE), bytes) => self.database = bytes,
            (Some(CONFIG), bytes) => self.config = bytes,
            (Some(OBJECTS), Some(bytes)) => {
                self.objects = number(words.next()).map(|objects| Some(Extent { objects, bytes }));
            }
            (Some(OBJECTS), None) if size == Some("absent") => self.objects = Some(None),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest(objects: Option<Extent>) -> Manifest {
        Manifest {
            bundle: "piprio_20260421T020000Z".into(),
            timestamp: "2026-04-21T02:00:00Z".into(),
            host: "vm\nToolkit: forged".into(),
            version: "4.2".into(),
            domain: "docs.example.org".into(),
            postgres: "15.18 (Debian 15.18-0+deb12u1)".into(),
            toolkit: "piprio-backup 0.1.0".into(),
            sizes: Sizes { database: 12_345_678_901, objects, config: 3 },
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for objects in [None, Some(Extent { objects: 6006, bytes: 598_000_000 })] {
            let text = manifest(objects).render();
            let parsed = Parsed::read(&text);
            assert_eq!(parsed.toolkit.as_deref(), Some("piprio-backup 0.1.0"));
            assert_eq!(parsed.domain.as_deref(), Some("docs.example.org"));
            assert_eq!(parsed.bundle.as_deref(), Some("piprio_20260421T020000Z"));
            assert_eq!(parsed.database, Some(12_345_678_901));
            assert_eq!(parsed.config, Some(3));
            assert_eq!(parsed.objects, Some(objects));
        }
    }

    #[test]
    fn the_text_names_every_part_and_both_ways_back() {
        let text = manifest(Some(Extent { objects: 2, bytes: 10 })).render();
        for needle in [
            "Timestamp: 2026-04-21T02:00:00Z\n",
            "Host:      vm\\nToolkit: forged\n",
            "2 objects",
            "bash scripts/restore.sh",
            "sha256sum -c SHA256SUMS",
            "cd minio && sha256sum -c",
            "gunzip -c database.sql.gz | psql",
            "tar xzf config.tar.gz",
        ] {
            assert!(text.contains(needle), "{needle:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_bundle_without_a_mirror_is_described_as_such_and_gives_no_command_for_one() {
        let text = manifest(None).render();
        assert!(text.contains("minio/            absent (external object storage)\n"), "{text}");
        assert!(!text.contains("cd minio"));
    }

    #[test]
    fn an_older_manifest_reads_as_far_as_it_goes() {
        let parsed = Parsed::read("Piprio backup\n\nVersion: 3.1\ndatabase.sql.gz 1.2M\n");
        assert_eq!(parsed.version.as_deref(), Some("3.1"));
        assert_eq!((parsed.toolkit, parsed.database, parsed.objects), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(Component |minio/|absent|[0-9]{0,25}|\n|Toolkit:|.){0,40}") {
            let _ = Parsed::read(&text);
        }
    }
}
