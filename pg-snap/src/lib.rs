//! `pg-snap`: dumps, loads and inspects a PostgreSQL database. The commands are in `cli.rs`.
//!
//! No module uses one that uses it. From the bottom up:
//!
//! - a dump: `gzip`, `blocks`, `index`, `sql`, `head`, `dump_file`;
//! - a server: `client`, `psql`, `psql_session`, `maintenance`, `database_state`, `database_names`, `roles`,
//!   `removed_extensions`;
//! - the commands: `dump`, `load`, `inspect`, `preflight`, `extract`, `compare`, `status`, `previous`.

mod blocks;
mod cli;
mod client;
mod compare;
mod connections;
mod database_names;
mod database_state;
mod dump;
mod dump_file;
mod extract;
mod gzip;
mod head;
mod index;
mod inspect;
mod libpq;
mod load;
mod maintenance;
mod preflight;
mod previous;
mod psql;
mod psql_session;
mod random_token;
mod removed_extensions;
mod roles;
mod server_error;
mod sql;
mod status;
mod version;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub use cli::{Cli, run};
