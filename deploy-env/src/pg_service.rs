//! An entry of libpq's connection service file, `pg_service.conf`. libpq lets it win over its own
//! variables, so its server and database have to be known here.

use crate::libpq;
use anyhow::{Context, Result};
use pipe_kit::Stop;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What one entry gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The file that it was found in.
    pub file: PathBuf,
    values: BTreeMap<String, String>,
}

/// Where libpq's system-wide file lies in the builds that are around.
const SYSTEM_FILES: &[&str] = &["/etc/postgresql-common/pg_service.conf", "/etc/pg_service.conf"];

/// Keywords of an entry that would change what the tools do behind their back.
const REFUSED: &[(&str, &str)] = &[
    ("options", "it would change every session; use ALTER ROLE … SET or ALTER DATABASE … SET"),
    ("client_encoding", "it would change what the text of a dump means"),
    ("load_balance_hosts", "all sessions of a dump must reach the same server"),
    ("replication", "the tools need ordinary sessions"),
];

impl Service {
    /// Finds an entry: in the file named, else where libpq looks.
    ///
    /// # Errors
    /// [`Stop::usage`] if no file has it, or it gives what cannot be handed on; if the file named
    /// cannot be read.
    pub fn find(name: &str, named: Option<(&str, PathBuf)>, home: Option<&str>) -> Result<Self> {
        let files: Vec<PathBuf> = match &named {
            Some((_, path)) => vec![path.clone()],
            None => {
                let own = home.map(|home| Path::new(home).join(".pg_service.conf"));
                own.into_iter().chain(SYSTEM_FILES.iter().map(PathBuf::from)).collect()
            }
        };
        for file in &files {
            let text = match std::fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    let setting = named.as_ref().map_or(libpq::SERVICE.setting, |(name, _)| name);
                    let what = || format!("{setting}: reading {}", file.display());
                    return Err(error).with_context(what);
                }
            };
            if let Some(values) = entry(&text, name) {
                let service = Self { name: name.to_owned(), file: file.clone(), values };
                service.refuse_what_steers()?;
                return Ok(service);
            }
        }
        let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        Err(Stop::usage(format!(
            "{}: no service {name} in {}; name its file in {}",
            libpq::SERVICE.setting,
            looked.join(" nor "),
            libpq::SERVICE_FILE.setting
        ))
        .into())
    }

    fn refuse_what_steers(&self) -> Result<()> {
        match REFUSED.iter().find(|(keyword, _)| self.values.contains_key(*keyword)) {
            Some((keyword, why)) => {
                Err(Stop::usage(format!("{self} sets {keyword}: {why}; remove it")).into())
            }
            None => Ok(()),
        }
    }

    /// The value of one of libpq's keywords.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service {} in {}", self.name, self.file.display())
    }
}

/// An entry, as libpq reads it: the first of its name, and of each keyword the first line.
fn entry(text: &str, name: &str) -> Option<BTreeMap<String, String>> {
    let mut values: Option<BTreeMap<String, String>> = None;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            if values.is_some() {
                break;
            }
            let found = header.strip_prefix(name).is_some_and(|rest| rest.starts_with(']'));
            values = found.then(BTreeMap::new);
        } else if let Some(values) = &mut values
            && !line.starts_with('#')
            && let Some((keyword, value)) = line.split_once('=')
        {
            values.entry(keyword.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# comment\n[other]\nhost=elsewhere\n\n [db]\nhost=db.example\n# port=1\n\
        port=5433\nport=6000\nsslmode=verify-full\npassword=a=b\n[db]\nhost=second\n";

    fn find(text: &str, name: &str) -> Result<Service> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("services");
        std::fs::write(&file, text).unwrap();
        Service::find(name, Some(("PGSERVICEFILE", file)), None)
    }

    #[test]
    fn an_entry_is_read_as_libpq_reads_it() {
        let service = find(TEXT, "db").unwrap();
        let get = |keyword| service.get(keyword);
        assert_eq!((get("host"), get("port")), (Some("db.example"), Some("5433")));
        assert_eq!((get("password"), get("user")), (Some("a=b"), None));
        assert_eq!(find(TEXT, "other").unwrap().get("host"), Some("elsewhere"));
    }

    #[test]
    fn an_entry_that_is_not_there_or_steers_the_sessions_is_refused() {
        for (text, name, words) in [
            (TEXT, "d", "POSTGRES_PGSERVICEFILE"),
            ("", "db", "no service db in"),
            ("[db]\noptions=-c role=x\n", "db", "sets options"),
            ("[db]\nreplication=database\n", "db", "sets replication"),
        ] {
            let error = find(text, name).unwrap_err();
            assert_eq!(pipe_kit::status::of(&error), pipe_kit::Exit::Usage, "{error:#}");
            assert!(error.to_string().contains(words), "{error:#}");
        }
        let absent = Some(("PGSERVICEFILE", PathBuf::from("/no/such/services")));
        let error = Service::find("db", absent, None).unwrap_err();
        assert!(format!("{error:#}").contains("PGSERVICEFILE: reading /no/such/services"));
    }

    #[test]
    fn without_a_file_named_the_operators_own_is_read() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".pg_service.conf"), TEXT).unwrap();
        let service = Service::find("db", None, home.path().to_str()).unwrap();
        assert_eq!(service.file, home.path().join(".pg_service.conf"));
    }
}
