//! The command line.

use crate::rate::parse_bytes;
use crate::tagging::Wanted;
use clap::{Args, Parser, Subcommand};
use pipe_kit::log::Quiet;
use std::path::PathBuf;

const AFTER: &str = "\
One side is a bucket, s3://BUCKET[/PREFIX], the other a directory. A prefix is a folder: keys below
PREFIX/, named in the mirror without it. A directory named as a verb (verify, status, make-bucket) is written ./verify.

An object lies at its key's own path. A key that no path can carry (`a` beside `a/b`, a leading,
trailing or double slash, `.` or `..`, a control byte, a segment over 255 bytes) lies in
.obj-mirror/objects/; .obj-mirror/index.jsonl says which, and keeps headers, metadata, tags, hashes.
`cd DIR && sha256sum -c .obj-mirror/SHA256SUMS` checks a mirror without this tool.

With --delete nothing is deleted unless every listing, read and transfer went well, nor where the
source is empty and no index says that it should be. From a directory with an index, only what the
index lists is sent: a file it does not list is told and makes the run incomplete (3), and so does
an object whose bytes are not those of the index, which is never sent. --skip-damaged is for a
damaged only copy: where the index itself is damaged, what is left of it and of SHA256SUMS is gone by.

ENVIRONMENT
  AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY [AWS_SESSION_TOKEN]   the keys
  AWS_ENDPOINT_URL      another server than AWS's own
  AWS_REGION            us-east-1 where unset
  S3_FORCE_PATH_STYLE   yes or no; yes where AWS_ENDPOINT_URL is set
  AWS_CA_BUNDLE         certificate authorities (PEM) to trust instead of the system's

EXAMPLES
  obj-mirror s3://documents minio/            bucket to directory; run again, it continues
  obj-mirror --delete minio/ s3://documents   make the bucket what the directory is
  obj-mirror --dry-run --delete minio/ s3://documents
  obj-mirror --link-dest minio/ s3://documents today/   fetch what changed, link the rest
  obj-mirror verify minio/                    re-hash every object against the index
  obj-mirror status s3://documents --json     objects and bytes of a bucket
  obj-mirror make-bucket s3://documents       make it, if it is missing

EXIT STATUS
  0  done
  1  failed: no such bucket, keys refused, server unreachable, no such directory
  2  wrong usage
  3  incomplete: some objects failed or were left out, or lack a header that the server refuses, each
     named on stderr; the others are in place
  4  verification failed, or an index that cannot be read
  5  refused: a safeguard said no, nothing was changed
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
    /// What to do instead of mirroring
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What to mirror
    #[command(flatten)]
    pub mirror: Mirror,

    /// How much to say
    #[command(flatten)]
    pub quiet: Quiet,
}

/// The mirror itself.
#[derive(Args, Debug)]
pub struct Mirror {
    /// The source: s3://BUCKET[/PREFIX] or a directory
    #[arg(value_name = "SRC", required = true)]
    pub source: Option<String>,

    /// The destination: a directory or s3://BUCKET[/PREFIX]
    #[arg(value_name = "DST", required = true)]
    pub destination: Option<String>,

    /// Objects in flight at once [default: from 32, up to 256 while that gets more through]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,

    /// Delete at the destination what the source does not have, after everything else went well
    #[arg(long)]
    pub delete: bool,

    /// From a mirror: leave out what is damaged or missing, naming each (3), and send all others
    #[arg(long, conflicts_with = "delete")]
    pub skip_damaged: bool,

    /// From a bucket: link unchanged objects from the mirror DIR instead of fetching them
    #[arg(long, value_name = "DIR")]
    pub link_dest: Option<PathBuf>,

    /// When objects are asked for their tags
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub tags: Wanted,

    /// Bytes a second at most, over all connections: 500000, 20M, 1.5MiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub max_rate: Option<u64>,

    /// Give the run up after so many seconds; run again, it continues
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,

    /// Print what would be done (`download KEY`, `link KEY`, `upload KEY`, `delete KEY`) and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Print a summary (with --dry-run: the plan) as JSON
    #[arg(long)]
    pub json: bool,

    /// How to speak to the server
    #[command(flatten)]
    pub link: Link,
}

/// How to speak to the server.
#[derive(Args, Debug)]
pub struct Link {
    /// Dial ADDR for the endpoint's HOST:PORT; URL, Host header, TLS name and signature keep HOST
    #[arg(
        long,
        value_name = "HOST:PORT:ADDR",
        env = "PIPRIO_RESOLVE",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    pub resolve: Vec<String>,

    /// Give a request up when nothing has moved for so many seconds; it is tried again
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub request_timeout: u64,
}

/// The other things it does.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Re-hash every object of a mirror and compare with its index
    Verify(Verify),
    /// Count a bucket's objects and bytes
    Status(Status),
    /// Make a bucket, if it is missing
    MakeBucket(MakeBucket),
}

/// `obj-mirror verify`
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES
  obj-mirror verify backups/piprio_20260421T020000Z/minio
  obj-mirror verify --json minio/

EXIT STATUS
  0  every object is as the index says; or the directory never had an index, which is said
  1  no such directory
  4  something is missing, changed or not listed, or the index is damaged; each is named")]
pub struct Verify {
    /// The mirror
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Files read at once [default: number of cores]
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

EXIT STATUS
  0  done; with --json a missing bucket is an answer too: \"exists\": false
  1  without --json, no such bucket; keys refused, or server unreachable")]
pub struct Status {
    /// s3://BUCKET[/PREFIX]
    #[arg(value_name = "BUCKET")]
    pub bucket: String,

    /// How to speak to the server
    #[command(flatten)]
    pub link: Link,

    /// Ask for one page of the listing only: does it answer?
    #[arg(long)]
    pub quick: bool,

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
  0  the bucket is there; whether it was made now is said, and told by --json
  1  keys refused, server unreachable, or the server will not make it
  2  not the name of a bucket")]
pub struct MakeBucket {
    /// s3://BUCKET
    #[arg(value_name = "BUCKET")]
    pub bucket: String,

    /// How to speak to the server
    #[command(flatten)]
    pub link: Link,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("a number from 1 to 1024".into()),
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
