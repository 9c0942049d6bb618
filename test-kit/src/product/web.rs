//! The web service: the one that is published; hands everything on to the API.

use super::http::Answer;
use super::{PORT, http};
use anyhow::Result;

/// Serves until the process ends.
///
/// # Errors
/// If the port is taken.
pub fn run(api: String) -> Result<()> {
    http::serve(PORT, move |request| {
        let url = format!("{api}{}", request.path);
        let answer = http::ask(&request.method, &url, &request.body);
        Ok(answer.unwrap_or_else(|error| Answer::new(502, format!("{error:#}\n"))))
    })
}
