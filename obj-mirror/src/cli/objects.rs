//! The options of the commands for one object.

use crate::cli::link::Link;
use crate::object::range::ByteRange;
use crate::s3::lock::RetainMode;
use clap::Args;
use pipe_kit::text::parse_bytes;
use std::ffi::OsString;
use std::path::PathBuf;

/// `obj-mirror put`
#[derive(Args, Debug)]
#[command(after_help = "\
The object appears whole or not at all. A failed or terminated run aborts its upload. A killed one
leaves parts that cost space until the bucket's lifecycle rule removes them.

If the input is a regular FILE (also as `< FILE`), the next run with the same FILE continues what a
killed run has left: parts that the server has with the same bytes are not sent again. A stream
cannot be read again, so it is sent from the beginning.

The end of a pipe looks the same whether its writer is done or has failed. With COMMAND, the object
is completed only if COMMAND ends with status 0. With --framed, the input itself shows that it is
complete.

Every part is sent with its MD5 and SHA-256, which the server compares. The parts of a stream are
8 MiB, and twice as large after each 1,000 parts. At most 32 MiB of them are in memory; parts over
16 MiB lie in temporary files.

With --retain-days, the run fails if the server does not show the lock afterwards (if the keys may
read it): some servers accept a lock and do not apply it.

EXAMPLES
  obj-mirror put s3://offsite/a.tar.age < a.tar.age
  obj-mirror put s3://offsite/a.tar -- bundle-manifest pack backups/piprio_20260421T020000Z
  obj-mirror put --retain-days 30 --retain-mode compliance s3://offsite/locked a.tar.age

EXIT STATUS
  0  stored
  1  failed: the input or COMMAND failed, the keys are refused, or the server is unreachable
  2  wrong usage
  4  the input does not have the given SHA-256")]
pub struct Put {
    /// s3://BUCKET/KEY
    #[arg(value_name = "OBJECT")]
    pub object: String,

    /// The file to store [default: standard input]
    #[arg(value_name = "FILE", conflicts_with = "command")]
    pub file: Option<PathBuf>,

    /// Store what this command writes to its standard output
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<OsString>,

    /// Complete the object only if the input has this SHA-256
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub sha256: Option<String>,

    /// Read a framed stream, which is incomplete without its last record; see docs/FORMAT.md
    #[arg(long, conflicts_with_all = ["command", "sha256"])]
    pub framed: bool,

    /// Lock the object for N days: it can be neither deleted nor replaced (the bucket needs Object Lock)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub retain_days: Option<u32>,

    /// Who can end the lock early
    #[arg(long, value_name = "MODE", value_enum, default_value_t, requires = "retain_days")]
    pub retain_mode: RetainMode,

    /// First abort all unfinished uploads of the same key, which killed runs have left
    #[arg(long)]
    pub discard_unfinished: bool,

    /// Directory for temporary files, if parts are larger than 16 MiB [default: TMPDIR, else /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// Limit all connections together to BYTES per second: 500000, 20M, 1.5MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_rate: Option<u64>,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,

    /// Print a report as JSON, with the SHA-256 of the input
    #[arg(long)]
    pub json: bool,
}

/// `obj-mirror get`
#[derive(Args, Debug)]
#[command(after_help = "\
A broken connection is continued where it broke. At the end, the received bytes are compared with
--sha256, with the SHA-256 that the server keeps, or with the ETag. An ETag of parts can be
compared if the parts are as `put` or a mirror makes them.

Only the exit status shows that the output is complete. If standard output is redirected to a new
file, a failure leaves that file empty.

EXAMPLES
  obj-mirror get s3://offsite/a.tar.age > a.tar.age
  obj-mirror get --range 0-1023 s3://offsite/a.tar.age > head

EXIT STATUS
  0  complete, and the checksum matches if there is one
  1  failed: there is no such object, or the server is unreachable
  2  wrong usage, or standard output is a terminal
  4  the received bytes do not have the object's checksum
  5  the keys are refused")]
pub struct Get {
    /// s3://BUCKET/KEY
    #[arg(value_name = "OBJECT")]
    pub object: String,

    /// Write only these bytes, both ends included; their checksum is not compared
    #[arg(long, value_name = "FIRST-LAST", value_parser = ByteRange::parse)]
    pub range: Option<ByteRange>,

    /// Require what is written to have this SHA-256
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub sha256: Option<String>,

    /// Limit the connection to BYTES per second: 500000, 20M, 1.5MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_rate: Option<u64>,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,
}

/// `obj-mirror list`
#[derive(Args, Debug)]
#[command(after_help = "\
Each line is a size in bytes and a key without PREFIX, sorted by key.

EXAMPLES
  obj-mirror list s3://offsite/host1
  obj-mirror list --json s3://offsite

EXIT STATUS
  0  done; with --json also if the keys are refused: \"allowed\": false
  1  failed: the bucket is missing or the server is unreachable; without --json also if the keys
     are refused
  3  some keys cannot be read; each is named on stderr")]
pub struct List {
    /// s3://BUCKET[/PREFIX]
    #[arg(value_name = "BUCKET")]
    pub bucket: String,

    /// List only keys that begin with this, after PREFIX
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub begins: String,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,

    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

/// `obj-mirror delete`
#[derive(Args, Debug)]
#[command(after_help = "\
A missing object counts as deleted. In a bucket that keeps versions, the object is only hidden.

EXAMPLES
  obj-mirror delete s3://offsite/a.tar.age

EXIT STATUS
  0  none of the objects is there any more
  3  some were not deleted, for example because they are locked; each is named on stderr")]
pub struct Delete {
    /// s3://BUCKET/KEY
    #[arg(value_name = "OBJECT", required = true)]
    pub objects: Vec<String>,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,
}

fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 64 hex digits".into()),
    }
}
