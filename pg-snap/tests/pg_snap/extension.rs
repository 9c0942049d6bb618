//! Extensions: what their users' rows in their tables are, and in what order those go.

use crate::original::{DATABASE, Original};
use anyhow::Result;
use test_kit::Postgres;
use test_kit::extension::{self, Extended};
use test_kit::postgres::{self, Options};

const CONTENTS: &str = r#"
    create schema "lookups; of";
    create extension odd_lookup schema "lookups; of";
    comment on extension odd_lookup is E'it''s\n\\.';
    insert into "lookups; of".lookup values ('mine', E'\\.\n'), ('not', 'it''s not; dumped'), ('null', null);
    update "lookups; of".lookup set value = 'changed' where key = 'shipped';
    insert into "lookups; of".a_refers (key, note)
      select (array['mine', 'null', 'shipped', null])[1 + n % 4], repeat(md5(n::text), 9) from generate_series(1, 500) n;
    insert into "lookups; of".shipped values (3);
    select nextval('"lookups; of".counter') \g /dev/null
    insert into odd_lookup_own.inner_table select generate_series(8, 13);
    create role lookup_reader;
    grant select on "lookups; of".lookup to lookup_reader;
    revoke execute on function "lookups; of".graded from public;
    -- The user's own, beside the extension's and of them.
    create table "lookups; of".own (id integer primary key, g "lookups; of".grade default 'odd', key text references "lookups; of".lookup,
      u text generated always as ("lookups; of".graded(key)) stored);
    insert into "lookups; of".own (id, key) values (1, 'mine'), (2, null);
    create index on "lookups; of".own ("lookups; of".graded(key));
    create table odd_lookup_own.of_the_user (id integer primary key);
    insert into odd_lookup_own.of_the_user values (1);
    create function public.needs() returns text language sql as $$ select 'it' $$;
    alter function public.needs depends on extension odd_lookup;
    create view public.seen as select * from "lookups; of".lookup;
    create index on "lookups; of".lookup (value);
    create trigger again before update on "lookups; of".lookup for each row execute function suppress_redundant_updates_trigger()"#;

#[test]
fn an_extensions_tables_have_their_users_rows_after_every_way() -> Result<()> {
    let extended = Extended::of(&postgres::programs()?)?;
    let programs = Some(extended.programs.clone());
    let original =
        Original::on(Postgres::with(Options { programs, ..Options::default() })?, |server| {
            server.psql("postgres", &format!("create database {DATABASE}"))?;
            server.psql(DATABASE, CONTENTS).map(drop)
        })?;
    assert!(
        original.wanted.contains(&format!("CREATE EXTENSION IF NOT EXISTS {}", extension::NAME))
    );
    original.goes_every_way()
}
