//! The options of the connection.

use crate::location::BucketPath;
use crate::s3::remote::Remote;
use crate::settings::Settings;
use anyhow::Result;
use clap::Args;
use std::time::Duration;

/// How to connect to the server.
#[derive(Args, Debug)]
pub struct Link {
    /// Connect to ADDR instead of the endpoint's HOST:PORT; URL, Host header, TLS name and signature keep HOST
    #[arg(
        long,
        value_name = "HOST:PORT:ADDR",
        env = "PIPRIO_RESOLVE",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    pub resolve: Vec<String>,

    /// Abort a request after SECONDS without progress, and retry it
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub request_timeout: u64,
}

impl Link {
    /// Creates a client of the bucket, with the settings from the environment; nothing is sent yet.
    pub fn remote(&self, path: &BucketPath, max_rate: Option<u64>) -> Result<Remote> {
        let settings = Settings::read(|name| std::env::var(name).ok(), &self.resolve)?;
        Remote::new(path, &settings, Duration::from_secs(self.request_timeout), max_rate)
    }
}
