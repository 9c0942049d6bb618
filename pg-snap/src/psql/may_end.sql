(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR
(NOT (SELECT rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = usesysid) AND
 (pg_catalog.pg_has_role(usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))
