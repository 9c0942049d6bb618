//! Which database to connect to. No particular one can be expected: a role may be allowed into its own only.

use crate::client::Clients;
use crate::database_names::{DatabaseNames, is_beside};
use crate::psql::{Server, sqlstate_of};
use crate::server_error::OBJECT_IN_USE;
use crate::sql::{ident, literal};
use crate::version::Version;
use anyhow::{Context, Error, Result};
use pipe_kit::cleanup::{self, Guard};
use pipe_kit::{Stop, warning};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Stdio;

/// Databases that every server has, unless they were dropped.
const USUAL: [&str; 2] = ["postgres", "template1"];
/// How many of a server's other databases are tried.
const TRIES: usize = 8;
/// A parameter without meaning. A session that shows its value is the one that was opened with it.
const TOKEN: &str = "pg_snap.connection";

/// Why a connection to a database failed.
struct Refusal {
    error: Error,
    /// Whether the server answers at all, so that another database may accept the connection.
    is_up: bool,
}

impl Server {
    /// Connects to a database itself. If it does not exist, connects to another one, where that shows.
    ///
    /// # Errors
    /// [`Stop::refused`] if there is a connection pooler in front of the server.
    pub fn connect(clients: &Clients, database: &str) -> Result<Self> {
        let finder = Finder::new(clients)?;
        let refusal = match finder.try_database(database)? {
            Ok(server) => return Ok(server),
            Err(refusal) => refusal,
        };
        if refusal.is_up {
            let helper = DatabaseNames::of(database.to_owned()).helper;
            for name in USUAL.into_iter().chain([&*helper]).filter(|name| *name != database) {
                if let Ok(server) = finder.try_database(name)? {
                    return match server.has_database(database)? {
                        true => Err(refusal.error),
                        false => Ok(server),
                    };
                }
            }
        }
        Err(refusal.error)
    }

    /// Connects for queries about a database: to another one if any accepts the connection, else to itself.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub fn connect_beside(clients: &Clients, database: &str) -> Result<Self> {
        Finder::new(clients)?.beside(database)
    }

    /// Connects to another database, for statements that a database does not allow from its own sessions. If
    /// none accepts the connection, one is created, and dropped with the guard.
    ///
    /// # Errors
    /// As [`Server::connect`]; [`Stop::refused`] if there is none, with what to grant.
    pub fn connect_outside(clients: &Clients, database: &str) -> Result<(Self, Option<Guard>)> {
        let finder = Finder::new(clients)?;
        let server = finder.beside(database)?;
        let helper = DatabaseNames::of(database.to_owned()).helper;
        if server.maintenance == helper {
            let inside = Self::new(server.psql().clone(), server.version, database);
            return Ok((server, Some(dropping(inside, helper))));
        }
        if server.maintenance != database {
            return Ok((server, None));
        }
        finder.make_helper(&server, &helper)
    }

    /// Why no load can replace the database over the connection of [`Server::connect_beside`]; none if one
    /// can.
    pub fn shut_in(&self, database: &str) -> Result<Option<String>> {
        if self.maintenance != database || self.may_create_databases()? {
            return Ok(None);
        }
        self.closed(database).map(Some)
    }

    fn may_create_databases(&self) -> Result<bool> {
        const ASK: &str =
            "SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user";
        Ok(self.query(&self.maintenance, ASK)?.trim() == "t")
    }

    fn closed(&self, database: &str) -> Result<String> {
        let me = self.query(&self.maintenance, "SELECT current_user")?;
        let me = me.trim_end_matches('\n');
        Ok(format!(
            "role {me} can connect to no database of the server but {database}, which cannot be replaced \
             from within; as a superuser: GRANT CONNECT ON DATABASE postgres TO {}; and in \
             pg_hba.conf, admit it to postgres, {database} and {}",
            ident(me),
            DatabaseNames::of(database.to_owned()).incoming
        ))
    }
}

/// Finds a database that accepts the connection.
struct Finder {
    server: Server,
}

impl Finder {
    fn new(clients: &Clients) -> Result<Self> {
        Ok(Self { server: Server::new(clients.psql()?, Version { major: 0, minor: 0 }, "") })
    }

    /// Connects to a database, or returns why that failed.
    fn try_database(&self, database: &str) -> Result<Result<Server, Refusal>> {
        let token = format!("{:016x}", RandomState::new().build_hasher().finish());
        let ask = format!(
            "\\echo :VERSION_NUM\n\
             SELECT pg_catalog.current_setting('server_version_num'), \
             pg_catalog.current_setting('{TOKEN}', true) IS NOT DISTINCT FROM {}",
            literal(&token)
        );
        let options = format!("-c {TOKEN}={token}");
        let ask_with_options = || self.server.query_with(database, Some(&options), &ask);
        let answer = match ask_with_options() {
            Ok(answer) => answer,
            Err(error) if !self.is_up(database) => {
                return Ok(Err(Refusal { error, is_up: false }));
            }
            // A pooler may refuse a connection with options. A server that failed once does not.
            Err(error) => match self.server.query_with(database, None, &ask) {
                Ok(without_options) => ask_with_options().unwrap_or(without_options),
                Err(_) => return Ok(Err(Refusal { error, is_up: true })),
            },
        };
        let (psql, server) = answer.trim().split_once('\n').unwrap_or_default();
        let (server, is_ours) = server.split_once('|').unwrap_or_default();
        let version = |number: &str| {
            let number = number.parse().with_context(|| format!("versions '{answer}'"))?;
            Ok::<_, Error>(Version::from_number(number))
        };
        let (psql, server) = (version(psql)?, version(server)?);
        if is_ours != "t" {
            return Err(pooled().into());
        }
        let psql = self.server.psql().clone().of_version(psql);
        Ok(Ok(Server::new(psql, server, database)))
    }

    /// Whether a server answers, or may answer if that is unknown.
    fn is_up(&self, database: &str) -> bool {
        let mut command = self.server.psql().sibling("pg_isready").command();
        command.args(["-q", "-t", "5", "-d", &self.server.target(database)]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // 1: it takes no sessions now; 2: no answer.
        !command.status().is_ok_and(|status| matches!(status.code(), Some(1 | 2)))
    }

    fn beside(&self, database: &str) -> Result<Server> {
        let names = DatabaseNames::of(database.to_owned());
        let mut first = None;
        let usual = USUAL.into_iter().filter(|name| *name != database);
        for name in usual.chain([names.helper.as_str()]) {
            match self.try_database(name)? {
                Ok(server) => return Ok(server),
                Err(refusal) if !refusal.is_up => return Err(refusal.error),
                Err(refusal) => first = first.or(Some(refusal.error)),
            }
        }
        let own = match self.try_database(database)? {
            Ok(own) => own,
            Err(refusal) => return Err(first.unwrap_or(refusal.error)),
        };
        for name in others(&own, &names)? {
            if let Ok(server) = self.try_database(&name)? {
                return Ok(server);
            }
        }
        Ok(own)
    }

    fn make_helper(&self, own: &Server, helper: &str) -> Result<(Server, Option<Guard>)> {
        let database = &own.maintenance;
        if !own.may_create_databases()? {
            return Err(
                Stop::refused(format!("{}; nothing was changed", own.closed(database)?)).into()
            );
        }
        let guard = dropping(own.clone(), helper.to_owned());
        let create = format!("CREATE DATABASE {} TEMPLATE template0;\n", ident(helper));
        own.execute(database, &create).context("nothing was changed")?;
        match self.try_database(helper)? {
            Ok(server) => Ok((server, Some(guard))),
            Err(_) => {
                drop(guard);
                Err(Stop::refused(format!("{}; nothing was changed", own.closed(database)?)).into())
            }
        }
    }
}

/// Other databases that the role may connect to, except those that a load renames or drops.
fn others(own: &Server, names: &DatabaseNames) -> Result<Vec<String>> {
    let ask = "SELECT coalesce(pg_catalog.json_agg(datname ORDER BY datname), '[]') FROM pg_catalog.pg_database \
         WHERE datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT')";
    let answer = own.query(&own.maintenance, ask)?;
    let all: Vec<String> = serde_json::from_str(&answer).context("listing databases")?;
    let is_free = |name: &String| {
        *name != names.database
            && !is_beside(&names.database, name)
            && !USUAL.contains(&name.as_str())
    };
    Ok(all.into_iter().filter(is_free).take(TRIES).collect())
}

/// Drops the helper database at the end, through a connection to the database that it was created for. If
/// another load uses the helper, too, that one drops it.
fn dropping(inside: Server, helper: String) -> Guard {
    cleanup::on_failure(move || {
        let drop = format!(
            "SET client_min_messages = error; DROP DATABASE IF EXISTS {};\n",
            ident(&helper)
        );
        match inside.execute(&inside.maintenance, &drop) {
            Err(error) if sqlstate_of(&error) == Some(OBJECT_IN_USE) => {}
            Err(error) => warning!(
                "the database {helper}, created for the load, is still there; the next load drops it: {error:#}"
            ),
            Ok(()) => {}
        }
    })
}

/// A pooler's sessions are shared: what one client sets or locks affects the next, and names cannot be
/// swapped while the pooler keeps connections open.
fn pooled() -> Stop {
    let place = |name: &str, otherwise: &str| {
        std::env::var(name).ok().filter(|v| !v.is_empty()).unwrap_or_else(|| otherwise.into())
    };
    Stop::refused(format!(
        "at {} port {} a connection pooler (such as PgBouncer) answers for the server, and its sessions \
         are shared; set the server's own address: POSTGRES_HOST and POSTGRES_PORT of the \
         deployment, or PGHOST and PGPORT; nothing was changed",
        place("PGHOST", "the local socket"),
        place("PGPORT", "5432")
    ))
}
