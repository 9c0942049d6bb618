//! `pg-snap`: dumps, loads and inspects a PostgreSQL database. The commands are in `cli.rs`.

mod blocks;
mod cli;
mod client;
mod compare;
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
mod roles;
mod server_error;
mod sql;
mod status;
mod version;

#[doc(hidden)]
pub mod fuzzing;

pub use cli::{Cli, run};
