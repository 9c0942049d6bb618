//! The database in place, as its server reports it: the server alone knows whether it was replaced.

use crate::journal::Journal;
use crate::settings::Settings;
use anyhow::Result;
use bundle_format::report::DatabaseStatus;
use pipe_kit::tool::Tool;

/// Asks the server.
pub fn status(settings: &Settings) -> Result<DatabaseStatus> {
    settings.tool("pg-snap").args(["status", "--json"]).json()
}

/// The tool that puts the kept database with that oid in place again.
pub fn swap_tool(settings: &Settings, oid: u32) -> Tool {
    settings.tool("pg-snap").args(["previous", "swap", "--oid"]).arg(oid.to_string())
}

/// The tool that drops the kept databases with these oids.
pub fn drop_tool(settings: &Settings, oids: &[u32]) -> Tool {
    let drop = settings.tool("pg-snap").args(["previous", "drop"]);
    oids.iter().fold(drop, |tool, oid| tool.arg("--oid").arg(oid.to_string()))
}

/// The databases that a load has kept between two reports of the server.
pub fn kept_since(before: &DatabaseStatus, after: &DatabaseStatus) -> Vec<u32> {
    let known = |oid: u32| before.beside.iter().any(|other| other.oid == oid);
    let kept = after.beside.iter().filter(|other| other.kept && !known(other.oid));
    kept.map(|other| other.oid).collect()
}

/// Which database is in place, by the journal of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPlace {
    /// One from before the load, or a kept one that was swapped back.
    Old,
    /// The one that was loaded.
    New,
    /// One that appeared since: neither from before the load, nor the one that was loaded.
    Other,
    /// None of that name.
    Missing,
    /// The server is not the one that the restore began with.
    OtherServer,
    /// The server does not answer.
    Unknown,
}

/// Compares the database in place with those that the restore has found and kept.
pub fn in_place(journal: &Journal, now: Result<DatabaseStatus>) -> InPlace {
    let Ok(now) = now else { return InPlace::Unknown };
    if !is_same_server(journal, &now) {
        return InPlace::OtherServer;
    }
    let before = journal.load.and_then(|load| load.before);
    let kept = |oid: &u32| journal.previous.contains(oid) || journal.appeared.contains(oid);
    match now.oid {
        None => InPlace::Missing,
        Some(oid) if before == Some(oid) || kept(&oid) => InPlace::Old,
        Some(oid) if journal.has_appeared(oid) => InPlace::Other,
        Some(_) => InPlace::New,
    }
}

/// Whether this is the server that the restore began with, as far as the two report who they are.
pub fn is_same_server(journal: &Journal, now: &DatabaseStatus) -> bool {
    match (&journal.server, &now.system_identifier) {
        (Some(then), Some(now)) => then == now,
        _ => true,
    }
}

/// Whether the application's services may run on the database in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayServe {
    /// They ran on it before.
    Yes,
    /// It is another, or there is none.
    No,
    /// The server does not answer.
    Unknown,
}

/// Asks whether the database in place is the one that served before the restore. Without a journal
/// no restore has begun.
pub fn may_serve(
    journal: Option<&Journal>,
    now: impl FnOnce() -> Result<DatabaseStatus>,
) -> MayServe {
    let Some(journal) = journal else { return MayServe::Yes };
    match now() {
        Err(_) => MayServe::Unknown,
        Ok(now) if now.oid.is_some() && now.oid == journal.serves => MayServe::Yes,
        Ok(_) => MayServe::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Load;
    use crate::journal::tests::journal;
    use crate::step::Step;
    use bundle_format::report::LoadRecord;

    fn status(oid: &str, server: &str) -> Result<DatabaseStatus> {
        let report = r#"{"server_version":"15.18","system_identifier":ID,"database":"d","exists":true,"oid":OID,"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":1,"connections":0,"schemas":[],"beside":[]}"#;
        Ok(serde_json::from_str(&report.replace("OID", oid).replace("ID", server))?)
    }

    #[test]
    fn the_database_in_place_is_known_by_its_oid_and_its_server() {
        let journal = Journal {
            load: Some(Load { is_recorded: false, ..Load::replacing(Some(8)) }),
            server: Some("s".into()),
            ..journal(Step::Stop)
        };
        let at = |oid: &str, server: &str| in_place(&journal, status(oid, server));
        assert_eq!(at("8", "\"s\""), InPlace::Old);
        assert_eq!(at("7", "\"s\""), InPlace::Old);
        assert_eq!(at("9", "\"s\""), InPlace::New);
        assert_eq!(at("9", "null"), InPlace::New);
        assert_eq!(at("null", "\"s\""), InPlace::Missing);
        assert_eq!(at("8", "\"t\""), InPlace::OtherServer);
        assert_eq!(in_place(&journal, Err(anyhow::anyhow!("gone"))), InPlace::Unknown);
    }

    #[test]
    fn a_database_that_no_load_of_the_restore_has_recorded_is_another() {
        let begun = Journal {
            load: Some(Load::replacing(None)),
            previous: vec![],
            appeared: vec![6],
            ..journal(Step::Stop)
        };
        assert_eq!(in_place(&begun, status("9", "null")), InPlace::Other);
        assert_eq!(in_place(&begun, status("6", "null")), InPlace::Old);
        let loaded = begun.with_record(Some(LoadRecord { oid: 9, left_out: 0 }));
        assert_eq!(in_place(&loaded, status("9", "null")), InPlace::New);
        assert_eq!(in_place(&loaded, status("10", "null")), InPlace::Other);
        assert_eq!(in_place(&loaded, status("6", "null")), InPlace::Old);
    }

    #[test]
    fn what_a_load_has_kept_is_what_was_not_there_before() {
        let with = |beside: &str| {
            let text = r#"{"server_version":"15.18","system_identifier":null,"database":"d","exists":true,"oid":9,"is_template":false,"prepared_transactions":0,"may_create":true,"size_bytes":1,"connections":0,"schemas":[],"beside":BESIDE}"#;
            serde_json::from_str::<DatabaseStatus>(&text.replace("BESIDE", beside)).unwrap()
        };
        let before = with(r#"[{"name":"d_previous","oid":3,"kept":true}]"#);
        let after = with(
            r#"[{"name":"d_previous_20260102T030405Z","oid":3,"kept":true},{"name":"d_previous","oid":8,"kept":true},{"name":"d_pg_snap_aside","oid":5,"kept":false}]"#,
        );
        assert_eq!(kept_since(&before, &after), [8]);
    }

    #[test]
    fn the_application_runs_only_on_the_database_that_it_ran_on() {
        let journal = journal(Step::Stop);
        let at = |oid: &str| may_serve(Some(&journal), || status(oid, "null"));
        assert_eq!(at("7"), MayServe::Yes);
        assert_eq!(at("8"), MayServe::No);
        assert_eq!(at("null"), MayServe::No);
        assert_eq!(may_serve(None, || panic!("asked")), MayServe::Yes);
        assert_eq!(may_serve(Some(&journal), || Err(anyhow::anyhow!("gone"))), MayServe::Unknown);
    }
}
