-- The server's free memory in megabytes: of the host, or of its container, whose limits only its own files show.
SELECT least(
    substring(pg_catalog.pg_read_file('/proc/meminfo') from 'MemAvailable: +([0-9]+)')::numeric * 1024,
    nullif(btrim(pg_catalog.pg_read_file('/sys/fs/cgroup/memory.max', 0, 32, true), E'\n'), 'max')::numeric,
    btrim(pg_catalog.pg_read_file('/sys/fs/cgroup/memory/memory.limit_in_bytes', 0, 32, true), E'\n')::numeric
  )::bigint / 1048576
