//! A worker of a load: one session that does one job after another.

use super::repair::{Repair, failure_of};
use super::rows::{self, SectionRows};
use super::settings::SessionSettings;
use super::worker_pool::{Work, WorkerPool};
use anyhow::Result;
use pipe_kit::progress::Bar;
use std::sync::Arc;

/// Works until there are no more jobs. A failure stops the whole load.
pub fn work(pool: &WorkerPool, repair: &Repair<'_>, bar: &Bar) {
    if let Err(error) = do_jobs(pool, repair, bar) {
        pool.fail(error);
    }
}

fn do_jobs(pool: &WorkerPool, repair: &Repair<'_>, bar: &Bar) -> Result<()> {
    let mut session = repair.open(&SessionSettings::default())?;
    let mut settings: Arc<SessionSettings> = Arc::default();
    while let Some((number, job)) = pool.next_job()? {
        if !Arc::ptr_eq(&settings, &job.settings) {
            session.send(&job.settings.changes_since(&settings))?;
            settings = job.settings;
        }
        let session_lives = match job.work {
            Work::Section { section, file, freeze } => {
                let rows = SectionRows { section: &section, file: &file, freeze, bar, pool };
                rows.copy_in(&mut session, repair, &settings)?
            }
            Work::Rows(queue) => rows::copy_queue(&mut session, &queue, bar, repair, &settings)?,
            Work::Statement(definition) => {
                let result =
                    session.send(&repair.script(&definition)).and_then(|()| session.sync());
                repair.outcome(&definition, result)?
            }
            // Such as of a table whose name is not known in full, because it is not UTF-8.
            Work::Statistics(text) => {
                let done = session.send(text.as_bytes()).and_then(|()| session.sync());
                failure_of(done)?.is_ok()
            }
        };
        if !session_lives {
            // psql ended at the error.
            session = repair.open(&settings)?;
        }
        pool.finish_job(number, job.awaited);
    }
    // The load is believed only if the session existed to its end.
    session.sync()?;
    session.close()
}
