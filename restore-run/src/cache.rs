//! The cache. Over a restored database, a stale one is corruption by another name.

use crate::settings::Settings;
use anyhow::{Context, Result};
use pipe_kit::address::{Addresses, joined};
use pipe_kit::warning;
use redis_link::{Connection, Files, Refused, Server, Value};
use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take that frees each of tens of millions of keys before it answers.
const FLUSH: Duration = Duration::from_secs(600);

fn connect(settings: &Settings) -> Result<Connection> {
    let server = Server::parse(&settings.redis_url)?;
    connect_at(&server, (&server.host, server.port), settings)
}

/// Connects to the server, or to another node of its cluster.
fn connect_at(
    server: &Server,
    (host, port): (&str, u16),
    settings: &Settings,
) -> Result<Connection> {
    let known = Addresses::parse(&settings.variable("PIPRIO_RESOLVE").unwrap_or_default())?;
    // Only the address changes; the certificate is checked against the server's own name.
    let (host, port) = known.find(host, port).unwrap_or((host, port));
    let at = (host, port).to_socket_addrs();
    let at = at.with_context(|| format!("{} does not resolve here", joined(host, port)))?;
    server.connect(&Files::of(|name| settings.variable(name)), &at.collect::<Vec<_>>(), TIMEOUT)
}

/// Connects, and asks for an answer.
pub fn ping(settings: &Settings) -> Result<Connection> {
    let mut connection = connect(settings)?;
    connection.query::<String>(&["PING"])?;
    Ok(connection)
}

/// A connection to the server, or, where it is a node of a cluster, to every node that holds keys.
fn connect_to_all(settings: &Settings) -> Result<Vec<Connection>> {
    let server = Server::parse(&settings.redis_url)?;
    // On a connection of its own: a proxy may close one on which it is asked that.
    let asked = connect(settings).and_then(|mut connection| masters(&mut connection));
    let nodes = match asked {
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|it| is_of_the_moment(it.code())) => {
            return Err(error);
        }
        nodes => nodes.unwrap_or_else(|error| {
            warning!("only the server of REDIS_URL is emptied; whether it is one of a cluster is not known: {error:#}");
            Vec::new()
        }),
    };
    if nodes.len() < 2 {
        return Ok(vec![connect(settings)?]);
    }
    let node = |(host, port): &(String, u16)| {
        let host = if ["", "?"].contains(&host.as_str()) { &server.host } else { host };
        // A certificate is for a name, and a cluster gives addresses by default.
        let is_name = host.parse::<IpAddr>().is_err();
        let named = if is_name { server.named(host) } else { server.clone() };
        let connection = connect_at(&named, (host, *port), settings);
        connection.with_context(|| format!("the node {} of its cluster", joined(host, *port)))
    };
    nodes.iter().map(node).collect()
}

/// Host and port of the masters of a cluster; nothing where there is no cluster.
///
/// # Errors
/// If the server does not answer, or its user may not ask.
fn masters(connection: &mut Connection) -> Result<Vec<(String, u16)>> {
    let slots = match answered(connection.query::<Vec<Vec<Value>>>(&["CLUSTER", "SLOTS"]))? {
        Err(refused) if refused.code() == "NOPERM" => {
            return if is_alone(connection)? { Ok(Vec::new()) } else { Err(refused.into()) };
        }
        Err(refused) if is_of_the_moment(refused.code()) => return Err(refused.into()),
        // It is no cluster, or knows none.
        Err(_) => return Ok(Vec::new()),
        Ok(slots) => slots,
    };
    let master = |range: Vec<Value>| {
        let node: Vec<Value> = redis_link::from_value(range.into_iter().nth(2)?)?;
        let mut node = node.into_iter();
        let host: Option<String> = redis_link::from_value(node.next()?)?;
        Some((host.unwrap_or_default(), redis_link::from_value(node.next()?)?))
    };
    let found: BTreeSet<(String, u16)> = slots.into_iter().filter_map(master).collect();
    Ok(found.into_iter().collect())
}

/// Whether a server refuses anything now, and says nothing about what it is.
fn is_of_the_moment(code: &str) -> bool {
    ["BUSY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"].contains(&code)
}

/// Whether a server says that it is no node of a cluster. Any user may ask that, from Redis 6 on.
fn is_alone(connection: &mut Connection) -> Result<bool> {
    let words: Vec<Value> = answered(connection.query(&["HELLO"]))?.unwrap_or_default();
    let mut words = words.into_iter().map(redis_link::from_value::<String>);
    let mode = words.find(|word| word.as_deref() == Some("mode")).and_then(|_| words.next());
    Ok(mode.flatten().as_deref() == Some("standalone"))
}

/// Why a restore could not empty the cache, and what to do about it: it does not answer, or would refuse that.
/// Nothing is changed.
pub fn problem(settings: &Settings) -> Option<String> {
    let ask = || {
        ping(settings)?;
        let mut refused = Ok(None);
        for mut node in connect_to_all(settings)? {
            refused = refusal(&mut node);
            if !matches!(refused, Ok(None)) {
                break;
            }
        }
        refused
    };
    let cache = format!("the cache {}", settings.redis_without_password());
    match ask() {
        Ok(refused) => refused.map(|it| format!("{cache} refuses FLUSHDB: {it}; {}", remedy(&it))),
        Err(error) => Some(format!("{cache}: {error:#}; start it, or correct REDIS_URL")),
    }
}

/// What a server answers to the command that empties its database, in a transaction that is discarded. It checks there
/// whether it knows the command, may write, and the user has the right. Users without rights over others may not ask
/// for these (`ACL DRYRUN`, `ROLE`). A server that lets nobody begin a transaction is not asked, and what it refuses in
/// one alone does not count: over `maxmemory` it queues nothing (`OOM`), though it would empty itself.
fn refusal(connection: &mut Connection) -> Result<Option<Refused>> {
    if answered(connection.query::<()>(&["MULTI"]))?.is_err() {
        return Ok(None);
    }
    let queued = answered(connection.query::<()>(&["FLUSHDB"]))?;
    // Closing the connection does the same, but not where a proxy keeps it.
    let _ = answered(connection.query::<()>(&["DISCARD"]))?;
    let Err(refused) = queued else { return Ok(None) };
    let counts = match refused.code() {
        "OOM" => false,
        // Of many meanings: that it knows no such command, or (Dragonfly) only that it queues none.
        "ERR" => !knows_flushdb(connection)?,
        _ => true,
    };
    Ok(counts.then_some(refused))
}

/// Whether the server knows the command by its own name; true where it does not say.
fn knows_flushdb(connection: &mut Connection) -> Result<bool> {
    let known = answered(connection.query::<Vec<Value>>(&["COMMAND", "INFO", "FLUSHDB"]))?;
    Ok(known.map_or(true, |known| known.iter().any(|one| *one != Value::Nil)))
}

/// The answer, whether or not it is a refusal.
fn answered<T>(answer: Result<T>) -> Result<Result<T, Refused>> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(error) => error.downcast::<Refused>().map(Err),
    }
}

fn remedy(refused: &Refused) -> &'static str {
    match refused.code() {
        "NOPERM" => "give the user of REDIS_URL the right to it: ACL SETUSER USER +flushdb",
        "READONLY" => "it is a replica: name its primary in REDIS_URL",
        _ => "a restore needs it: correct the server's configuration, or REDIS_URL",
    }
}

/// Empties the cache's database, and returns how many keys it held, if its user may know that.
pub fn flush(settings: &Settings) -> Result<Option<u64>> {
    let flush = || -> Result<Option<u64>> {
        let mut keys = Some(0);
        for node in &mut connect_to_all(settings)? {
            node.set_limit(TIMEOUT);
            let held = empty(node)?;
            keys = keys.zip(held).map(|(keys, held)| keys + held);
        }
        Ok(keys)
    };
    flush().with_context(|| format!("emptying the cache {}", settings.redis_without_password()))
}

/// A server frees the keys after its answer where it can. An older one refuses `ASYNC`.
fn empty(connection: &mut Connection) -> Result<Option<u64>> {
    let keys = answered(connection.query(&["DBSIZE"]))?.ok();
    connection.set_limit(FLUSH);
    if answered(connection.query::<()>(&["FLUSHDB", "ASYNC"]))?.is_err() {
        connection.query::<()>(&["FLUSHDB"])?;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::JoinHandle;

    /// A server of another version than the one that the tests have: it gives these answers, one for each command, and
    /// returns what it was sent.
    fn server(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = String::new();
            for answer in answers {
                let mut bytes = [0; 512];
                let length = stream.read(&mut bytes).unwrap();
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let words = text.split("\r\n").skip(2).step_by(2).filter(|word| !word.is_empty());
                sent += &(words.collect::<Vec<_>>().join(" ") + ";");
                stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
            }
            sent
        };
        (at, std::thread::spawn(serve))
    }

    fn connected(at: SocketAddr) -> Connection {
        let server = Server::parse("redis://127.0.0.1").unwrap();
        server.connect(&Files::default(), &[at], TIMEOUT).unwrap()
    }

    #[test]
    fn an_older_server_is_emptied_without_async_and_its_refusal_of_that_counts() {
        const ARITY: &str = "-ERR wrong number of arguments for 'flushdb' command";
        let (at, sent) = server(&[":7", ARITY, "+OK"]);
        assert_eq!(empty(&mut connected(at)).unwrap(), Some(7));
        assert_eq!(sent.join().unwrap(), "DBSIZE;FLUSHDB ASYNC;FLUSHDB;");
        let (at, _) = server(&["-NOPERM no", ARITY, "-MISCONF no disk"]);
        let error = empty(&mut connected(at)).unwrap_err();
        assert_eq!(error.downcast_ref::<Refused>().map(Refused::code), Some("MISCONF"));
        let (at, _) = server(&["-NOPERM no", "+OK"]);
        assert_eq!(empty(&mut connected(at)).unwrap(), None);
    }

    #[test]
    fn a_server_that_refuses_everything_now_is_not_taken_for_one_without_a_cluster() {
        for (answer, is_none) in [("-BUSY a script", false), ("-LOADING", false), ("-ERR no", true)]
        {
            let (at, _) = server(Box::leak(Box::new([answer])));
            let found = masters(&mut connected(at));
            assert_eq!(found.is_ok_and(|nodes| nodes.is_empty()), is_none, "{answer}");
        }
    }

    #[test]
    fn a_server_is_asked_in_a_transaction_that_is_discarded_where_it_has_any() {
        let (at, sent) = server(&["+OK", "+QUEUED", "+OK"]);
        assert!(refusal(&mut connected(at)).unwrap().is_none());
        assert_eq!(sent.join().unwrap(), "MULTI;FLUSHDB;DISCARD;");
        for none in ["-ERR unknown command 'MULTI'", "-NOPERM no"] {
            let (at, sent) = server(Box::leak(Box::new([none])));
            assert!(refusal(&mut connected(at)).unwrap().is_none());
            assert_eq!(sent.join().unwrap(), "MULTI;");
        }
        let (at, _) = server(&["+OK", "-NOREPLICAS none", "+OK"]);
        assert_eq!(refusal(&mut connected(at)).unwrap().unwrap().code(), "NOREPLICAS");
        let (at, _) = server(&["+OK", "-ERR unknown command 'FLUSHDB'", "+OK", "*1\r\n*-1"]);
        assert_eq!(refusal(&mut connected(at)).unwrap().unwrap().code(), "ERR");
        // What is refused in a transaction alone.
        let (at, _) = server(&["+OK", "-OOM over maxmemory", "+OK"]);
        assert!(refusal(&mut connected(at)).unwrap().is_none());
        for known in ["*1\r\n*1\r\n+flushdb", "-ERR no subcommand INFO"] {
            const NOT_QUEUED: &str = "-ERR 'FLUSHDB' not allowed inside a transaction";
            let (at, _) = server(Box::leak(Box::new(["+OK", NOT_QUEUED, "+OK", known])));
            assert!(refusal(&mut connected(at)).unwrap().is_none(), "{known}");
        }
        let (at, _) = server(&["+OK"]);
        assert!(refusal(&mut connected(at)).is_err(), "it has gone");
    }
}
