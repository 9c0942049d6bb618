//! How to find out whether a role may create what PostgreSQL lets only a superuser create: a provider of
//! servers may allow some of it, and a major may require less than one before it.

use crate::database_state::{SuperuserKind, SuperuserObject};

/// What an object is, for a message.
pub fn description(SuperuserObject { kind, name }: &SuperuserObject) -> String {
    match kind {
        SuperuserKind::PublicationOfAllTables => format!("publication {name} of all tables"),
        SuperuserKind::PublicationOfSchema => format!("publication {name} of a whole schema"),
        SuperuserKind::Subscription => format!("subscription {name}"),
        SuperuserKind::OperatorFamily => format!("operator family {name}"),
        SuperuserKind::OperatorClass => format!("operator class {name}"),
        SuperuserKind::CastWithoutFunction => format!("cast {name} without a function"),
        SuperuserKind::CastOfServerTypes => format!("cast {name} between types of the server"),
        SuperuserKind::InternalFunction => format!("function {name} in language internal"),
        SuperuserKind::LeakproofFunction => format!("leakproof function {name}"),
        SuperuserKind::FunctionWithSupport => format!("function {name} with a support function"),
        SuperuserKind::InternalAggregate => format!("aggregate {name} with an internal state"),
        SuperuserKind::BaseType => format!("base type {name}"),
        SuperuserKind::TextSearchParser => format!("text search parser {name}"),
        SuperuserKind::TextSearchTemplate => format!("text search template {name}"),
        SuperuserKind::AccessMethod => format!("access method {name}"),
        SuperuserKind::Language => format!("language {name}"),
        SuperuserKind::Unknown => name.clone(),
    }
}

/// Statements that create an object of a kind; none for a kind that a newer version knows. Where they need a
/// right on the database that the attempt is made in and fail without it, only the roles with that right are
/// distinguished from a superuser.
pub fn attempt(kind: SuperuserKind) -> Option<&'static str> {
    Some(match kind {
        SuperuserKind::PublicationOfAllTables => "CREATE PUBLICATION pg_snap_probe FOR ALL TABLES;",
        SuperuserKind::PublicationOfSchema => {
            "CREATE SCHEMA pg_snap_probe\\; CREATE PUBLICATION pg_snap_probe FOR TABLES IN SCHEMA pg_snap_probe;"
        }
        // Since PostgreSQL 16, a role may be given this right; the right on the database it has in its own. The
        // password is one that no server is asked for.
        SuperuserKind::Subscription => {
            "DO $$ BEGIN \
             IF coalesce(pg_has_role(to_regrole('pg_create_subscription'), 'USAGE'), false) THEN RETURN; END IF; \
             CREATE SUBSCRIPTION pg_snap_probe CONNECTION 'dbname=x password=x' PUBLICATION x \
             WITH (connect = false, slot_name = NONE); END $$;"
        }
        SuperuserKind::OperatorFamily => {
            "CREATE OPERATOR FAMILY pg_temp.pg_snap_probe USING btree;"
        }
        SuperuserKind::OperatorClass => {
            "CREATE OPERATOR CLASS pg_temp.pg_snap_probe FOR TYPE int4 USING btree AS FUNCTION 1 btint4cmp(int4, int4);"
        }
        SuperuserKind::CastWithoutFunction => {
            "CREATE TYPE pg_temp.pg_snap_probe AS RANGE (subtype = int4)\\; \
             CREATE CAST (pg_temp.pg_snap_probe AS int4range) WITHOUT FUNCTION;"
        }
        SuperuserKind::CastOfServerTypes => "CREATE CAST (point AS bool) WITH INOUT;",
        SuperuserKind::InternalFunction => {
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS timestamptz LANGUAGE internal AS 'now';"
        }
        SuperuserKind::LeakproofFunction => {
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS int4 LANGUAGE sql LEAKPROOF AS 'SELECT 1';"
        }
        SuperuserKind::FunctionWithSupport => {
            "CREATE FUNCTION pg_temp.pg_snap_probe() RETURNS int4 LANGUAGE sql \
             SUPPORT generate_series_int4_support AS 'SELECT 1';"
        }
        SuperuserKind::InternalAggregate => {
            "CREATE AGGREGATE pg_temp.pg_snap_probe (numeric) \
             (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_avg);"
        }
        SuperuserKind::BaseType => "CREATE TYPE pg_temp.pg_snap_probe;",
        SuperuserKind::TextSearchParser => {
            "CREATE TEXT SEARCH PARSER pg_temp.pg_snap_probe \
             (start = prsd_start, gettoken = prsd_nexttoken, \"end\" = prsd_end, lextypes = prsd_lextype);"
        }
        SuperuserKind::TextSearchTemplate => {
            "CREATE TEXT SEARCH TEMPLATE pg_temp.pg_snap_probe (lexize = dsimple_lexize);"
        }
        SuperuserKind::AccessMethod => {
            "CREATE ACCESS METHOD pg_snap_probe TYPE INDEX HANDLER bthandler;"
        }
        SuperuserKind::Language => "CREATE LANGUAGE pg_snap_probe HANDLER plpgsql_call_handler;",
        SuperuserKind::Unknown => return None,
    })
}
