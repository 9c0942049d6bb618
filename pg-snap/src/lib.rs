//! `pg-snap`: the database stage. See `cli.rs` for what it does.

mod cli;
mod client;
mod database_state;
mod dump;
mod gzip;
mod inspect;
mod lines;
mod load;
mod previous;
mod psql;
mod scanner;
mod sql;
mod status;
mod version;

pub use cli::{Cli, run};
