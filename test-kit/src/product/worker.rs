//! The worker: takes jobs off the queue and marks their documents as done.

use super::http::Answer;
use super::parts::Parts;
use super::{PORT, QUEUE, api, http};
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// Works, and answers readiness probes, until the process ends.
///
/// # Errors
/// If the port is taken.
pub fn run(parts: Parts) -> Result<()> {
    let parts = Arc::new(parts);
    let worker = parts.clone();
    std::thread::spawn(move || {
        loop {
            if let Err(error) = work(&worker) {
                pipe_kit::warning!("{error:#}");
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    });
    http::serve(PORT, move |request| match request.path.as_str() {
        "/ready" => Ok(api::ready(&parts)),
        _ => Ok(Answer::new(404, "no such page\n")),
    })
}

fn work(parts: &Parts) -> Result<()> {
    let job = parts.cache(&["BRPOP", QUEUE, "1"])?;
    if let Some(id) = job.lines().nth(1) {
        let done = "update tenant_0001.documents set state = 'done' where id::text = :'id'";
        parts.sql(done, &[("id", id)])?;
    }
    Ok(())
}
