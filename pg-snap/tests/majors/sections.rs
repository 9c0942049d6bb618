//! The definitions of a dump, which are read once, against the sections that pg_dump writes of itself.

use super::{Cluster, at_once, clusters};
use anyhow::{Context, Result, ensure};
use pipe_kit::child;
use std::path::Path;
use std::process::Command;
use test_kit::oddities;

/// What the fixtures lack: of each kind of object that pg_dump knows, with what is attached to it.
const EVERY: &str = r#"
    create role kind_reader; create database every; \connect every
    create schema s;
    create table s.a (id int primary key, t text, constraint c check (id > 0));
    create table s.b (id int references s.a, x int); create index on s.b (x);
    create statistics s.st on id, x from s.b;
    create view s.grouped as select id, t from s.a group by id;
    create materialized view s.m as select * from s.grouped; create index on s.m (id);
    create materialized view s.m_of_m as select * from s.m;
    create materialized view s.empty as select * from s.m with no data;
    create function s.f() returns trigger language plpgsql as $$begin return new; end$$;
    create trigger tr before insert on s.a for each row execute function s.f();
    alter table s.a disable trigger tr;
    create rule ru as on insert to s.grouped do instead nothing;
    alter table s.b enable row level security; create policy p on s.b using (x > 1);
    create publication pub for table s.a;
    create function s.et() returns event_trigger language plpgsql as $$begin end$$;
    create event trigger ev on ddl_command_start execute function s.et(); alter event trigger ev disable;
    comment on index s.b_x_idx is 'Name: x; Type: TABLE; Schema: s'; comment on constraint c on s.a is 'c';
    comment on trigger tr on s.a is 'tr'; comment on rule ru on s.grouped is 'ru';
    comment on policy p on s.b is 'p'; comment on event trigger ev is 'ev'; comment on statistics s.st is 'st';
    comment on publication pub is 'pub'; comment on materialized view s.m is E'\n-- Name: m; Type: INDEX;\n';
    select lo_from_bytea(77, 'x'), lo_create(78) \g /dev/null
    comment on large object 77 is 'lo'; grant select on large object 77 to kind_reader;
    grant select on s.a, s.m to kind_reader; grant select (x) on s.b to kind_reader;
    grant execute on function s.f() to kind_reader; revoke all on function s.et() from public;
    alter default privileges in schema s grant select on tables to kind_reader;
    create domain s.d as int check (value > 0);
    alter domain s.d add constraint later check (value > 1) not valid;
    create table s.parted (a int, b text) partition by list (a); create index on s.parted (b);
    create table s.part partition of s.parted for values in (1);
    create table s.nothing (); create table s.counted (i int generated always as identity);
    alter table s.a cluster on a_pkey; alter table s.counted replica identity full;
    create table s."of
INDEX; Type: INDEX" (a int);
    create type s.e as enum ('a'); create collation s.col (locale = 'C');
    create text search configuration s.ts (copy = english);
    create operator s.=== (leftarg = int, rightarg = int, procedure = int4eq);
    create foreign data wrapper w; create server srv foreign data wrapper w;
    create foreign table s.far (a int) server srv; create user mapping for kind_reader server srv"#;

/// A prefix for the clients of a release, which notes every call, and has no pg_restore if it must not.
fn prefix(cluster: &Cluster, log: &Path, restore: bool) -> Result<String> {
    let script = log.with_extension("sh");
    let absent = if restore { "" } else { "[ \"$1\" = pg_restore ] && exit 127\n" };
    let text = format!(
        "PATH='{}:/usr/bin:/bin'\necho \"$*\" >> '{}'\n{absent}exec \"$@\"\n",
        cluster.release.clients.display(),
        log.display()
    );
    std::fs::write(&script, text)?;
    Ok(format!("sh '{}'", script.display()))
}

/// The text of a dump, without what differs in each, and how often pg_dump and pg_restore worked for it.
fn dump(cluster: &Cluster, database: &str, restore: bool) -> Result<(String, [usize; 2])> {
    let log = cluster.dir.path().join(format!("calls_{database}_{restore}"));
    let exec = prefix(cluster, &log, restore)?;
    let out = cluster.pg_snap(database).args(["--exec", &exec, "dump"]).output()?;
    ensure!(out.status.success(), "{database}: {}", String::from_utf8_lossy(&out.stderr));
    let file = cluster.file(database);
    std::fs::write(&file, out.stdout)?;
    let text = child::capture(Command::new("gunzip").arg("-c").arg(&file), "gunzip")?;
    let lines = text.lines().filter(|line| !line.starts_with("\\restrict "));
    let text: Vec<&str> = lines.filter(|line| !line.starts_with("\\unrestrict ")).collect();
    let calls = std::fs::read_to_string(&log)?;
    let count = |program: &str| {
        let works = |line: &&str| line.starts_with(program) && line.contains("--section=p");
        calls.lines().filter(works).count()
    };
    Ok((text.join("\n"), [count("pg_dump"), count("pg_restore")]))
}

#[test]
fn definitions_read_once_are_what_pg_dump_writes_of_each_section() -> Result<()> {
    let clusters = clusters()?;
    at_once(&clusters, |cluster| {
        cluster.fill()?;
        cluster.server.psql("postgres", EVERY)?;
        let mut databases = vec!["piprio", "every"];
        if cluster.release.major >= super::oddities::SINCE {
            oddities::create(&cluster.server, "odd")?;
            databases.push("odd");
        }
        databases.into_iter().try_for_each(|database| same(cluster, database))?;
        in_their_sections(cluster)
    })
    .map(drop)
}

fn same(cluster: &Cluster, database: &str) -> Result<()> {
    let (once, calls) = dump(cluster, database, true)?;
    let release = cluster.release.major;
    ensure!(calls == [1, 2], "{release}: {database}: pg_dump and pg_restore ran {calls:?} times");
    // Each section by a pg_dump of its own.
    let (apart, calls) = dump(cluster, database, false)?;
    ensure!(calls == [2, 0], "{release}: {database}: pg_dump and pg_restore ran {calls:?} times");
    let differs = once.lines().zip(apart.lines()).find(|(once, apart)| once != apart);
    ensure!(differs.is_none(), "{release}: {database}: {differs:?}");
    ensure!(once == apart, "{release}: {database}: one of the dumps is longer");
    Ok(())
}

/// Where each statement is, in a database whose rows and functions hold none.
fn in_their_sections(cluster: &Cluster) -> Result<()> {
    let (text, _) = dump(cluster, "every", true)?;
    let rows = text.rfind("\n\\.\n").context("no rows")?;
    let before = ["CREATE TABLE ", "CREATE VIEW ", "CREATE MATERIALIZED VIEW ", "CREATE FUNCTION "];
    let after = [
        "CREATE TRIGGER ",
        "CREATE INDEX ",
        "CREATE POLICY ",
        "GRANT SELECT ON TABLE ",
        "REFRESH ",
    ];
    for (words, are_before) in
        before.map(|w| (w, true)).into_iter().chain(after.map(|w| (w, false)))
    {
        let all =
            text.match_indices(&format!("\n{words}")).map(|(at, _)| at < rows).collect::<Vec<_>>();
        ensure!(!all.is_empty(), "no {words}");
        // A view that depends on a key comes back in both sections: first with empty columns.
        let right = all.iter().all(|is_before| *is_before == are_before);
        ensure!(right || words == "CREATE VIEW ", "{}: {words} {all:?}", cluster.release.major);
    }
    Ok(())
}
