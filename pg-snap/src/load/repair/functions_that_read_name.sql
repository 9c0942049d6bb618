-- Whether any of these functions reads the name of the database.
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE (n.nspname, p.proname) IN (/*called*/)
    AND CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) ~* :'name_in_body' END)
