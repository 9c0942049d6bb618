//! How a session reads the database, so that its text is that of pg_dump.

use crate::psql::Server;
use crate::psql_session::PsqlSession;
use crate::sql::literal;
use anyhow::Result;

/// What pg_dump sets, so that the database's own settings do not change how values are written.
const SETUP: &str = "SET DateStyle = ISO;\n\
     SET IntervalStyle = postgres;\nSET extra_float_digits = 3;\nSET synchronize_seqscans = off;\n\
     SET row_security = off;\nSET constraint_exclusion = off;\nSET search_path = '';\nSET lc_monetary = 'C';\n\
     SET client_min_messages = warning;\n";
pub const UTF8: &str = "UTF8";

/// A session in which nothing is set yet.
pub fn connect(server: &Server, database: &str) -> Result<PsqlSession> {
    PsqlSession::open(server, database, &["-A", "-t"])
}

/// Opens a session for a database of that encoding.
pub fn open(server: &Server, database: &str, encoding: &str) -> Result<PsqlSession> {
    let mut session = connect(server, database)?;
    set_client_encoding(&mut session, encoding)?;
    set_up(&mut session)?;
    Ok(session)
}

/// UTF-8, or the encoding of the database if the server cannot convert it.
pub fn set_client_encoding(session: &mut PsqlSession, encoding: &str) -> Result<()> {
    if is_bytewise(encoding) {
        session.set_bytewise();
    }
    let encoding = if is_bytewise(encoding) { encoding } else { UTF8 };
    session.send_text(&format!("SET client_encoding = {};\n", literal(encoding)))
}

/// Sets what decides how values are written.
pub fn set_up(session: &mut PsqlSession) -> Result<()> {
    session.send(SETUP.as_bytes())
}

/// Whether the server cannot convert text in that encoding to UTF-8.
pub fn is_bytewise(encoding: &str) -> bool {
    ["SQL_ASCII", "MULE_INTERNAL"].contains(&encoding)
}
