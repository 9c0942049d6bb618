//! An S3 server for tests and the demo, that keeps everything in memory, or in a directory too.

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use pipe_kit::Exit;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use test_kit::s3::keys::Keys;
use test_kit::s3::lock::Locks;
use test_kit::s3::rules::Rules;
use test_kit::s3::server::Server;
use test_kit::s3::store::Store;

/// Serve S3 from memory, or from a directory
///
/// Path-style requests, and virtual-host style below storage.test; signature version 4. The keys come
/// from the environment: S3_ACCESS_KEY and S3_SECRET_KEY. Once it answers, `listening on HOST:PORT` is
/// printed. `GET /_stats` returns the request counts, without a signature;
/// `PUT /_faults?operation=GetObject&skip=5&times=1&do=die` makes the sixth kill it (`do=fail`: 503,
/// `do=cut`: the body is truncated, `slow=MS`: a late answer).
#[derive(Parser)]
#[command(name = "s3-server", version, about)]
struct Cli {
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Bucket to make at the start; may be given again
    #[arg(long, value_name = "NAME")]
    bucket: Vec<String>,
    /// Directory to keep everything in, so that it is there again at the next start
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take headers' values as bytes, and give them back as they came
    #[arg(long)]
    octets: bool,
    /// Refuse uploads without a Content-MD5, as a bucket with Object Lock does
    #[arg(long)]
    demand_md5: bool,
    /// Let objects be locked, as a bucket with Object Lock does
    #[arg(long)]
    object_lock: bool,
    /// Lock no object that is uploaded in parts, as Ceph 16 does; a lock that is set afterwards holds
    #[arg(long, requires = "object_lock")]
    lose_locks_of_parts: bool,
    /// Show no lock of an object, as a server that accepts locks and does not know them
    #[arg(long)]
    hide_locks: bool,
    /// Refuse requests with x-amz-checksum headers
    #[arg(long)]
    refuse_checksums: bool,
    /// Serve over TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

fn main() -> ExitCode {
    pipe_kit::main::<Cli>("s3-server", run)
}

fn run(cli: Cli) -> Result<Exit> {
    let key = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let keys = Keys { access: key("S3_ACCESS_KEY")?, secret: key("S3_SECRET_KEY")? };
    let store = match &cli.data {
        Some(dir) => Store::open(dir)?,
        None => Store::default(),
    };
    for bucket in &cli.bucket {
        store.create_bucket(bucket).map_err(|error| anyhow!("making bucket {bucket}: {error}"))?;
    }
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let rules = Rules {
            octets: cli.octets,
            demands_md5: cli.demand_md5,
            refuses_checksums: cli.refuse_checksums,
            hides_locks: cli.hide_locks,
        };
        let locks = match (cli.object_lock, cli.lose_locks_of_parts) {
            (false, _) => Locks::Refused,
            (true, false) => Locks::Kept,
            (true, true) => Locks::OfWholeUploads,
        };
        let mut server = Server::bind(cli.listen, keys, store, locks).await?.by(rules);
        if let (Some(certificate), Some(key)) = (&cli.tls_certificate, &cli.tls_key) {
            server = server.over_tls(certificate, key)?;
        }
        pipe_kit::output::print(&format!("listening on {}\n", server.address()?))?;
        server.run().await;
        Ok(Exit::Done)
    })
}
