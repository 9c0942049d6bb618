//! The database: whether the clients fit its server, whether its role may dump everything and restore, its collation.

use super::clients::Clients;
use super::line::Line;
use super::place::Place;
use anyhow::Result;
use pipe_kit::text::count;
use serde::Deserialize;
use std::ffi::OsStr;

/// What the server answers about itself and the role.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Server {
    /// As `server_version_num`.
    version: u32,
    role: String,
    database: String,
    superuser: bool,
    creates_databases: bool,
    /// The database's owner.
    owner: String,
    /// Whether the role has the owner's rights.
    acts_for_owner: bool,
    encoding: String,
    collation: String,
    /// Whether the session is encrypted; null where the server does not know.
    pub tls: Option<bool>,
    /// Tables and sequences that the role may not read.
    unreadable: Vec<String>,
    /// Every schema of the database, quoted.
    schemas: Vec<String>,
    /// Tables of which row security may hide rows from the role.
    row_security: Vec<String>,
}

/// What is known of the database.
pub struct Facts {
    server: Server,
    /// The majors of every `pg_dump`.
    dumps: Vec<u32>,
    /// The collation's version as recorded, and as the system has it; from PostgreSQL 15 on.
    versions: Option<(Option<String>, Option<String>)>,
    /// How a superuser starts psql on this database.
    superuser: Vec<String>,
}

/// The first major whose databases record the version of their collation.
const COLLATION_VERSIONS: u32 = 15;
/// The first major with the role `pg_read_all_data`.
const READ_ALL_DATA: u32 = 14;
/// How many names are listed.
const LISTED: usize = 3;

/// Asks the server.
///
/// # Errors
/// If it does not answer.
pub fn facts(clients: &Clients, superuser: Vec<String>) -> Result<Facts> {
    let server: Server = clients.query(include_str!("server.sql"))?;
    let has_versions = server.major() >= COLLATION_VERSIONS;
    let versions = has_versions.then(|| clients.query(include_str!("collation.sql")).ok());
    Ok(Facts { dumps: clients.majors("pg_dump"), versions: versions.flatten(), server, superuser })
}

/// How a superuser starts psql: where the clients run, on the same server.
pub fn as_superuser(prefix: &[String], variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut words = prefix.to_vec();
    words.extend(["psql", "-U", "postgres"].map(str::to_owned));
    let host = variable("PGHOSTADDR").or_else(|| variable("PGHOST"));
    let options = [("-h", host), ("-p", variable("PGPORT")), ("-d", variable("PGDATABASE"))];
    for (option, value) in options {
        words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    words
}

impl Server {
    fn major(&self) -> u32 {
        self.version / 10_000
    }
}

impl Facts {
    /// Whether the session is encrypted.
    pub fn has_tls(&self) -> bool {
        self.server.tls == Some(true)
    }

    /// Whether the role may create databases, as a restore does.
    pub fn may_create(&self) -> bool {
        self.server.superuser || self.server.creates_databases
    }

    /// A line for each check.
    pub fn lines(&self, place: &Place) -> Vec<Line> {
        let mut lines = vec![self.clients(place), self.dumps_all(place), self.restores(place)];
        lines.extend(self.collation(place));
        lines
    }

    fn clients(&self, place: &Place) -> Line {
        const NAME: &str = "database clients";
        let server = self.server.major();
        let install = || match self.is_here() {
            true => format!("apt-get install postgresql-client-{server}"),
            false => place.edit(),
        };
        let newest = self.dumps.iter().max();
        match newest {
            _ if self.dumps.contains(&server) => {
                Line::ok(NAME, format!("pg_dump {server} for the server's PostgreSQL {server}"))
            }
            Some(newest) if *newest > server => {
                let found = format!("pg_dump {newest} dumps the server's PostgreSQL {server}");
                Line::note(NAME, format!("{found}; its own is preferred")).with_command(install())
            }
            Some(newest) => {
                let found =
                    format!("pg_dump {newest} cannot dump the server's PostgreSQL {server}");
                Line::finding(NAME, found, install())
            }
            None => Line::finding(NAME, "there is no pg_dump", install()),
        }
    }

    /// Whether the clients run on this host.
    fn is_here(&self) -> bool {
        self.superuser.first().is_some_and(|word| word == "psql")
    }

    /// Runs statements as a superuser.
    fn grant(&self, statements: &[&str], place: &Place) -> String {
        let words = self.superuser.iter().map(String::as_str);
        let statements = statements.iter().flat_map(|statement| ["-c", statement]);
        let words: Vec<&str> = words.chain(statements).collect();
        // A driver needs to know the deployment.
        if self.is_here() { shell_words::join(words) } else { place.with_settings(&words) }
    }

    fn dumps_all(&self, place: &Place) -> Line {
        const NAME: &str = "database dump";
        let Server { role, unreadable, row_security, .. } = &self.server;
        let quoted = identifier(role);
        if !unreadable.is_empty() {
            let (what, names) = (count(unreadable.len(), "table or sequence"), listed(unreadable));
            let found = format!("the role {role} may not read {what}: {names}");
            let statement = match self.server.major() >= READ_ALL_DATA {
                true => format!("GRANT pg_read_all_data TO {quoted}"),
                false => grants(&self.server.schemas.join(", "), &quoted),
            };
            return Line::finding(NAME, found, self.grant(&[&statement], place));
        }
        if !row_security.is_empty() {
            let (what, names) = (count(row_security.len(), "table"), listed(row_security));
            let found = format!("row security applies to the role {role} in {what}: {names}");
            let statement = format!("ALTER ROLE {quoted} BYPASSRLS");
            return Line::finding(NAME, found, self.grant(&[&statement], place));
        }
        Line::ok(NAME, format!("the role {role} may read every table of {}", self.server.database))
    }

    fn restores(&self, place: &Place) -> Line {
        const NAME: &str = "database restore";
        let Server { role, owner, acts_for_owner, .. } = &self.server;
        if !self.may_create() {
            let found = format!("the role {role} may not create databases, as a restore must");
            let statement = format!("ALTER ROLE {} CREATEDB", identifier(role));
            return Line::finding(NAME, found, self.grant(&[&statement], place));
        }
        if !acts_for_owner {
            let found = format!(
                "the role {role} lacks the rights of {owner}, who owns the database, as a restore must"
            );
            let statement = format!("GRANT {} TO {}", identifier(owner), identifier(role));
            return Line::finding(NAME, found, self.grant(&[&statement], place));
        }
        Line::ok(NAME, format!("the role {role} may create databases, and replace this one"))
    }

    fn collation(&self, place: &Place) -> Option<Line> {
        const NAME: &str = "database locale";
        let Server { encoding, collation, database, .. } = &self.server;
        let locale = format!("encoding {encoding}, collation {collation}");
        match &self.versions {
            Some((Some(recorded), Some(actual))) if recorded != actual => {
                let found = format!(
                    "{locale}: indexes were built with version {recorded} of the collation, and the system has {actual}"
                );
                let name = identifier(database);
                let statement = format!("REINDEX DATABASE {name}");
                let refresh = format!("ALTER DATABASE {name} REFRESH COLLATION VERSION");
                let command = self.grant(&[&statement, &refresh], place);
                Some(Line::note(NAME, found).with_command(command))
            }
            _ if encoding == "SQL_ASCII" => {
                Some(Line::note(NAME, format!("{locale}: the server does not check its texts")))
            }
            _ => Some(Line::ok(NAME, locale)),
        }
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What `pg_read_all_data` is, in an older server.
fn grants(schemas: &str, role: &str) -> String {
    format!(
        "GRANT USAGE ON SCHEMA {schemas} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {role}; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {role}"
    )
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    names[..names.len().min(LISTED)].join(", ") + more
}

/// The dump of a bundle, whether it can be loaded; `report` is that of `pg-snap preflight`.
pub fn preflight(
    report: &bundle_format::report::LoadPreflight,
    place: &Place,
    dump: &OsStr,
) -> Vec<Line> {
    const NAME: &str = "restore";
    let command = place.with_settings(&["pg-snap".as_ref(), "preflight".as_ref(), dump]);
    let problems = report.problems.iter().map(|why| Line::finding(NAME, why, command.clone()));
    let notes = report.notes.iter().map(|why| Line::note(NAME, why));
    let mut lines: Vec<Line> = problems.chain(notes).collect();
    if report.problems.is_empty() {
        lines.insert(
            0,
            Line::ok(NAME, "the newest bundle's database can be loaded beside this one"),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn facts() -> Facts {
        let server = Server {
            version: 150_018,
            role: "app".into(),
            database: "piprio".into(),
            creates_databases: true,
            owner: "boss".into(),
            acts_for_owner: true,
            encoding: "UTF8".into(),
            collation: "C".into(),
            ..Server::default()
        };
        let variable = |name: &str| (name == "PGHOST").then(|| "db".to_owned());
        Facts { server, dumps: vec![15], versions: None, superuser: as_superuser(&[], variable) }
    }

    fn line(facts: &Facts, name: &str) -> (Status, String) {
        let lines = facts.lines(&Place::new("/d".as_ref()));
        let line = lines.into_iter().find(|line| line.name == name).unwrap();
        (line.status, line.command.unwrap_or_default())
    }

    #[test]
    fn the_clients_must_be_as_new_as_the_server() {
        let install = "apt-get install postgresql-client-15";
        for (dumps, status, command) in [
            (vec![13, 15], Status::Ok, ""),
            (vec![13, 17], Status::Note, install),
            (vec![13, 14], Status::Finding, install),
            (vec![], Status::Finding, install),
        ] {
            let facts = Facts { dumps, ..facts() };
            assert_eq!(line(&facts, "database clients"), (status, command.to_owned()));
        }
        let prefix = ["/drv".to_owned(), "exec".into(), "postgres".into()];
        let inside = Facts { dumps: vec![], superuser: as_superuser(&prefix, |_| None), ..facts() };
        assert_eq!(line(&inside, "database clients").1, "${EDITOR:-vi} /d/.env");
        let own = inside.grant(&["SELECT 1"], &Place::new("/d".as_ref()));
        let expected =
            "deploy-env --deploy /d -- /drv exec postgres psql -U postgres -c 'SELECT 1'";
        assert_eq!(own, expected);
    }

    #[test]
    fn the_role_must_read_everything_and_create_databases() {
        let good = facts();
        for name in ["database dump", "database restore", "database locale"] {
            assert_eq!(line(&good, name), (Status::Ok, String::new()), "{name}");
        }
        let mut facts = facts();
        facts.server.creates_databases = false;
        facts.server.row_security = vec!["a.b".into()];
        let command = r#"psql -U postgres -h db -c 'ALTER ROLE "app" CREATEDB'"#;
        assert_eq!(line(&facts, "database restore"), (Status::Finding, command.into()));
        let command = r#"psql -U postgres -h db -c 'ALTER ROLE "app" BYPASSRLS'"#;
        assert_eq!(line(&facts, "database dump"), (Status::Finding, command.into()));
        facts.server.unreadable = ["a.b", "a.c", "a.d", "a.e"].map(str::to_owned).to_vec();
        let command = r#"psql -U postgres -h db -c 'GRANT pg_read_all_data TO "app"'"#;
        assert_eq!(line(&facts, "database dump"), (Status::Finding, command.into()));
        facts.server.version = 130_000;
        facts.server.schemas = vec!["a".into(), "b".into()];
        let (_, command) = line(&facts, "database dump");
        assert!(
            command.contains(r#"; GRANT SELECT ON ALL TABLES IN SCHEMA a, b TO "app"; "#),
            "{command}"
        );
        assert_eq!(listed(&facts.server.unreadable), "a.b, a.c, a.d, …");
        facts.server.superuser = true;
        facts.server.acts_for_owner = false;
        let command = r#"psql -U postgres -h db -c 'GRANT "boss" TO "app"'"#;
        assert_eq!(line(&facts, "database restore"), (Status::Finding, command.into()));
        facts.server.acts_for_owner = true;
        assert_eq!(line(&facts, "database restore").0, Status::Ok);
    }

    #[test]
    fn another_version_of_the_collation_is_a_note_with_both_statements() {
        let versions =
            |recorded: &str, actual: &str| Some((Some(recorded.into()), Some(actual.into())));
        let same = Facts { versions: versions("2.36", "2.36"), ..facts() };
        assert_eq!(line(&same, "database locale").0, Status::Ok);
        let other = Facts { versions: versions("2.31", "2.36"), ..facts() };
        let (status, command) = line(&other, "database locale");
        assert_eq!(status, Status::Note);
        assert!(
            command.contains(r#"-c 'REINDEX DATABASE "piprio"' -c 'ALTER DATABASE"#),
            "{command}"
        );
        let mut ascii = facts();
        ascii.server.encoding = "SQL_ASCII".into();
        assert_eq!(line(&ascii, "database locale").0, Status::Note);
    }
}
