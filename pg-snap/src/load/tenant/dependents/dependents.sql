-- What outside a schema depends on what is inside it. A rule of a view is listed as the view.
SET search_path = '';
WITH s AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = :'schema'),
inside (class, object) AS MATERIALIZED (
  SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, oid FROM s
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_class o JOIN s ON o.relnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_type o JOIN s ON o.typnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_proc o JOIN s ON o.pronamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_operator o JOIN s ON o.oprnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_opclass o JOIN s ON o.opcnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_opfamily o JOIN s ON o.opfnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_collation o JOIN s ON o.collnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_conversion o JOIN s ON o.connamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_constraint o JOIN s ON o.connamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_statistic_ext o JOIN s ON o.stxnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_config o JOIN s ON o.cfgnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_dict o JOIN s ON o.dictnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_default_acl'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_default_acl o JOIN s ON o.defaclnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_trigger o JOIN pg_catalog.pg_class x ON x.oid = o.tgrelid JOIN s ON x.relnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_rewrite o JOIN pg_catalog.pg_class x ON x.oid = o.ev_class JOIN s ON x.relnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_class x ON x.oid = o.polrelid JOIN s ON x.relnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_attrdef o JOIN pg_catalog.pg_class x ON x.oid = o.adrelid JOIN s ON x.relnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_amop'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_amop o JOIN pg_catalog.pg_opfamily x ON x.oid = o.amopfamily JOIN s ON x.opfnamespace = s.oid
  UNION ALL SELECT 'pg_catalog.pg_amproc'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_amproc o JOIN pg_catalog.pg_opfamily x ON x.oid = o.amprocfamily JOIN s ON x.opfnamespace = s.oid),
outside AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid
  FROM pg_catalog.pg_depend d JOIN inside i ON i.class = d.refclassid AND i.object = d.refobjid
  LEFT JOIN inside own ON own.class = d.classid AND own.object = d.objid
  -- What depends internally is a part of what is inside, such as the cast of a range to its multirange.
  WHERE own.object IS NULL AND d.deptype NOT IN ('P', 'S', 'i')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
      WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid AND t.tgisinternal)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
        AND c.relnamespace = 'pg_toast'::pg_catalog.regnamespace)),
named AS (
  SELECT coalesce(r.class, o.classid) AS class, coalesce(r.object, o.objid) AS object,
    CASE WHEN k.relkind IN ('v', 'm') THEN 0 ELSE o.objsubid END AS part
  FROM outside o LEFT JOIN pg_catalog.pg_class k
    ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND k.oid = o.objid LEFT JOIN LATERAL (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class, ev_class AS object FROM pg_catalog.pg_rewrite
    WHERE o.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND oid = o.objid) r ON true),
lines AS (
  SELECT DISTINCT i.type || ' ' || i.identity AS line
  FROM named, LATERAL pg_catalog.pg_identify_object(class, object, part) i
  UNION
  SELECT 'table ' || p.identity || ', of which ' || c.identity || ' is a part'
  FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class k ON k.oid = h.inhrelid JOIN s ON k.relnamespace = s.oid
  JOIN pg_catalog.pg_class e ON e.oid = h.inhparent AND e.relnamespace <> s.oid AND e.relkind IN ('r', 'p', 'f'),
  LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, h.inhparent, 0) p,
  LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, h.inhrelid, 0) c
  UNION
  SELECT 'subscription ' || pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription_rel
  JOIN pg_catalog.pg_class k ON k.oid = srrelid JOIN s ON k.relnamespace = s.oid
  JOIN pg_catalog.pg_subscription u ON u.oid = srsubid)
SELECT coalesce(pg_catalog.json_agg(line ORDER BY line), '[]') FROM lines
