//! SQL as pg_dump writes it: where statements end, what they do, and how names and values are quoted.

mod comments;
mod encoding;
mod internal_options;
mod lexer;
pub mod named_roles;
pub mod operators;
mod portable;
pub mod properties;
mod quoted_begin;
mod quoting;
pub mod reduction;
mod role_change;
pub mod scanner;
mod separated_colon;
pub mod statement;
mod tokens;

pub use comments::length_of_comments;
pub use encoding::client_encoding;
pub use portable::{loadable, portable};
pub use quoting::{MAX_NAME_BYTES, ident, literal, rename_schema, with_suffix, with_values};
pub use statement::{StatementKind, classify, is_of_event_trigger};
pub use tokens::{Name, Token, TokenCursor, name, name_after, tokens};
