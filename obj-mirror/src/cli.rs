//! The command line.

mod link;
mod objects;

pub use link::Link;
pub use objects::{Delete, Get, List, Put};

use crate::s3::tagging::TagPolicy;
use clap::{Args, Parser, Subcommand};
use pipe_kit::log::Quiet;
use pipe_kit::progress::Progress;
use pipe_kit::text::parse_bytes;
use std::path::PathBuf;

const AFTER: &str = "\
One side is a bucket, s3://BUCKET[/PREFIX], the other a directory. PREFIX names a folder: only \
keys below PREFIX/ are mirrored, and the mirror stores them without it. A directory that has the \
name of a command (put, get, list, delete, verify, status, make-bucket) is written ./verify.

Each object is stored at its key's own path. A key that cannot be a path (`a` beside `a/b`, a \
leading, trailing or double slash, `.` or `..`, a control byte, a segment over 255 bytes) is \
stored in .obj-mirror/objects/. The index, .obj-mirror/index.jsonl, records the path, headers, \
metadata, tags and hash of every object. `cd DIR && sha256sum -c .obj-mirror/SHA256SUMS` checks a \
mirror without this tool.

--delete deletes only after every listing, read and transfer has succeeded. It refuses (5) to \
empty a destination because the source is empty, unless the source has an index that lists no \
objects.

From a directory with an index, only the objects in the index are sent. A file that is not in the \
index is reported, and the run ends as incomplete (3). The same holds for an object whose content \
does not match the index; such an object is never sent. Use --skip-damaged if a damaged mirror is \
the only copy: if the index itself is damaged, the entries of it and of SHA256SUMS that can still \
be read are used.

ENVIRONMENT
  AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY [AWS_SESSION_TOKEN]   the keys
  AWS_PROFILE           without keys: the profile of AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials
  AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN [AWS_ENDPOINT_URL_STS]   without keys: ask a token service
  AWS_CONTAINER_CREDENTIALS_FULL_URI, …_RELATIVE_URI   without keys: ask the container's service
  AWS_EC2_METADATA_DISABLED=false   without keys: ask the virtual machine's metadata service
  AWS_ENDPOINT_URL      URL of the server [default: AWS]
  AWS_REGION            region [default: us-east-1]
  S3_FORCE_PATH_STYLE   yes or no [default: yes if AWS_ENDPOINT_URL is set]
  AWS_CA_BUNDLE         certificate authorities (PEM) to trust instead of the system's
  TMPDIR                directory for the listing of a large bucket that is pushed to [default: /var/tmp]

EXAMPLES
  obj-mirror s3://documents minio/            copy a bucket to a directory; run it again to continue
  obj-mirror --delete minio/ s3://documents   make the bucket identical to the directory
  obj-mirror --dry-run --delete minio/ s3://documents
  obj-mirror --ignore-existing minio/ s3://documents   add only what is missing
  obj-mirror --link-dest minio/ s3://documents today/   fetch what changed, link the rest
  obj-mirror verify minio/                    compare every object with the index
  obj-mirror status s3://documents --json     count the objects and bytes of a bucket
  obj-mirror make-bucket s3://documents       create the bucket if it is missing
  obj-mirror put s3://offsite/a.tar.age < a.tar.age
  obj-mirror get s3://offsite/a.tar.age > a.tar.age

EXIT STATUS
  0  done
  1  failed: the bucket or directory is missing, the keys are refused, or the server is unreachable
  2  wrong usage
  3  incomplete: some objects failed, were left out, or were stored without a header that the server
     refuses; each is named on stderr, and all others are in place
  4  verification failed, or the index cannot be read
  5  refused by a safeguard; nothing was changed
  128+N  ended by signal N";

/// Mirror an S3 bucket into a directory, or a directory into a bucket, losslessly
#[derive(Parser, Debug)]
#[command(
    name = "obj-mirror",
    version,
    after_help = AFTER,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// The command, if it is not to mirror
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The arguments of a mirror run
    #[command(flatten)]
    pub mirror: Mirror,

    /// `--quiet`
    #[command(flatten)]
    pub quiet: Quiet,
    /// `--progress`
    #[command(flatten)]
    pub progress: Progress,
}

/// The arguments of a mirror run.
#[derive(Args, Debug)]
pub struct Mirror {
    /// The source: s3://BUCKET[/PREFIX] or a directory
    #[arg(value_name = "SRC", required = true)]
    pub source: Option<String>,

    /// The destination: a directory or s3://BUCKET[/PREFIX]
    #[arg(value_name = "DST", required = true)]
    pub destination: Option<String>,

    /// Transfer N objects at a time [default: start with 32 and adapt, up to 256]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,

    /// Delete from the destination what the source does not have, after everything else has succeeded
    #[arg(long)]
    pub delete: bool,

    /// Send a damaged mirror: leave out and name damaged and missing objects, send all others, and
    /// exit with status 3
    #[arg(long, conflicts_with = "delete")]
    pub skip_damaged: bool,

    /// Send only objects that the bucket does not have; one that it has stays as it is, whatever its content
    #[arg(long, conflicts_with = "delete")]
    pub ignore_existing: bool,

    /// Link unchanged objects from the mirror DIR instead of fetching them from the bucket
    #[arg(long, value_name = "DIR")]
    pub link_dest: Option<PathBuf>,

    /// When to request the tags of objects. Into a bucket, tags that differ are corrected without an upload
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub tags: TagPolicy,

    /// Limit all connections together to BYTES per second: 500000, 20M, 1.5MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_rate: Option<u64>,

    /// Abort the run after SECONDS; the next run continues it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,

    /// Print what would be done (`download KEY`, `link KEY`, `upload KEY`, `delete KEY`) and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Print a summary (with --dry-run: the plan) as JSON
    #[arg(long)]
    pub json: bool,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,
}

/// The commands besides mirroring.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Compare every object of a mirror with its index, by hash
    Verify(Verify),
    /// Count a bucket's objects and bytes
    Status(Status),
    /// Create a bucket if it is missing
    MakeBucket(MakeBucket),
    /// Store one object: a file, standard input or the output of a command
    Put(Put),
    /// Write one object to standard output, and check it
    Get(Get),
    /// List the objects of a bucket with their sizes
    List(List),
    /// Delete objects
    Delete(Delete),
}

/// `obj-mirror verify`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES
  obj-mirror verify backups/piprio_20260421T020000Z/minio
  obj-mirror verify --json minio/

EXIT STATUS
  0  every object matches the index; or the directory never had an index (a warning reports it)
  1  the directory is missing
  4  an object is missing, changed or not in the index, or the index is damaged; each is named")]
pub struct Verify {
    /// The mirror
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Read N files at a time [default: number of cores]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `obj-mirror status`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES
  obj-mirror status s3://documents
  obj-mirror status --quick --json s3://documents
  obj-mirror status --quick --writable s3://documents

EXIT STATUS
  0  done; with --json also for a missing bucket: \"exists\": false
  1  the keys are refused or the server is unreachable; without --json also for a missing bucket")]
pub struct Status {
    /// s3://BUCKET[/PREFIX]
    #[arg(value_name = "BUCKET")]
    pub bucket: String,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,

    /// Request only the first page of the listing, to check that the server answers
    #[arg(long)]
    pub quick: bool,

    /// Fail if the keys may not write: begin an upload and abort it, which stores nothing
    #[arg(long)]
    pub writable: bool,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `obj-mirror make-bucket`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES
  obj-mirror make-bucket s3://documents

EXIT STATUS
  0  the bucket exists; the output shows whether this run created it
  1  the keys are refused, or the server is unreachable or does not create the bucket
  2  not the name of a bucket")]
pub struct MakeBucket {
    /// s3://BUCKET
    #[arg(value_name = "BUCKET")]
    pub bucket: String,

    /// How to connect to the server
    #[command(flatten)]
    pub link: Link,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

fn jobs(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("expected a number from 1 to 1024".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mirror_needs_both_sides_and_a_subcommand_needs_neither() {
        assert!(Cli::try_parse_from(["obj-mirror", "s3://b", "d", "--delete"]).is_ok());
        assert!(Cli::try_parse_from(["obj-mirror", "verify", "d", "--json", "--quiet"]).is_ok());
        assert!(Cli::try_parse_from(["obj-mirror", "s3://b"]).is_err());
        assert!(Cli::try_parse_from(["obj-mirror"]).is_err());
        assert!(Cli::try_parse_from(["obj-mirror", "s3://b", "d", "--jobs", "0"]).is_err());
    }
}
