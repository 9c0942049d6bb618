use super::*;
use crate::database_state::{DatabaseState, Requirements, Setting};
use crate::preflight::facts::{BlockingSession, Existing, Tablespace};
use crate::preflight::settings::RefusedSetting;

const MEMBER: Membership = Membership { set: true, usage: true, admin: false, login: true };
const STRANGER: Membership = Membership { set: false, usage: false, admin: false, login: true };

/// An ordinary role that may do what a load needs, on a server that has what the dump needs.
fn facts() -> Facts {
    Facts {
        me: "me".into(),
        may_create_databases: true,
        may_end_others: true,
        database: Some(Existing { owner: "me".into(), ours: true, ..Existing::default() }),
        roles: [("me".to_owned(), MEMBER), ("other".to_owned(), STRANGER)].into(),
        icu: true,
        ..Facts::default()
    }
}

fn needs() -> Needs {
    Needs {
        server_version: Some("15.3 (Debian)".into()),
        state: Some(DatabaseState { owner: "me".into(), ..DatabaseState::default() }),
        ..Needs::default()
    }
}

fn refused(name: &str, value: &str, reason: Reason) -> RefusedSetting {
    let setting = Setting { role: None, name: name.into(), value: value.into() };
    RefusedSetting { setting, reason }
}

fn role(name: &str, owns: Option<bool>) -> Role {
    Role { name: name.into(), login: true, owns }
}

fn found(needs: &Needs, facts: &Facts, server: u32) -> Findings {
    let version = |major| Version { major, minor: 13 };
    let plan = IntendedLoad {
        database: "db",
        needs,
        server: version(server),
        psql: version(15),
        made_as: "db_new",
        keep_going: false,
        drop_first: false,
    };
    find(&plan, facts)
}

/// The one problem that a change of the facts makes.
fn problem(change: impl FnOnce(&mut Facts, &mut Needs)) -> String {
    problem_on(15, change)
}

fn problem_on(server: u32, change: impl FnOnce(&mut Facts, &mut Needs)) -> String {
    let (mut facts, mut needs) = (facts(), needs());
    change(&mut facts, &mut needs);
    let mut problems = found(&needs, &facts, server).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(&needs(), &facts(), 15), Findings::default());
}

#[test]
fn each_problem_is_reported_with_its_remedy() {
    let newer = problem_on(14, |_, _| {});
    assert!(newer.contains("from PostgreSQL 15.3 (Debian), the server is 14.13"), "{newer}");
    let beta = problem_on(14, |_, n| n.server_version = Some("15beta1".into()));
    assert!(beta.ends_with("load it into PostgreSQL 15 or newer"), "{beta}");
    let ends = |line: String, remedy: &str| assert!(line.ends_with(remedy), "{line}");

    ends(problem(|f, _| f.may_create_databases = false), "ALTER ROLE \"me\" CREATEDB;");
    let space = Tablespace { place: "/fast".into(), ours: false };
    let line = problem(|f, n| {
        f.tablespaces = [("fast".to_owned(), space)].into();
        n.state.as_mut().unwrap().tablespace = "fast".into();
    });
    ends(line, "GRANT CREATE ON TABLESPACE \"fast\" TO \"me\";");
    ends(problem(|f, _| f.standby = true), "connect to its primary (PGHOST)");
    ends(problem(|f, _| f.prepared = vec!["it's".into()]), "ROLLBACK PREPARED 'it''s';");
    ends(problem(|f, _| f.subscriptions = vec!["s".into()]), "DROP SUBSCRIPTION \"s\";");
    ends(problem(|f, _| f.slots = vec!["s".into()]), "SELECT pg_drop_replication_slot('s');");
    ends(problem(|f, _| f.unknown_locales = vec!["xx".into()]), "restart PostgreSQL");
    let template = |f: &mut Facts, is: bool| f.database.as_mut().unwrap().is_template = is;
    ends(problem(|f, _| template(f, true)), "ALTER DATABASE \"db\" IS_TEMPLATE false;");
    let foreign = Existing { owner: "boss".into(), ..Existing::default() };
    ends(problem(|f, _| f.database = Some(foreign)), "GRANT \"boss\" TO \"me\";");

    let session = BlockingSession { role: "boss".into(), application: "psql".into(), pid: 7 };
    let line = problem(|f, _| f.sessions = vec![session]);
    assert!(line.contains("session of role boss (psql, pid 7)"), "{line}");
    ends(line, "SELECT pg_terminate_backend(7);");
}

#[test]
fn missing_roles_are_created_or_are_a_problem() {
    let want = |n: &mut Needs| n.roles = vec![role("me", Some(true)), role("new", Some(true))];
    let line = problem(|_, n| want(n));
    assert!(line.ends_with("CREATE ROLE \"new\" NOLOGIN; GRANT \"new\" TO \"me\";"), "{line}");

    let (mut facts, mut needs) = (facts(), needs());
    want(&mut needs);
    facts.may_create_roles = true;
    let found = found(&needs, &facts, 15);
    assert_eq!(found.problems, [""; 0]);
    assert!(found.notes[0].contains("created without login and will need a password"));
}

#[test]
fn an_owner_that_we_may_not_act_for_is_a_problem() {
    let line = problem(|_, n| n.roles = vec![role("other", Some(true))]);
    assert!(line.ends_with("as a superuser: GRANT \"other\" TO \"me\";"), "{line}");
    let line = problem_on(16, |_, n| n.roles = vec![role("other", Some(true))]);
    assert!(line.ends_with("GRANT \"other\" TO \"me\" WITH INHERIT TRUE, SET TRUE;"), "{line}");
    let without = Membership { usage: false, ..MEMBER };
    let line = problem(|f, n| {
        f.roles.insert("other".into(), without);
        n.roles = vec![role("other", Some(true))];
    });
    assert!(line.ends_with("ALTER ROLE \"me\" INHERIT;"), "{line}");

    // If the dump does not state who owns what, the database's own owner is known.
    let line = problem(|_, n| {
        n.roles = vec![role("other", None), role("me", None)];
        n.state.as_mut().unwrap().owner = "other".into();
    });
    assert!(line.contains("role other owns"), "{line}");
    let (facts, mut needs) = (facts(), needs());
    needs.roles = vec![role("other", Some(false))];
    assert_eq!(found(&needs, &facts, 15), Findings::default());
}

#[test]
fn settings_that_an_ordinary_role_may_not_make_are_a_problem() {
    let setting = Setting { role: Some("other".into()), name: "x".into(), value: "1".into() };
    let line = problem(|_, n| n.state.as_mut().unwrap().settings = vec![setting.clone()]);
    assert!(line.ends_with("ALTER ROLE \"me\" CREATEROLE;"), "{line}");
    let line = problem_on(16, |f, n| {
        f.may_create_roles = true;
        n.state.as_mut().unwrap().settings = vec![setting.clone()];
    });
    assert!(line.ends_with("GRANT \"other\" TO \"me\" WITH ADMIN OPTION;"), "{line}");
    let line = problem(|f, _| {
        let name = "log_min_duration_statement";
        f.refused_settings =
            vec![refused(name, "1", Reason::Guarded), refused(name, "2", Reason::Guarded)];
    });
    assert!(line.contains("sets log_min_duration_statement"), "{line}");
}

#[test]
fn a_setting_that_the_server_does_not_know_is_a_note_that_it_is_left_out() {
    let unknown = |value: &str| refused("force_parallel_mode", value, Reason::Unknown);
    let facts = Facts { refused_settings: vec![unknown("on"), unknown("off")], ..facts() };
    let found = found(&needs(), &facts, 18);
    assert!(found.problems.is_empty(), "{found:?}");
    assert_eq!(found.notes.len(), 1, "{found:?}");
    assert!(found.notes[0].contains("force_parallel_mode, which PostgreSQL 18.13"), "{found:?}");
}

#[test]
fn a_value_is_named_unless_it_may_be_a_secret() {
    let value = |name: &str, value: &str| {
        problem(|f, _| f.refused_settings = vec![refused(name, value, Reason::Value)])
    };
    for (name, remedy) in [
        ("TimeZone", "tzdata-legacy"),
        ("lc_time", "locale-gen"),
        ("default_toast_compression", "of the same major"),
    ] {
        let line = value(name, "it's");
        assert!(line.contains(&format!("sets {name} = 'it''s' for the database")), "{line}");
        assert!(line.contains(remedy), "{line}");
    }
    let line = value("app.key", "hidden");
    assert!(line.contains("sets app.key for") && !line.contains("hidden"), "{line}");
    let unclear = Reason::Unclear("55P03".into());
    let facts = Facts { refused_settings: vec![refused("work_mem", "1", unclear)], ..facts() };
    let found = found(&needs(), &facts, 15);
    assert_eq!((found.problems.len(), found.notes.len()), (0, 1), "{found:?}");
}

#[test]
fn extensions_must_be_there_and_ours_to_create() {
    let line = problem(|_, n| n.extensions = vec!["vector".into()]);
    assert!(line.contains("apt install postgresql-15-pgvector "), "{line}");
    let line = problem(|_, n| n.extensions = vec!["adminpack".into()]);
    assert!(line.contains("needs extension adminpack, which is not installed"), "{line}");
    let removed = Needs { extensions: vec!["adminpack".into()], ..needs() };
    let removed = found(&removed, &facts(), 17);
    assert_eq!((removed.problems.len(), removed.notes.len()), (0, 1), "{removed:?}");
    let only_superuser = |f: &mut Facts, n: &mut Needs| {
        f.extensions = [("plperlu".to_owned(), true), ("citext".to_owned(), false)].into();
        n.extensions = vec!["citext".into(), "plperlu".into()];
    };
    let line = problem(only_superuser);
    assert!(line.contains("creates extension plperlu"), "{line}");
    let (mut facts, mut needs) = (facts(), needs());
    only_superuser(&mut facts, &mut needs);
    facts.superuser = true;
    assert_eq!(found(&needs, &facts, 15), Findings::default());
}

#[test]
fn an_extension_in_a_version_that_the_server_does_not_offer_is_noted() {
    let notes_on = |major: u32, there: &str, default: &str, offered: &[&str]| {
        let (mut facts, mut needs) = (facts(), needs());
        facts.extensions = [("citext".to_owned(), false)].into();
        facts.extension_versions = [("citext".to_owned(), default.to_owned())].into();
        let offered = offered.iter().map(|version| (*version).to_owned()).collect();
        facts.offered_versions = [("citext".to_owned(), offered)].into();
        needs.extensions = vec!["citext".into()];
        let requirements = Requirements {
            extension_versions: [("citext".to_owned(), there.to_owned())].into(),
            ..Requirements::default()
        };
        needs.state =
            needs.state.map(|state| DatabaseState { requirements: Some(requirements), ..state });
        let chosen = extensions::versions_to_create(&needs, &facts, major);
        let found = found(&needs, &facts, major);
        assert!(found.problems.is_empty(), "{found:?}");
        (found.notes.join(" "), chosen.into_values().collect::<Vec<_>>())
    };
    let notes =
        |there: &str, default: &str, offered: &[&str]| notes_on(15, there, default, offered);
    // An old version may not work on a newer major.
    assert_eq!(notes_on(17, "1.4", "1.6", &["1.4", "1.6"]), (String::new(), vec![]));
    assert_eq!(notes("1.4", "1.6", &["1.4", "1.6"]), (String::new(), vec!["1.4".to_owned()]));
    assert_eq!(notes("1.6", "1.6", &["1.6"]), (String::new(), vec![]));
    let (older, chosen) = notes("1.4", "1.6", &["1.6"]);
    assert!(older.contains("citext 1.4, which the server does not offer"), "{older}");
    assert!(chosen.is_empty());
    let (newer, chosen) = notes("1.7", "1.6", &["1.6"]);
    assert!(newer.contains("and the server creates 1.6: a load fails"), "{newer}");
    assert!(chosen.is_empty());
}

#[test]
fn an_extension_of_one_database_alone_must_be_let_into_the_one_that_is_filled() {
    let cron = |database: Option<&str>| {
        let (mut facts, mut needs) = (facts(), needs());
        facts.superuser = true;
        facts.preloaded = Some("auto_explain, \"pg_cron\"".into());
        facts.cron_database = database.map(str::to_owned);
        facts.extensions = [("pg_cron".to_owned(), true)].into();
        needs.extensions = vec!["pg_cron".into()];
        found(&needs, &facts, 15)
    };
    assert_eq!(cron(Some("db_new")), Findings::default());
    let line = &cron(Some("db")).problems[0];
    assert!(line.contains("cron.database_name = 'db_new'"), "{line}");
    assert!(line.ends_with("cron.database_name = 'db', and restart again"), "{line}");
    assert_eq!(cron(None).notes.len(), 1);
}

#[test]
fn what_may_turn_out_well_is_a_note() {
    let (mut facts, mut needs) = (facts(), needs());
    facts.may_end_others = false;
    needs.restrict = true;
    let found = found(&needs, &facts, 15);
    assert_eq!((found.problems.len(), found.notes.len()), (0, 2), "{found:?}");
    assert!(found.notes[0].contains("psql 15.13 does not know \\restrict"));
    assert!(found.notes[1].contains("GRANT pg_signal_backend TO \"me\";"));
}

#[test]
fn an_encoding_that_a_plain_dump_would_not_get_is_noted() {
    let (mut facts, mut needs) = (facts(), needs());
    needs.encoding = Some("UTF8".into());
    facts.database = facts.database.map(|old| Existing { encoding: "LATIN1".into(), ..old });
    // Ours states the database's.
    assert_eq!(found(&needs, &facts, 15), Findings::default());
    needs.state = None;
    let notes = found(&needs, &facts, 15).notes;
    assert!(notes.len() == 1 && notes[0].contains("ALTER DATABASE \"db\" RENAME"), "{notes:?}");
    facts.database = facts.database.map(|old| Existing { encoding: "UTF8".into(), ..old });
    assert_eq!(found(&needs, &facts, 15), Findings::default());
}
