with recursive
reads (mv, rel) as (
    select r.ev_class, d.refobjid
    from pg_class m join pg_rewrite r on r.ev_class = m.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    where m.relkind = 'm'
  union
    select mv, d.refobjid
    from reads join pg_class v on v.oid = rel and v.relkind = 'v' join pg_rewrite r on r.ev_class = v.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
),
calls (classid, objid, objsubid, proc) as (
    select classid, objid, objsubid, refobjid from pg_depend where refclassid = 'pg_proc'::regclass and refobjid >= 16384
  union
    select d.classid, d.objid, d.objsubid, o.oprcode from pg_depend d join pg_operator o on o.oid = d.refobjid
    where d.refclassid = 'pg_operator'::regclass and d.refobjid >= 16384
),
-- What a load evaluates. A policy counts where a materialized view reads its table.
site (proc, what) as (
    select proc, format('generated column %s.%I', adrelid::regclass, attname)
    from calls join pg_attrdef d on d.oid = objid join pg_attribute a on a.attrelid = adrelid and a.attnum = adnum
    where classid = 'pg_attrdef'::regclass and attgenerated = 's'
  union
    -- Before PostgreSQL 15 the column itself depends on the function.
    select proc, format('generated column %s.%I', attrelid::regclass, attname)
    from calls join pg_attribute on attrelid = objid and attnum = objsubid
    where classid = 'pg_class'::regclass and objsubid > 0 and attgenerated = 's'
  union
    select proc, case conrelid when 0 then format('domain %s', contypid::regtype)
      else format('check %I of table %s', conname, conrelid::regclass) end
    from calls join pg_constraint c on c.oid = objid where classid = 'pg_constraint'::regclass and contype = 'c'
  union
    select proc, format(case relkind when 'p' then 'partition key of %s' else 'index %s' end, objid::regclass)
    from calls join pg_class c on c.oid = objid where classid = 'pg_class'::regclass and relkind in ('i', 'I', 'p')
  union
    select proc, format('materialized view %s', mv::regclass)
    from (select mv, rel from reads union select mv, mv from reads) as s
      join pg_class c on c.oid = rel and c.relkind in ('m', 'v') join pg_rewrite r on r.ev_class = rel
      join calls on classid = 'pg_rewrite'::regclass and objid = r.oid
  union
    select proc, format('policy %I of table %s', polname, polrelid::regclass)
    from calls join pg_policy p on p.oid = objid
    where classid = 'pg_policy'::regclass and polrelid in (select rel from reads)
),
-- The functions that each of these reaches by names with a schema, or by what PostgreSQL itself has
-- parsed, as long as none has a search_path of its own; of each the names and operators in its text,
-- dotted names whole, with what stands before and behind them, and one function that it calls.
reach (root, oid, names, callee) as (
    select distinct proc, 0::oid, null::jsonb, proc from site
  union
    select root, p.oid, t.names, c.callee
    from reach join pg_proc p on p.oid = reach.callee join pg_language l on l.oid = p.prolang
      left join lateral (
        select jsonb_agg(distinct case when m[4] is null then jsonb_build_array(lower(m[1]), m[2], btrim(m[3]))
          else jsonb_build_array('operator', m[4], null) end) as names
        from regexp_matches(
          regexp_replace(left(prosrc, 20000), '--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/|''(?:[^'']|'''')*''', ' ', 'g'),
          '((?:\m(?:from|join|only|as)\s+|::\s*|(?:\mdeclare|;)\s*[[:alpha:]_][[:alnum:]_]*\s+)?)(?<![[:alnum:]_$.])'
          '((?:"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*))*)'
          '(\s*[(%)])?|([-+*/<>=~!@#%^&|`?]+)', 'gi') as m
        where to_jsonb(p) ->> 'prosqlbody' is null and lanname not in ('c', 'internal')) as t on true
      left join lateral (
        select d.refobjid from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid
          and d.refclassid = 'pg_proc'::regclass and d.refobjid >= 16384
      union
        select f.oid from jsonb_array_elements(t.names) as n,
          lateral (select case n ->> 2 when '(' then parse_ident(n ->> 1, false) end) as x (part),
          pg_proc f join pg_namespace s on s.oid = f.pronamespace
        where cardinality(part) = 2 and f.proname = part[2] and s.nspname = part[1]
          and f.oid >= 16384) as c (callee) on true
    where not exists (select from unnest(proconfig) as setting where setting ilike 'search\_path=%')
),
-- Names without a schema that are found in a schema, and not in pg_catalog.
used (root, oid, name, place) as (
    select distinct root, oid, case before when 'operator' then 'operator ' || part[1] else quote_ident(part[1]) end, case
        when before = 'operator' then (select min(nspname) from pg_operator o join pg_namespace s on s.oid = oprnamespace
            where oprname = part[1] and nspname !~ '^pg_' and nspname <> 'information_schema'
              and not exists (select from pg_operator where oprname = part[1] and oprnamespace = 'pg_catalog'::regnamespace))
        when behind = '(' then (select min(nspname) from pg_proc f join pg_namespace s on s.oid = pronamespace
            where proname = part[1] and nspname !~ '^pg_' and nspname <> 'information_schema'
              and not exists (select from pg_proc where proname = part[1] and pronamespace = 'pg_catalog'::regnamespace))
        when before ~ '^(from|join|only)' or behind = '%' then (select min(nspname)
            from pg_class c join pg_namespace s on s.oid = relnamespace
            where relname = part[1] and nspname !~ '^pg_' and nspname <> 'information_schema'
              and relkind in ('r', 'p', 'v', 'm', 'f')
              and not exists (select from pg_class where relname = part[1] and relnamespace = 'pg_catalog'::regnamespace))
        when before ~ '^::' or before ~ '^as' and behind = ')' or before ~ '^(declare|;)' and before !~
          '\m(return|perform|raise|if|elsif|select|insert|update|delete|execute|begin|end|when|else|loop|for|while|exit|continue|get|open|close|fetch|call|assert)\M'
          then (select min(nspname) from pg_type y join pg_namespace s on s.oid = typnamespace
            where typname = part[1] and nspname !~ '^pg_' and nspname <> 'information_schema'
              and not exists (select from pg_type where typname = part[1] and typnamespace = 'pg_catalog'::regnamespace)) end
    from reach, jsonb_array_elements(names) as n,
      lateral (select n ->> 0, n ->> 2, case n ->> 0 when 'operator' then array[n ->> 1]
        else parse_ident(n ->> 1, false) end) as x (before, behind, part)
    where cardinality(part) = 1
),
line (text) as (
    select distinct on (what) format('%s calls %s%s, whose body uses %s without its schema: the empty search_path of a load '
          'does not find it (pg-snap load then uses that of the database, psql alone fails); %s', what, root::regprocedure,
        case when root <> used.oid then format(', and that %s', used.oid::regprocedure) end, name,
        coalesce((select format('ALTER EXTENSION %I UPDATE;', extname) from pg_depend d join pg_extension e on e.oid = refobjid
            where d.classid = 'pg_proc'::regclass and objid = used.oid and deptype = 'e'),
          format('ALTER FUNCTION %s SET search_path = %I, pg_temp;', used.oid::regprocedure, place)))
    from used join site on proc = root where place is not null
    order by what, root <> used.oid, root, used.oid, name
)
-- Where a byte is a character, what it means is not known.
select json_build_array('calls that need a search_path',
    case getdatabaseencoding() when 'SQL_ASCII' then regexp_replace(text, '[^ -~]', '?', 'g') else text end,
    count(*) over ())
from line order by text limit 10;
