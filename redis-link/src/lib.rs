//! A connection to Redis, shared by the tools that use a deployment's cache: the same TLS, the same
//! addresses, the same time limits.
//!
//! The `redis` crate reads the URL, packs commands and parses answers. Its own connection dials the host
//! that the certificate is checked against and no other, and a service's host may have to be dialled at
//! another address.

mod stream;
mod tls;

pub use redis::Value;
pub use stream::NoAnswer;
pub use tls::Files;

use anyhow::{Context, Result, anyhow};
use pipe_kit::Stop;
use redis::{ConnectionAddr, FromRedisValue, IntoConnectionInfo, Parser, RedisError};
use std::net::SocketAddr;
use std::time::Duration;
use stream::{Stream, Timed};

/// A server and the user to authenticate as. It has no `Debug` output, because it holds a password.
#[derive(Clone)]
pub struct Server {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether the URL is `rediss://`.
    pub is_tls: bool,
    user: Option<String>,
    password: Option<String>,
    database: i64,
}

impl Server {
    /// Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://`; or `?db=DATABASE`, as many clients do.
    ///
    /// # Errors
    /// [`Stop::usage`] without the URL, for it may hold a password.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| anyhow!(Stop::usage(format!("REDIS_URL {what}")));
        // The error of the crate may hold the URL.
        let info = url
            .into_connection_info()
            .map_err(|_| wrong("is not a valid redis:// or rediss:// URL"))?;
        let (host, port, is_tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host, *port, false),
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(wrong("has #insecure: name the server's authority in REDIS_CA_FILE"));
            }
            ConnectionAddr::TcpTls { host, port, .. } => (host, *port, true),
            _ => return Err(wrong("has no host")),
        };
        let settings = info.redis_settings();
        let database = database(url, settings.db()).map_err(|what| wrong(&what))?;
        Ok(Self {
            host: pipe_kit::address::bare(host).to_owned(),
            port,
            is_tls,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database,
        })
    }

    /// The same user at another server, whose certificate is for that name.
    #[must_use]
    pub fn named(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }

    /// The password, without the URL's percent-encoding.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Connects at the first of some addresses that answers, authenticates and chooses the database.
    ///
    /// # Errors
    /// [`NoAnswer`] if no address answers within the limit; if the server is not trusted, or refuses the
    /// password.
    pub fn connect(&self, files: &Files, at: &[SocketAddr], limit: Duration) -> Result<Connection> {
        let tls = self.is_tls.then(|| files.config()).transpose()?;
        let stream = Timed::connect(at, limit)?;
        let stream = match tls {
            Some(config) => tls::wrap(stream, config, &self.host, files)?,
            None => Stream::Plain(stream),
        };
        let mut connection = Connection { stream, parser: Parser::new() };
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => connection.query::<()>(&["AUTH", user, password])?,
            (None, Some(password)) => connection.query::<()>(&["AUTH", password])?,
            _ => {}
        }
        if self.database != 0 {
            connection.query::<()>(&["SELECT", &self.database.to_string()])?;
        }
        Ok(connection)
    }
}

/// The database that a URL names, in its path or its query. The crate reads the path alone.
fn database(url: &str, of_path: i64) -> Result<i64, String> {
    let parsed = redis::parse_redis_url(url).ok_or("is not a valid URL")?;
    let has_path = !matches!(parsed.path(), "" | "/");
    let mut database = has_path.then_some(of_path);
    for (_, value) in parsed.query_pairs().filter(|(name, _)| name == "db") {
        let named: i64 = value.parse().map_err(|_| "has ?db= without a number".to_owned())?;
        if database.is_some_and(|other| other != named) {
            return Err("names two databases".to_owned());
        }
        database = Some(named);
    }
    Ok(database.unwrap_or_default())
}

/// A connection that is authenticated.
pub struct Connection {
    stream: Stream,
    parser: Parser,
}

impl Connection {
    /// Limits the time of everything that follows, taken together.
    pub fn set_limit(&mut self, limit: Duration) {
        self.stream.timed().set_limit(limit);
    }

    /// Runs a command.
    ///
    /// # Errors
    /// [`Refused`] with the server's answer if it refuses; [`NoAnswer`] if it does not answer in time.
    pub fn query<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.stream.send(&command.get_packed_command())?;
        let answer = self.parser.parse_value(&mut self.stream);
        let answer = answer.and_then(redis::Value::extract_error).map_err(refused)?;
        redis::from_redis_value(answer)
            .with_context(|| format!("cannot parse the answer to {}", words.first().unwrap_or(&"")))
    }
}

/// A part of an answer, as what it must be.
#[must_use]
pub fn from_value<T: FromRedisValue>(value: Value) -> Option<T> {
    redis::from_redis_value(value).ok()
}

/// The server's answer to a command that it refuses.
#[derive(Debug)]
pub struct Refused {
    code: String,
    text: String,
}

impl Refused {
    /// The first word of the answer, which is in capitals: `NOPERM`, `READONLY`, `ERR`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

/// The error of a command: the server's answer, which never repeats what was sent, or that of the
/// connection.
fn refused(error: RedisError) -> anyhow::Error {
    match (error.is_timeout(), error.code()) {
        (true, _) => anyhow!(NoAnswer),
        (false, Some(code)) => anyhow!(Refused { code: code.to_owned(), text: error.to_string() }),
        (false, None) => anyhow!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_address_tls_user_and_database() {
        let read = |url| {
            let server = Server::parse(url).unwrap();
            (server.host, server.port, server.is_tls, server.user, server.password, server.database)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read("redis://h"), ("h".into(), 6379, false, None, None, 0));
        assert_eq!(
            read("rediss://u:p%2Fw@[::1]:7/3"),
            ("::1".into(), 7, true, text("u"), text("p/w"), 3)
        );
        assert_eq!(
            read("redis://:pw@10.0.0.1:7"),
            ("10.0.0.1".into(), 7, false, None, text("pw"), 0)
        );
        for (query, number) in
            [("?db=3", 3), ("/?db=3", 3), ("/3?db=3", 3), ("/2?timeout=5s", 2), ("?x=1", 0)]
        {
            let url = format!("redis://h{query}");
            assert_eq!(Server::parse(&url).unwrap().database, number, "{query}");
        }
    }

    #[test]
    fn an_invalid_url_or_one_without_verification_is_refused_and_not_repeated() {
        for url in [
            "hunter2",
            "http://hunter2",
            "rediss://:hunter2@h/#insecure",
            "redis+unix:///hunter2",
            "redis://:hunter2@h/0?db=3",
            "redis://h?db=hunter2",
            "redis://h?db=1&db=2&x=hunter2",
        ] {
            let error = Server::parse(url).err().unwrap();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage);
            assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_waited_for_no_longer_than_the_limit() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = [silent.local_addr().unwrap()];
        let limit = Duration::from_millis(50);
        for url in ["redis://:pw@127.0.0.1", "rediss://127.0.0.1"] {
            // The authorities of the system are read first, where TLS is wanted.
            let Err(error) = Server::parse(url).unwrap().connect(&Files::default(), &at, limit)
            else {
                panic!("{url} is let in by nobody")
            };
            let lacks_authorities = error.to_string().contains("REDIS_CA_FILE");
            assert!(error.is::<NoAnswer>() || lacks_authorities, "{error:#}");
        }
    }
}
