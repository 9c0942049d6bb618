//! What the database's server says of a replacement that was begun: nobody else's word counts.

use crate::journal::Journal;
use anyhow::Result;
use bundle_format::report::DatabaseStatus;

/// The database in place, seen beside what a journal says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// One from before the load, or one that was put aside and is back.
    Old,
    /// The one that was loaded.
    New,
    /// None of that name.
    Missing,
    /// The server is another than the one that the restore began with.
    Elsewhere,
    /// The server does not answer.
    Unknown,
}

/// Compares the database in place with those that the restore has found there and put aside.
pub fn seen(journal: &Journal, now: Result<DatabaseStatus>) -> Seen {
    let Ok(now) = now else { return Seen::Unknown };
    if !same_server(journal, &now) {
        return Seen::Elsewhere;
    }
    let before = journal.load.and_then(|load| load.before);
    match now.oid {
        None => Seen::Missing,
        Some(oid) if before == Some(oid) || journal.previous.contains(&oid) => Seen::Old,
        Some(_) => Seen::New,
    }
}

/// Whether that is the server that the restore began with, as far as the two can be told apart.
pub fn same_server(journal: &Journal, now: &DatabaseStatus) -> bool {
    match (&journal.server, &now.system_identifier) {
        (Some(then), Some(now)) => then == now,
        _ => true,
    }
}

/// Whether the application's services may run on the database in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// It is the one that they ran on before.
    Yes,
    /// It is another, or there is none.
    No,
    /// The server does not answer.
    Unknown,
}

/// Asks whether the database in place is the one that served before the restore. Without a journal
/// nothing was begun.
pub fn serves(journal: Option<&Journal>, now: impl FnOnce() -> Result<DatabaseStatus>) -> Serves {
    let Some(journal) = journal else { return Serves::Yes };
    match now() {
        Err(_) => Serves::Unknown,
        Ok(now) if now.oid.is_some() && now.oid == journal.serves => Serves::Yes,
        Ok(_) => Serves::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Load;
    use crate::journal::tests::journal;
    use crate::step::Step;

    fn status(oid: &str, server: &str) -> Result<DatabaseStatus> {
        let report = r#"{"server_version":"15.18","system_identifier":ID,"database":"d","exists":true,"oid":OID,"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":1,"connections":0,"schemas":[],"beside":[]}"#;
        Ok(serde_json::from_str(&report.replace("OID", oid).replace("ID", server))?)
    }

    #[test]
    fn what_is_in_place_is_known_by_its_oid_and_its_server() {
        let journal = Journal {
            load: Some(Load { before: Some(8) }),
            server: Some("s".into()),
            ..journal(Step::Stop)
        };
        let at = |oid: &str, server: &str| seen(&journal, status(oid, server));
        assert_eq!(at("8", "\"s\""), Seen::Old);
        assert_eq!(at("7", "\"s\""), Seen::Old);
        assert_eq!(at("9", "\"s\""), Seen::New);
        assert_eq!(at("9", "null"), Seen::New);
        assert_eq!(at("null", "\"s\""), Seen::Missing);
        assert_eq!(at("8", "\"t\""), Seen::Elsewhere);
        assert_eq!(seen(&journal, Err(anyhow::anyhow!("gone"))), Seen::Unknown);
    }

    #[test]
    fn the_application_runs_only_on_what_it_ran_on() {
        let journal = journal(Step::Stop);
        let at = |oid: &str| serves(Some(&journal), || status(oid, "null"));
        assert_eq!(at("7"), Serves::Yes);
        assert_eq!(at("8"), Serves::No);
        assert_eq!(at("null"), Serves::No);
        assert_eq!(serves(None, || panic!("asked")), Serves::Yes);
        assert_eq!(serves(Some(&journal), || Err(anyhow::anyhow!("gone"))), Serves::Unknown);
    }
}
