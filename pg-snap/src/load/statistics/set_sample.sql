SELECT pg_catalog.set_config('default_statistics_target',
  greatest(1, pg_catalog.current_setting('default_statistics_target')::int / 10)::text, false)
WHERE pg_catalog.current_setting('autovacuum')::bool;
