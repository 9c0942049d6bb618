//! The database stage on real servers: what it promises of a dump, of a load, and of the database
//! that was there before.

#[path = "pg_snap/bounds.rs"]
mod bounds;
#[path = "pg_snap/closed.rs"]
mod closed;
#[path = "pg_snap/compare.rs"]
mod compare;
#[path = "pg_snap/damage.rs"]
mod damage;
#[path = "pg_snap/encodings.rs"]
mod encodings;
#[path = "pg_snap/extension.rs"]
mod extension;
#[path = "pg_snap/faults.rs"]
mod faults;
#[path = "pg_snap/hostile_settings.rs"]
mod hostile_settings;
#[path = "pg_snap/keep_going.rs"]
mod keep_going;
#[path = "pg_snap/killed_dump.rs"]
mod killed_dump;
#[path = "pg_snap/killed_load.rs"]
mod killed_load;
#[path = "pg_snap/kit.rs"]
mod kit;
#[path = "pg_snap/languages.rs"]
mod languages;
#[path = "pg_snap/large_table.rs"]
mod large_table;
#[path = "pg_snap/locked.rs"]
mod locked;
#[path = "pg_snap/lookups.rs"]
mod lookups;
#[path = "pg_snap/many_tables.rs"]
mod many_tables;
#[path = "pg_snap/members.rs"]
mod members;
#[path = "pg_snap/original.rs"]
mod original;
#[path = "pg_snap/plain_dumps.rs"]
mod plain_dumps;
#[path = "pg_snap/pooler.rs"]
mod pooler;
#[path = "pg_snap/preflight.rs"]
mod preflight;
#[path = "pg_snap/previous.rs"]
mod previous;
#[path = "pg_snap/repairs.rs"]
mod repairs;
#[path = "pg_snap/requirements.rs"]
mod requirements;
#[path = "pg_snap/restorable.rs"]
mod restorable;
#[path = "pg_snap/rights.rs"]
mod rights;
#[path = "pg_snap/round_trip.rs"]
mod round_trip;
#[path = "pg_snap/running.rs"]
mod running;
#[path = "pg_snap/same_data.rs"]
mod same_data;
#[path = "pg_snap/same_meaning.rs"]
mod same_meaning;
#[path = "pg_snap/sameness.rs"]
mod sameness;
#[path = "pg_snap/search_path.rs"]
mod search_path;
#[path = "pg_snap/tenant.rs"]
mod tenant;
#[path = "pg_snap/tenant_faults.rs"]
mod tenant_faults;
#[path = "pg_snap/warnings.rs"]
mod warnings;
#[path = "pg_snap/writers.rs"]
mod writers;
