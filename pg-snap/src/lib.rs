//! `pg-snap`: the database stage. See `cli.rs` for what it does.

mod cli;
mod client;
mod compare;
mod database_state;
mod dump;
mod extract;
mod gzip;
mod head;
mod index;
mod inspect;
mod libpq;
mod lines;
mod load;
mod maintenance;
mod preflight;
mod previous;
mod psql;
mod roles;
mod scanner;
mod server_error;
mod session;
mod sql;
mod status;
mod version;
mod words;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
