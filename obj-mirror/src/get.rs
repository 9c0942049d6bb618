//! `obj-mirror get`: writes one object to standard output, and checks it.

mod check;

use crate::cli::Get;
use crate::get::check::{Check, Proof};
use crate::location::{BucketPath, ObjectPath};
use crate::object::range::ByteRange;
use crate::s3::fault::{Kind, StoreError};
use crate::s3::headers::Head;
use crate::s3::retry::{Attempts, retrying};
use crate::s3::store::{Download, Store};
use crate::s3::tasks::runtime;
use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use pipe_kit::text::hex;
use pipe_kit::{Exit, Stop, info, output, warning};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::ops::Range;

/// Writes an object, or a range of it, to standard output.
///
/// # Errors
/// [`Stop::damaged`] if the bytes are not those that were stored.
pub fn run(args: &Get) -> Result<Exit> {
    let from = ObjectPath::parse(&args.object)?;
    let bucket = BucketPath { bucket: from.bucket.clone(), prefix: String::new() };
    let store = args.link.remote(&bucket, args.max_rate)?.store;
    // Created before the buffered output, so that the file is emptied after the buffer is dropped.
    let empty_again = output::emptied_on_failure()?;
    let mut transfer = Transfer {
        store,
        key: from.key.clone(),
        out: output::binary()?,
        bar: pipe_kit::progress::bytes(None, "download"),
        written: 0,
        sha256: args.sha256.as_ref().map(|_| Sha256::new()),
    };
    let context = || format!("reading {from}");
    let proof = runtime()?.block_on(transfer.run(args.range)).with_context(context)?;
    transfer.bar.finish_and_clear();
    let written = transfer.written;
    if let (Some(expected), Some(sha256)) = (&args.sha256, transfer.sha256) {
        let found = hex(&sha256.finalize());
        if !expected.eq_ignore_ascii_case(&found) {
            let why = format!("its SHA-256 is {found}, not {expected}");
            return Err(anyhow!(Stop::damaged(why)).context(context()));
        }
    } else if proof == Proof::None && args.range.is_none() {
        warning!(
            "{from}: only its length was checked: the server has no checksum of it that can be compared"
        );
    }
    transfer.out.finish()?;
    if let Some(guard) = empty_again {
        guard.disarm();
    }
    info!("{from}: {written} bytes{proof}");
    Ok(Exit::Done)
}

struct Transfer {
    store: Store,
    key: String,
    out: output::Output,
    bar: ProgressBar,
    written: u64,
    sha256: Option<Sha256>,
}

/// The bytes of the object that are wanted, and the state of the object that they belong to.
struct Wanted {
    head: Head,
    size: u64,
    range: Range<u64>,
}

impl Transfer {
    async fn run(&mut self, range: Option<ByteRange>) -> Result<Proof> {
        let first = retrying(|_| async {
            match range {
                None => self.store.get_with_checksums(&self.key).await,
                Some(range) => self.store.get(&self.key, Some(range.half_open()), None).await,
            }
        });
        let first = first.await.map_err(|error| match (error.kind, range) {
            (Kind::Changed, Some(range)) => {
                let first = range.half_open().start;
                Stop::usage(format!("the object has no byte {first}")).into()
            }
            _ => self.named(&error),
        })?;
        let whole = first.part_of.or(first.head.size);
        let size = whole.ok_or_else(|| anyhow!("the server does not send its length"))?;
        let wanted = match range {
            None => 0..size,
            Some(range) if first.part_of.is_some() => {
                let few =
                    || Stop::usage(format!("the object has no byte {}", range.half_open().start));
                range.within(size).ok_or_else(few)?
            }
            Some(_) => anyhow::bail!("the server does not support ranges"),
        };
        let mut check = match range {
            None => Check::new(&first.head, first.sha256.as_deref(), size),
            Some(_) => Check::none(),
        };
        self.bar.set_length(wanted.end - wanted.start);
        let wanted = Wanted { head: first.head.clone(), size, range: wanted };
        self.receive(first, &wanted, &mut check).await?;
        check.finish()
    }

    /// Writes all wanted bytes. A broken connection is continued where it broke.
    async fn receive(&mut self, first: Download, wanted: &Wanted, check: &mut Check) -> Result<()> {
        let length = wanted.range.end - wanted.range.start;
        let mut download = Some(first);
        let mut attempts = Attempts::default();
        while self.written < length {
            let before = self.written;
            let error = match self.part(download.take(), wanted, check).await? {
                Ok(()) => StoreError::transient("the response ended early"),
                Err(error) => error,
            };
            if self.written >= length {
                break;
            }
            if self.written > before {
                attempts = Attempts::default();
            }
            if !error.is_transient() || error.kind == Kind::Changed {
                return Err(self.named(&error));
            }
            attempts.after(&error).await.map_err(|error| self.named(&error))?;
        }
        Ok(())
    }

    /// Writes what one response has of the wanted bytes. The outer error is of the output.
    async fn part(
        &mut self,
        given: Option<Download>,
        wanted: &Wanted,
        check: &mut Check,
    ) -> Result<Result<(), StoreError>> {
        let opened = match given {
            Some(download) => Ok(download),
            None => self.again(wanted).await,
        };
        let mut download = match opened {
            Ok(download) => download,
            Err(error) => return Ok(Err(error)),
        };
        let length = wanted.range.end - wanted.range.start;
        loop {
            match download.chunk().await {
                Ok(Some(bytes)) => {
                    let most = usize::try_from(length - self.written).unwrap_or(usize::MAX);
                    if bytes.len() > most {
                        return Ok(Err(StoreError::permanent(
                            "the server sent more bytes than announced",
                        )));
                    }
                    self.out.write_all(&bytes).context("writing to standard output")?;
                    check.update(&bytes);
                    if let Some(sha256) = &mut self.sha256 {
                        sha256.update(&bytes);
                    }
                    self.written += bytes.len() as u64;
                    self.bar.inc(bytes.len() as u64);
                }
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Asks for the rest, of the same state of the object.
    async fn again(&self, wanted: &Wanted) -> Result<Download, StoreError> {
        let rest = wanted.range.start + self.written..wanted.range.end;
        let condition = wanted.head.condition.as_ref();
        let download = self.store.get(&self.key, Some(rest), condition).await?;
        if download.part_of == Some(wanted.size) && download.head.is_of_one_state(&wanted.head) {
            return Ok(download);
        }
        Err(StoreError::new(Kind::Changed, "it changed while it was read"))
    }

    fn named(&self, error: &StoreError) -> anyhow::Error {
        match error.kind {
            Kind::NoKey => {
                let (bucket, url) = (self.store.name(), self.store.endpoint());
                anyhow!("bucket {bucket} at {url} has no such object ({error})")
            }
            Kind::Changed => anyhow!("it changed while it was read; run it again"),
            Kind::Denied => Stop::refused(format!("{:#}", self.store.fatal(error))).into(),
            _ => self.store.fatal(error),
        }
    }
}
