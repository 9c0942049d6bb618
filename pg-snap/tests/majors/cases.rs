//! What products do with extensions.

/// A use of an extension.
#[derive(Debug)]
pub struct Case {
    /// What to `CREATE EXTENSION` by.
    pub name: &'static str,
    /// Makes the extension, and tables with rows and indexes.
    pub make: &'static str,
    /// Reads rows, by an index where there is a choice.
    pub ask: &'static str,
}

/// It needs a server of its own.
pub const CRON: &str = "pg_cron";
/// Debian has no package of these.
pub const ABSENT: [&str; 1] = ["timescaledb"];

pub const CASES: [Case; 12] = [
    Case {
        name: "hstore",
        make: r#"create extension hstore;
            create table of_hstore (id integer primary key, v hstore not null);
            insert into of_hstore select n, hstore(array['key', 'odd "=>" ' || n % 7],
              array[n::text, case when n % 5 > 0 then E'a\\b\n"' end]) from generate_series(1, 300) n;
            create index on of_hstore using gin (v)"#,
        ask: r#"select count(*), count(v -> 'odd "=>" 3'), md5(string_agg(v::text, ',' order by id))
            from of_hstore where v ? 'odd "=>" 3'"#,
    },
    Case {
        name: "citext",
        make: "create extension citext;
            create table of_citext (v citext primary key, check (v <> 'NOBODY'));
            insert into of_citext select 'Name ' || n from generate_series(1, 100) n",
        ask: "select v, (select count(*) from of_citext) from of_citext where v = 'NAME 7'",
    },
    Case {
        name: "pg_trgm",
        make: "create extension pg_trgm;
            create table of_trgm (v text);
            insert into of_trgm select md5(n::text) from generate_series(1, 500) n;
            create index on of_trgm using gin (v gin_trgm_ops);
            create index on of_trgm using gist (v gist_trgm_ops)",
        ask: "select v from of_trgm where v like '%a77%' order by v <-> 'a77a77', v",
    },
    Case {
        name: "ltree",
        make: "create extension ltree;
            create table of_ltree (v ltree primary key, l lquery, t ltxtquery);
            insert into of_ltree select ('top.n' || n % 7 || '.l' || n)::ltree, '*.n3.*', 'top & !n4'
              from generate_series(1, 200) n;
            create index on of_ltree using gist (v)",
        ask: "select count(*), min(v::text), count(*) filter (where v @ t)
            from of_ltree where v <@ 'top.n3' and v ~ l",
    },
    Case {
        name: "unaccent",
        make: "create extension unaccent;
            create text search configuration plain (copy = simple);
            alter text search configuration plain alter mapping for hword, hword_part, word with unaccent, simple;
            create function bare(text) returns text language sql immutable strict
              as $$ select public.unaccent('public.unaccent', $1) $$;
            create table of_unaccent (v text, w tsvector generated always as (to_tsvector('public.plain', v)) stored);
            insert into of_unaccent (v) select 'Café Ørsted ' || n from generate_series(1, 100) n;
            create index on of_unaccent (bare(v));
            create index on of_unaccent using gin (w)",
        ask: "select v, w from of_unaccent where bare(v) = 'Cafe Orsted 7';
            select count(*) from of_unaccent where w @@ to_tsquery('public.plain', 'cafe')",
    },
    Case {
        name: "pg_stat_statements",
        make: "create extension pg_stat_statements;
            create view statements as select queryid, query, calls from pg_stat_statements",
        ask: "select count(*) from information_schema.columns where table_name = 'statements'",
    },
    Case {
        name: "btree_gist",
        make: "create extension btree_gist;
            create table of_gist (room integer, during tsrange, exclude using gist (room with =, during with &&));
            insert into of_gist select n % 9, tsrange(d, d + interval '1 hour')
              from generate_series(1, 90) n, lateral (select timestamp '2026-01-01' + n * interval '2 hours' as d) t",
        ask: "select count(*) from of_gist where room = 3 and during && '[2026-01-01, 2026-01-05)'",
    },
    Case {
        name: "pgcrypto",
        make: "create extension pgcrypto;
            create table of_crypto (n integer, v bytea, check (v = digest(n::text, 'sha256')));
            insert into of_crypto select n, digest(n::text, 'sha256') from generate_series(1, 100) n;
            create index on of_crypto (digest(n::text, 'sha256'))",
        ask: "select n from of_crypto where digest(n::text, 'sha256') = digest('7', 'sha256')",
    },
    Case {
        name: "uuid-ossp",
        make: "create extension \"uuid-ossp\";
            create table of_uuid (v uuid primary key default uuid_generate_v4(), n integer);
            insert into of_uuid select uuid_generate_v5(uuid_ns_url(), n::text), n from generate_series(1, 100) n",
        ask: "select n from of_uuid where v = uuid_generate_v5(uuid_ns_url(), '7')",
    },
    Case {
        name: "vector",
        make: "create extension vector;
            create table of_vector (n integer primary key, v vector(3) not null);
            insert into of_vector select n, array[n, sin(n), 1.0 / n]::vector from generate_series(1, 400) n;
            create index on of_vector using ivfflat (v vector_l2_ops) with (lists = 4)",
        ask: "set ivfflat.probes to 4; select n, v from of_vector order by v <-> '[17, 0, 0]' limit 5",
    },
    Case {
        name: "pg_partman",
        make: "create schema partman; create extension pg_partman schema partman;
            create table of_partman (at timestamptz not null, v integer) partition by range (at);
            create index on of_partman (at);
            select partman.create_parent('public.of_partman', 'at', 'native', 'daily') \\g /dev/null
            insert into of_partman select now() + n * interval '1 hour', n from generate_series(0, 48) n",
        ask: "select count(*), sum(v) from of_partman;
            select parent_table, partition_interval, premake, template_table from partman.part_config;
            select count(*) from pg_inherits where inhparent = 'of_partman'::regclass",
    },
    Case {
        name: "postgis",
        make: "create extension postgis;
            create table of_postgis (n integer primary key, g geometry(point, 4326), p geography(point));
            insert into of_postgis select n, st_setsrid(st_makepoint(n % 90, n % 45), 4326),
              st_makepoint(n % 90, n % 45) from generate_series(1, 500) n;
            create index on of_postgis using gist (g);
            create index on of_postgis using gist (p);
            insert into spatial_ref_sys (srid, auth_name, auth_srid, proj4text) values (990001, 'own', 990001, '+proj=longlat')",
        ask: "select n, st_asewkt(g) from of_postgis where st_dwithin(g, st_setsrid(st_makepoint(7, 7), 4326), 1) order by n;
            select count(*) from of_postgis where st_dwithin(p, st_makepoint(7, 7)::geography, 200000);
            select srid, proj4text from spatial_ref_sys where srid in (990001, 4326) order by srid",
    },
];
