//! Changes to what pg_dump writes, without which a psql or a server cannot read it.

use super::internal_options::without_internal_options;
use super::quoted_begin::with_quoted_begin;
use super::role_change::with_role_change;
use super::separated_colon::with_separated_colon;

/// The statement as every psql reads it and every server of its major takes it, with the comments above it
/// as they are. It may be empty.
pub fn portable(sql: Vec<u8>) -> Vec<u8> {
    let sql = with_quoted_begin(&sql).or_else(|| without_internal_options(&sql)).unwrap_or(sql);
    with_separated_colon(&sql).unwrap_or(sql)
}

/// The same in the form that an ordinary role may run, too.
pub fn loadable(sql: Vec<u8>) -> Vec<u8> {
    let sql = portable(sql);
    with_role_change(&sql).unwrap_or(sql)
}
