//! Uploads the parts of the input, and completes the object only if the input has ended well.

use crate::put::ending::Ending;
use crate::put::resume::Earlier;
use crate::put::source::{Event, SourcePart, Whole};
use crate::s3::content::{Content, Digests};
use crate::s3::fault::{Answer, Kind, StoreError};
use crate::s3::lock::Retention;
use crate::s3::parts::{CHECKSUM_SHA256, Part, SHA256_KEPT, Upload};
use crate::s3::retry::retrying;
use crate::s3::store::{ObjectAttributes, Store, Sums, value};
use crate::s3::tasks::on_disk;
use anyhow::{Context, Result, anyhow, bail};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use indicatif::ProgressBar;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// Parts in flight at once.
const PARTS_AT_ONCE: usize = 4;
/// How often an upload is tried to be aborted: a part that arrives meanwhile may survive the first attempt.
const ABORTS: usize = 2;

/// The object to be stored.
pub struct Destination {
    pub store: Store,
    pub key: String,
    pub retention: Option<Retention>,
    /// Whether parts that an earlier run has sent are used.
    pub resumes: bool,
    pub bar: ProgressBar,
}

/// What was stored.
#[derive(Debug, Default)]
pub struct Stored {
    pub whole: Whole,
    pub parts: u32,
    /// Parts that an earlier run had sent.
    pub resumed: u32,
}

/// Why nothing was stored, or why that is not known.
pub struct Failed {
    pub error: anyhow::Error,
    pub is_unknown: bool,
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self { error, is_unknown: false }
    }
}

/// A multipart upload under way.
struct Progress {
    upload: Upload,
    earlier: Option<Earlier>,
    /// The parts that are in place.
    done: Vec<Part>,
    resumed: u32,
}

type Events = Receiver<Result<Event>>;
type Sending = JoinSet<Answer<Part>>;
type Sent = Result<Answer<Part>, JoinError>;

/// The beginning of the input.
enum Begun {
    Whole(SourcePart, Whole),
    Parts([SourcePart; 2]),
}

impl Destination {
    /// Stores the input if it ends well. When `stop` turns true, the upload is aborted.
    pub async fn store_input(
        self: &Arc<Self>,
        mut events: Events,
        ending: &mut Ending,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Stored, Failed> {
        let begun = until(stop, async {
            let Event::Part(first) = next(&mut events).await? else {
                bail!("the input has no parts")
            };
            match next(&mut events).await? {
                Event::Part(second) => Ok(Begun::Parts([first, second])),
                Event::End(whole) => {
                    ending.check(&whole).await?;
                    Ok(Begun::Whole(first, whole))
                }
            }
        });
        let first = match begun.await? {
            Begun::Whole(part, whole) => return self.store_whole(part, whole).await,
            Begun::Parts(first) => first,
        };
        let begun = self.begin(&first[0]).await;
        let mut progress = begun.map_err(|error| self.named(&error))?;
        let sent = until(stop, async {
            let whole = self.send_parts(first, &mut events, &mut progress).await?;
            ending.check(&whole).await?;
            Ok(whole)
        });
        let completed = match sent.await {
            Ok(whole) => self.complete(&progress).await.map(|()| whole),
            Err(error) => Err(error.into()),
        };
        // Ends the thread that reads.
        drop(events);
        match completed {
            Ok(whole) => {
                let parts = progress.done.len() as u32;
                Ok(Stored { whole, parts, resumed: progress.resumed })
            }
            Err(failed) => {
                self.abort(&progress.upload).await;
                Err(failed)
            }
        }
    }

    fn headers(&self, keeps_sha256: bool) -> Answer<HeaderMap> {
        let octets = HeaderValue::from_static("application/octet-stream");
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, octets)]);
        if let Some(retention) = self.retention {
            retention.add_to(&mut headers)?;
        }
        headers.extend(keeps_sha256.then_some(SHA256_KEPT));
        Ok(headers)
    }

    /// A failure of the request for this object, with what the operator can do.
    fn named(&self, error: &StoreError) -> anyhow::Error {
        match error.kind {
            Kind::Permanent | Kind::Changed | Kind::Unsupported => anyhow!("{error}"),
            _ => self.store.fatal(error),
        }
    }

    async fn store_whole(&self, part: SourcePart, whole: Whole) -> Result<Stored, Failed> {
        let content = part.content;
        let digests = digests_of(&content, part.digests).await.map_err(anyhow::Error::new)?;
        let put = |keeps_sha256| {
            let content = &content;
            async move {
                let mut headers = self.headers(false)?;
                if keeps_sha256 {
                    headers.insert(CHECKSUM_SHA256, value(&digests.sha256_base64())?);
                }
                let (sha256, md5) = (digests.sha256_hex(), digests.md5_base64());
                let sums = Sums { sha256: &sha256, md5: &md5 };
                retrying(|_| {
                    let attributes = ObjectAttributes { headers: &headers, tags: None };
                    self.store.put(&self.key, content.clone(), sums, attributes)
                })
                .await
            }
        };
        match with_or_without(put).await {
            Ok(()) => {
                self.bar.inc(whole.bytes);
                Ok(Stored { whole, parts: 1, resumed: 0 })
            }
            Err(error) => {
                let is_unknown = error.is_transient() && error.kind != Kind::Unreachable;
                Err(Failed { error: self.named(&error), is_unknown })
            }
        }
    }

    async fn begin(&self, first: &SourcePart) -> Answer<Progress> {
        if self.resumes
            && let Some(earlier) = Earlier::find(&self.store, &self.key, first).await?
        {
            let upload = earlier.upload.clone();
            let earlier = Some(earlier);
            return Ok(Progress { upload, earlier, done: Vec::new(), resumed: 0 });
        }
        let begin = |keeps_sha256| async move {
            let headers = self.headers(keeps_sha256)?;
            let attributes = ObjectAttributes { headers: &headers, tags: None };
            retrying(|_| self.store.begin_parts(&self.key, attributes)).await
        };
        let upload = with_or_without(begin).await?;
        Ok(Progress { upload, earlier: None, done: Vec::new(), resumed: 0 })
    }

    async fn send_parts(
        self: &Arc<Self>,
        first: [SourcePart; 2],
        events: &mut Events,
        progress: &mut Progress,
    ) -> Result<Whole> {
        let mut running = Sending::new();
        for part in first {
            self.spawn(part, progress, &mut running).await?;
        }
        let whole = loop {
            if running.len() == PARTS_AT_ONCE {
                let sent = running.join_next().await;
                self.take(sent, progress)?;
            }
            // A part that fails must end the run even if the input is silent.
            tokio::select! {
                event = next(events) => match event? {
                    Event::Part(part) => self.spawn(part, progress, &mut running).await?,
                    Event::End(whole) => break whole,
                },
                sent = running.join_next(), if !running.is_empty() => {
                    self.take(sent, progress)?;
                }
            }
        };
        while let Some(sent) = running.join_next().await {
            self.take(Some(sent), progress)?;
        }
        progress.done.sort_by_key(|part| part.number);
        Ok(whole)
    }

    fn take(&self, sent: Option<Sent>, progress: &mut Progress) -> Result<()> {
        let Some(sent) = sent else { return Ok(()) };
        let sent = sent.context("part upload interrupted")?;
        progress.done.push(sent.map_err(|error| self.named(&error))?);
        Ok(())
    }

    /// Starts sending a part, unless an earlier run has sent it.
    async fn spawn(
        self: &Arc<Self>,
        part: SourcePart,
        progress: &mut Progress,
        running: &mut Sending,
    ) -> Result<()> {
        let SourcePart { number, content, digests, kept } = part;
        let digests = match &progress.earlier {
            None => digests,
            Some(earlier) => {
                let known = digests_of(&content, digests).await.map_err(anyhow::Error::new)?;
                if let Some(part) = earlier.has(number, content.len(), &known) {
                    self.bar.inc(content.len());
                    progress.resumed += 1;
                    progress.done.push(part);
                    return Ok(());
                }
                Some(known)
            }
        };
        let (destination, upload) = (Arc::clone(self), progress.upload.clone());
        running.spawn(async move {
            let _kept = kept;
            let digests = digests_of(&content, digests).await?;
            let (sha256, md5) = (digests.sha256_hex(), digests.md5_base64());
            let sums = Sums { sha256: &sha256, md5: &md5 };
            let put = |_| destination.store.put_part(&upload, number, content.clone(), sums);
            let part = retrying(put).await?;
            destination.bar.inc(content.len());
            Ok(part)
        });
        Ok(())
    }

    async fn complete(&self, progress: &Progress) -> Result<(), Failed> {
        let completed = self.store.complete_parts(&progress.upload, &progress.done).await;
        completed.map_err(|error| {
            let is_unknown = error.is_transient() && error.kind != Kind::Unreachable;
            Failed { error: self.named(&error).context("completing the upload"), is_unknown }
        })?;
        let Some(retention) = self.retention.filter(|_| progress.earlier.is_some()) else {
            return Ok(());
        };
        // The earlier run began the upload with a lock of its own day, or none.
        let locked = retrying(|_| self.store.set_retention(&self.key, retention)).await;
        locked.map_err(|error| {
            let error = self.named(&error).context("the object is stored, but not locked");
            Failed { error, is_unknown: true }
        })
    }

    /// Aborts an upload. If this fails, the bucket's lifecycle rule for unfinished uploads applies.
    async fn abort(&self, upload: &Upload) {
        for _ in 0..ABORTS {
            let aborted = retrying(|_| self.store.abort_parts(upload)).await;
            if aborted.is_err_and(|error| error.kind == Kind::NoKey) {
                break;
            }
        }
    }
}

/// Sends a request that has the server keep the SHA-256, and if that is refused, one without.
async fn with_or_without<T, F: Future<Output = Answer<T>>>(
    request: impl Fn(bool) -> F,
) -> Answer<T> {
    match request(true).await {
        Err(error) if matches!(error.kind, Kind::Permanent | Kind::Unsupported) => {
            // If it is refused for something else, that is the error to show.
            request(false).await.map_err(|_| error)
        }
        other => other,
    }
}

async fn digests_of(content: &Content, known: Option<Digests>) -> Answer<Digests> {
    match known {
        Some(digests) => Ok(digests),
        None => {
            let content = content.clone();
            on_disk(move || Ok(content.digests()?)).await
        }
    }
}

/// Does work unless `stop` turns true first.
async fn until<T>(
    stop: &mut watch::Receiver<bool>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = stop.wait_for(|stop| *stop) => bail!("ended by a signal"),
    }
}

async fn next(events: &mut Events) -> Result<Event> {
    match events.recv().await {
        Some(event) => event,
        None => bail!("reading the input was interrupted"),
    }
}
