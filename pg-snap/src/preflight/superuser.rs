//! How to find out whether a role may create what PostgreSQL lets only a superuser create: a provider of
//! servers may allow some of it, and a major may require less than one before it.

use crate::database_state::{SuperuserKind, SuperuserObject};

/// What an object is, for a message, and statements that create one of its kind; none for a kind that a newer
/// version knows. Where they need a right on the database that the attempt is made in and fail without it,
/// only the roles with that right are told apart from a superuser.
pub fn attempt(object: &SuperuserObject) -> Option<(String, &'static str)> {
    let name = &object.name;
    Some(match object.kind {
        SuperuserKind::PublicationOfAllTables => (
            format!("publication {name} of all tables"),
            "CREATE PUBLICATION pg_snap_probe FOR ALL TABLES;",
        ),
        SuperuserKind::PublicationOfSchema => (
            format!("publication {name} of a whole schema"),
            "CREATE SCHEMA pg_snap_probe\\; CREATE PUBLICATION pg_snap_probe FOR TABLES IN SCHEMA pg_snap_probe;",
        ),
        // Since PostgreSQL 16, a role may be given this right; the right on the database it has in its own. The
        // password is one that no server is asked for.
        SuperuserKind::Subscription => (
            format!("subscription {name}"),
            "DO $$ BEGIN \
             IF coalesce(pg_has_role(to_regrole('pg_create_subscription'), 'USAGE'), false) THEN RETURN; END IF; \
             CREATE SUBSCRIPTION pg_snap_probe CONNECTION 'dbname=x password=x' PUBLICATION x \
             WITH (connect = false, slot_name = NONE); END $$;",
        ),
        SuperuserKind::OperatorFamily => (
            format!("operator family {name}"),
            "CREATE OPERATOR FAMILY pg_temp.pg_snap_probe USING btree;",
        ),
        SuperuserKind::OperatorClass => (
            format!("operator class {name}"),
            "CREATE OPERATOR CLASS pg_temp.pg_snap_probe FOR TYPE int4 USING btree AS FUNCTION 1 btint4cmp(int4, int4);",
        ),
        SuperuserKind::CastWithoutFunction => (
            format!("cast {name} without a function"),
            "CREATE TYPE pg_temp.pg_snap_probe AS RANGE (subtype = int4)\\; \
             CREATE CAST (pg_temp.pg_snap_probe AS int4range) WITHOUT FUNCTION;",
        ),
        SuperuserKind::CastOfServerTypes => (
            format!("cast {name} between types of the server"),
            "CREATE CAST (point AS bool) WITH INOUT;",
        ),
        SuperuserKind::InternalFunction => (
            format!("function {name} in language internal"),
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS timestamptz LANGUAGE internal AS 'now';",
        ),
        SuperuserKind::LeakproofFunction => (
            format!("leakproof function {name}"),
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS int4 LANGUAGE sql LEAKPROOF AS 'SELECT 1';",
        ),
        SuperuserKind::FunctionWithSupport => (
            format!("function {name} with a support function"),
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS int4 LANGUAGE sql \
             SUPPORT generate_series_int4_support AS 'SELECT 1';",
        ),
        SuperuserKind::InternalAggregate => (
            format!("aggregate {name} with an internal state"),
            "CREATE AGGREGATE pg_temp.pg_snap_probe (numeric) \
             (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg);",
        ),
        SuperuserKind::BaseType => {
            (format!("base type {name}"), "CREATE TYPE pg_temp.pg_snap_probe;")
        }
        SuperuserKind::TextSearchParser => (
            format!("text search parser {name}"),
            "CREATE TEXT SEARCH PARSER pg_temp.pg_snap_probe \
             (start = prsd_start, gettoken = prsd_nexttoken, \"end\" = prsd_end, lextypes = prsd_lextype);",
        ),
        SuperuserKind::TextSearchTemplate => (
            format!("text search template {name}"),
            "CREATE TEXT SEARCH TEMPLATE pg_temp.pg_snap_probe (lexize = dsimple_lexize);",
        ),
        SuperuserKind::AccessMethod => (
            format!("access method {name}"),
            "CREATE ACCESS METHOD pg_snap_probe TYPE INDEX HANDLER bthandler;",
        ),
        SuperuserKind::Language => (
            format!("language {name}"),
            "CREATE LANGUAGE pg_snap_probe HANDLER plpgsql_call_handler;",
        ),
        SuperuserKind::Unknown => return None,
    })
}
