//! What the database's server says of a replacement that was begun: nobody else's word counts.

use crate::summary::DatabaseStatus;
use anyhow::Result;

/// The database, seen beside what it was before the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The same one as before.
    Same,
    /// Another: the names were swapped.
    Other,
    /// None of that name.
    Missing,
    /// The server does not answer.
    Unknown,
}

/// Compares the database's oid before the load with what the server says now.
pub fn seen(before: Option<u32>, now: Result<DatabaseStatus>) -> Seen {
    match now.map(|status| status.oid) {
        Err(_) => Seen::Unknown,
        Ok(now) if now == before => Seen::Same,
        Ok(None) => Seen::Missing,
        Ok(Some(_)) => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_name_is_a_swap() {
        let status = |oid: &str| -> Result<DatabaseStatus> {
            let report = r#"{"exists":true,"schemas":[],"oid":OID}"#;
            Ok(serde_json::from_str(&report.replace("OID", oid))?)
        };
        assert_eq!(seen(Some(7), status("7")), Seen::Same);
        assert_eq!(seen(None, status("null")), Seen::Same);
        assert_eq!(seen(Some(7), status("8")), Seen::Other);
        assert_eq!(seen(None, status("8")), Seen::Other);
        assert_eq!(seen(Some(7), status("null")), Seen::Missing);
        assert_eq!(seen(Some(7), Err(anyhow::anyhow!("gone"))), Seen::Unknown);
    }
}
