//! Bounded concurrency: the runtime, the time limit of a run, and work on many items at once.

use crate::s3::fault::StoreError;
use anyhow::{Context, Result, bail};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

/// The runtime's threads. There are few: they wait for the network, and disk work runs on blocking threads.
pub fn runtime() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, 8))
        // Files are written to the page cache; more threads would only wait for each other.
        .max_blocking_threads(cores.clamp(2, 8) * 2 + 2)
        .enable_all()
        .build()
        .context("starting threads")
}

/// The time limit of a whole run, if any.
#[derive(Clone, Copy, Debug)]
pub struct RunTimeout(Option<Duration>);

impl RunTimeout {
    pub fn of(seconds: Option<u64>) -> Self {
        Self(seconds.map(Duration::from_secs))
    }

    /// Runs `work` within the limit.
    pub async fn bound<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(limit) = self.0 else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => bail!(
                "not finished within {} s (--timeout); finished objects are kept and nothing was deleted; run it again to continue",
                limit.as_secs()
            ),
        }
    }
}

/// Runs `work` on every item, `jobs` at a time, and passes each result to `take`. An error of `take` aborts
/// all.
pub async fn each<I, T, Fut>(
    items: impl IntoIterator<Item = I>,
    jobs: usize,
    work: impl Fn(I) -> Fut,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()>
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let mut items = items.into_iter();
    // Dropping it aborts the running tasks.
    let mut running = JoinSet::new();
    loop {
        while running.len() < jobs
            && let Some(item) = items.next()
        {
            running.spawn(work(item));
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(done) => take(done.context("transfer interrupted")?)?,
        }
    }
}

/// Runs disk work on a blocking thread.
pub async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::permanent("disk operation interrupted")),
    }
}

/// A task that is aborted with its owner.
pub struct Task<T>(pub JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_worked_on_and_never_more_than_asked_for_at_once() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut seen = Vec::new();
        let work = |i: usize| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                i
            }
        };
        runtime()
            .unwrap()
            .block_on(each(0..100, 3, work, |i| {
                seen.push(i);
                Ok(())
            }))
            .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn an_error_ends_it() {
        let result = runtime().unwrap().block_on(each(
            0..,
            2,
            |i| async move { i },
            |i| if i < 10 { Ok(()) } else { anyhow::bail!("enough") },
        ));
        assert_eq!(result.unwrap_err().to_string(), "enough");
    }
}
