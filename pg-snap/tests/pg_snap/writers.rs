//! A dump is of one moment, whatever is written meanwhile.

use crate::kit::*;
use crate::running::{DUMPS, Held, Running, SURVEY, wait_for_sessions};
use anyhow::Result;
use test_kit::Postgres;
use test_kit::process::wait_until;

const TABLES: &str = "
    create schema a; create schema b;
    create table a.accounts as select n as id, 1000 as balance from generate_series(1, 500) n;
    create table b.accounts as select n as id, 1000 as balance from generate_series(1, 500) n;
    create table b.parents (id bigserial primary key, children integer);
    create table a.children (id bigserial, parent bigint, t text);
    create table a.counter (n bigint);
    insert into a.counter values (0);
    create table b.counted (n bigint, t text);
    create table a.documents (id bigint, object oid);
    create table b.moves (id integer, place integer) partition by list (place);
    create table a.moves_0 partition of b.moves for values in (0);
    create table b.moves_1 partition of b.moves for values in (1);
    insert into b.moves select n, n % 2 from generate_series(1, 300) n;
    create table a.large as select n, repeat(md5(n::text), 8) as t from generate_series(1, 20000) n;
    create table b.gate ();";

/// Commits, and continues until its session is ended.
const WRITER: &str = "
    do $$
    declare
      n bigint := 0;
      parent bigint;
    begin
      loop
        n := n + 1;
        update a.accounts set balance = balance - n % 7 where id = 1 + n % 500;
        update b.accounts set balance = balance + n % 7 where id = 1 + n * 3 % 500;
        insert into b.parents (children) values (2) returning id into parent;
        insert into a.children (parent, t) values (parent, 'x'), (parent, 'y');
        update a.counter set n = writer.n from (select n) writer;
        insert into b.counted values (n, md5(n::text));
        delete from b.parents p where p.id = n - 100;
        delete from a.children c where c.parent = n - 100;
        update b.moves set place = 1 - place where id = 1 + n % 300;
        if n % 10 = 0 then
          insert into a.documents values (n, lo_from_bytea(0, convert_to('document ' || n, 'UTF8')));
        end if;
        commit;
      end loop;
    end
    $$";

/// Each is true at every commit.
const INVARIANTS: &str = "
    select 'money: ' || sum(balance) from (select * from a.accounts union all select * from b.accounts) x having sum(balance) <> 1000000;
    select 'children: ' || p.id from b.parents p where children <> (select count(*) from a.children c where c.parent = p.id);
    select 'orphan: ' || c.id from a.children c where not exists (select from b.parents p where p.id = c.parent);
    select 'counter: ' || n from a.counter where n <> (select count(*) from b.counted) or n <> (select max(n) from b.counted);
    select 'moves: ' || count(*) from b.moves having count(*) <> 300 or count(distinct id) <> 300;
    select 'object: ' || id from a.documents where convert_from(lo_get(object), 'UTF8') <> 'document ' || id;
    select 'objects: ' || count(*) from pg_largeobject_metadata having count(*) <> (select count(*) from a.documents);
    select 'documents: ' || n from a.counter where n / 10 <> (select count(*) from a.documents);
    select 'sequence: ' || last_value from b.parents_id_seq where last_value < (select max(id) from b.parents)";

fn committed(server: &Postgres) -> Result<u64> {
    Ok(server.psql("piprio", "select n from a.counter")?.parse()?)
}

#[test]
fn what_is_written_meanwhile_is_in_the_dump_whole_or_not_at_all() -> Result<()> {
    let server = Postgres::start()?;
    server.psql("postgres", "create database piprio")?;
    server.psql("piprio", TABLES)?;
    let dir = tempfile::tempdir()?;
    let mut writer = Held::by(&server, "piprio", "select 1")?;
    writer.send(WRITER)?;
    for jobs in ["1", "4"] {
        // Its snapshot taken, the dump does not get on before much more was written.
        let gate = Held::by(&server, "piprio", "begin; lock table b.gate")?;
        let file = dir.path().join("d.sql.gz");
        let mut dump = Running::start(&server, &["dump", "--jobs", jobs], file)?;
        // The session with the snapshot, and pg_dump under it.
        let waiting = format!("{DUMPS} and wait_event_type = 'Lock' and not ({SURVEY})");
        wait_for_sessions(&server, &waiting, 2)?;
        let taken = committed(&server)?;
        wait_until("a hundred commits", || Ok(committed(&server)? > taken + 100))?;
        let opened = committed(&server)?;
        gate.release()?;
        assert_eq!(dump.code()?, Some(0), "{}", dump.stderr());
        assert!(committed(&server)? > opened, "nothing was written while tables were copied");

        pg_snap(&server, "copy").arg("load").arg(&dump.out).assert().success();
        assert_eq!(server.psql("copy", INVARIANTS)?, "", "--jobs {jobs}");
        let copied: u64 = server.psql("copy", "select n from a.counter")?.parse()?;
        assert!(copied > 0 && copied <= taken, "of {copied}, not of {taken} or before");
        println!("--jobs {jobs}: {} commits during the dump", committed(&server)? - copied);
    }
    Ok(())
}
