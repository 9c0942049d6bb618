//! Whether the connections to the servers are encrypted, and the servers' certificates are verified.

use super::line::Line;
use super::place::Place as Directory;
use crate::endpoint::{Place, parse, place};

/// A connection to a server.
struct Link<'a> {
    name: &'a str,
    host: &'a str,
    /// Whether it is encrypted, and whether the certificate is verified.
    encrypted: bool,
    verified: bool,
    /// What to set.
    remedy: &'a str,
}

const OF_STORAGE: &[(&str, u16)] = &[("http", 80), ("https", 443)];
const OF_CACHE: &[(&str, u16)] = &[("redis", 6379), ("rediss", 6379)];

/// The connection to the database, by libpq's variables. `encrypted` is what the server answers.
pub fn database(
    variable: impl Fn(&str) -> Option<String>,
    encrypted: bool,
    directory: &Directory,
) -> Line {
    const NAME: &str = "tls database";
    let Some(host) = variable("PGHOST").filter(|host| !host.starts_with(['/', '@'])) else {
        return Line::ok(NAME, "the clients connect to a local socket");
    };
    let mode = variable("PGSSLMODE");
    let verified = mode.as_deref().is_some_and(|mode| ["verify-ca", "verify-full"].contains(&mode));
    if encrypted && mode.is_none() && variable("PGSERVICE").is_some() {
        return Line::note(
            NAME,
            "TLS; the connection service file decides whether the certificate is verified",
        );
    }
    let remedy = "POSTGRES_SSLMODE=verify-full and POSTGRES_SSLROOTCERT";
    line(&Link { name: NAME, host: &host, encrypted, verified, remedy }, directory)
}

/// The connections to storage and cache, by their URLs.
pub fn urls(variable: impl Fn(&str) -> Option<String>, directory: &Directory) -> Vec<Line> {
    let mut lines = Vec::new();
    let is_bundled = variable("OBJECT_STORAGE").as_deref() == Some("bundled");
    for (name, key, schemes, remedy) in [
        ("tls storage", "AWS_ENDPOINT_URL", OF_STORAGE, "S3_ENDPOINT=https://…"),
        ("tls cache", "REDIS_URL", OF_CACHE, "REDIS_URL=rediss://…"),
    ] {
        if name == "tls storage" && !is_bundled {
            lines.push(Line::skipped(name, "the object storage is external: it is not backed up"));
            continue;
        }
        let Some(url) = variable(key) else { continue };
        let Ok(end) = parse(key, &url, schemes) else { continue };
        let encrypted = url.starts_with("https:") || url.starts_with("rediss:");
        // The tools know no way to accept a certificate that they cannot verify.
        let link = Link { name, host: &end.host, encrypted, verified: encrypted, remedy };
        lines.push(line(&link, directory));
    }
    lines
}

fn line(link: &Link, directory: &Directory) -> Line {
    let Link { name, host, encrypted, verified, remedy } = *link;
    let lacks = match (encrypted, verified) {
        (true, true) => return Line::ok(name, "TLS, and the certificate is verified"),
        (true, false) => "TLS, but the certificate is not verified",
        (false, _) => "no TLS",
    };
    match place(host) {
        Place::Loopback => Line::ok(name, format!("{lacks}; {host} is this host")),
        Place::Private => {
            Line::note(name, format!("{lacks} on the way to {host}; to have it, set {remedy}"))
        }
        Place::Public => {
            let found = format!("{lacks} on the way to {host}, which is public; set {remedy}");
            Line::finding(name, found, directory.edit())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn of<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + Copy + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_database_that_is_far_must_be_verified() {
        let directory = Directory::new("/d".as_ref());
        for (host, mode, encrypted, status) in [
            ("", "", false, Status::Ok),
            ("/run/postgresql", "", false, Status::Ok),
            ("127.0.0.1", "", false, Status::Ok),
            ("postgres", "", false, Status::Note),
            ("10.0.0.3", "require", true, Status::Note),
            ("db.example.com", "", false, Status::Finding),
            ("db.example.com", "require", true, Status::Finding),
            ("db.example.com", "verify-full", true, Status::Ok),
        ] {
            let set = [("PGHOST", host), ("PGSSLMODE", mode)];
            let set: Vec<_> = set.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let line = database(of(&set), encrypted, &directory);
            assert_eq!(line.status, status, "{host} {mode} {encrypted}");
            assert_eq!(line.command.is_some(), status == Status::Finding);
        }
        let of_file = [("PGHOST", "db.example.com"), ("PGSERVICE", "db")];
        assert_eq!(database(of(&of_file), true, &directory).status, Status::Note);
    }

    #[test]
    fn storage_and_cache_are_judged_by_their_urls() {
        let directory = Directory::new("/d".as_ref());
        let statuses = |storage: &str, url: &str, cache: &str| -> Vec<Status> {
            let set =
                [("OBJECT_STORAGE", storage), ("AWS_ENDPOINT_URL", url), ("REDIS_URL", cache)];
            urls(of(&set), &directory).into_iter().map(|line| line.status).collect()
        };
        use Status::{Finding, Note, Ok, Skipped};
        let here = "redis://127.0.0.1:6379";
        assert_eq!(statuses("bundled", "http://127.0.0.1:9000", here), [Ok, Ok]);
        assert_eq!(statuses("bundled", "http://minio:9000", "redis://cache"), [Note, Note]);
        assert_eq!(
            statuses("bundled", "https://s3.example.com", "rediss://c.example.com"),
            [Ok, Ok]
        );
        assert_eq!(
            statuses("bundled", "http://s3.example.com", "redis://c.example.com"),
            [Finding, Finding]
        );
        assert_eq!(statuses("external", "http://s3.example.com", here), [Skipped, Ok]);
    }

    #[test]
    fn no_password_of_a_url_is_shown() {
        let set = [("REDIS_URL", "redis://:hunter2@c.example.com"), ("OBJECT_STORAGE", "external")];
        let lines = urls(of(&set), &Directory::new("/d".as_ref()));
        assert!(lines.iter().all(|line| !line.found.contains("hunter2")), "{lines:?}");
    }
}
