//! Functions that look at another table than the one they are called for: PostgreSQL does not see
//! that, and a load must not come upon it in an order that `pg_dump | psql` would not.

use crate::original::{DATABASE, Original};
use anyhow::{Result, ensure};

const CONTENTS: &str = "
    create table public.a_rates (code text primary key, rate numeric);
    insert into a_rates select 'c' || n, n from generate_series(1, 20) n;
    create function public.rate_of(code text) returns numeric language sql immutable
      as $$ select rate from public.a_rates r where r.code = $1 $$;
    -- Each of these is much larger than what it looks at.
    create table public.b_checked (code text check (public.rate_of(code) is not null));
    create table public.b_computed (code text, rate numeric generated always as (public.rate_of(code)) stored);
    create table public.b_indexed (id integer, code text);
    insert into b_checked select 'c' || 1 + n % 20 from generate_series(1, 5000) n;
    insert into b_computed select 'c' || 1 + n % 20 from generate_series(1, 5000) n;
    insert into b_indexed select n, 'c' || 1 + n % 20 from generate_series(1, 5000) n;
    create index by_rate on b_indexed (public.rate_of(code))";

const BY_INDEX: &str = "set enable_seqscan = off; set enable_bitmapscan = off;
    select count(*) from b_indexed where public.rate_of(code) = 7";

#[test]
fn an_index_by_a_function_that_looks_at_another_table_finds_its_rows() -> Result<()> {
    let original = Original::new(|server| {
        server.psql("postgres", &format!("create database {DATABASE}"))?;
        let indexed = CONTENTS.replace(" check (public.rate_of(code) is not null)", "");
        let computed = " generated always as (public.rate_of(code)) stored";
        server.psql(DATABASE, &indexed.replace(computed, "")).map(drop)
    })?;
    let plan = original.server.psql(DATABASE, &BY_INDEX.replace("select", "explain select"))?;
    ensure!(plan.contains("by_rate"), "{plan}");
    let file = original.dump(&["--jobs", "4"])?;
    for file in [&file, &original.plain] {
        for piped in [false, true] {
            original.ensure_loads(file, &["--jobs", "4"], piped, "an index")?;
            let found = original.server.psql("copy", BY_INDEX)?;
            ensure!(found == "250", "the index finds {found}, piped: {piped}");
        }
    }
    Ok(())
}

#[test]
fn a_check_or_a_column_by_a_function_that_looks_at_another_table_loads_as_by_psql() -> Result<()> {
    let original = Original::new(|server| {
        server.psql("postgres", &format!("create database {DATABASE}"))?;
        server.psql(DATABASE, CONTENTS).map(drop)
    })?;
    original.goes_every_way()?;
    // What is computed is not in a dump.
    for database in [DATABASE, "by_psql", "unpacked", "copy"] {
        let lost = "select count(*) from b_computed where rate is null";
        let lost = original.server.psql(database, lost)?;
        ensure!(lost == "0", "{database}: {lost} values are lost");
    }
    Ok(())
}
