-- Tables for which the planner of any query evaluates functions in an index or in extended statistics: under another
-- search path than their own, these may find no names. Those in C find theirs.
planned (relid) as materialized (
  select u.relid
  from (
      select 'pg_catalog.pg_class'::pg_catalog.regclass, indexrelid, indrelid from pg_catalog.pg_index
      where indexprs is not null or indpred is not null
      union all
      select 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxrelid from pg_catalog.pg_statistic_ext)
      as u (classid, objid, relid)
    join pg_catalog.pg_depend d on d.classid = u.classid and d.objid = u.objid
    left join pg_catalog.pg_operator o
      on refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and o.oid = refobjid
    left join pg_catalog.pg_proc p on p.oid = oprcode
      or refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and p.oid = refobjid
    left join pg_catalog.pg_language l on l.oid = prolang
    -- Its checks may call functions.
    left join pg_catalog.pg_type t
      on refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid = refobjid and typtype = 'd'
  where refobjid >= 16384 and (lanname not in ('c', 'internal') or t.oid is not null)),
