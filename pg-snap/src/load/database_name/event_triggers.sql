SELECT pg_catalog.json_build_array(
  coalesce(pg_catalog.string_agg(pg_catalog.format('ALTER EVENT TRIGGER %I DISABLE;', evtname) || E'\n', ''), ''),
  coalesce(pg_catalog.string_agg(pg_catalog.format('ALTER EVENT TRIGGER %I ENABLE%s;', evtname,
    CASE evtenabled WHEN 'R' THEN ' REPLICA' WHEN 'A' THEN ' ALWAYS' ELSE '' END) || E'\n', ''), ''))
FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'
