//! The database: where it is, how its clients reach it, and what libpq is to insist on.

use super::{Found, Resolver};
use crate::decide::{self, Via};
use crate::driver::Driver;
use crate::endpoint::Endpoint;
use crate::layers::Source;
use crate::libpq::{self, Kind, Passed};
use crate::pg_service::Service;
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::{Stop, warning};
use std::path::{Path, PathBuf};

/// A file that a setting names.
struct Named {
    setting: &'static str,
    path: PathBuf,
}

impl Resolver<'_> {
    /// The database's variables; gives the services that its settings name.
    pub(super) fn database(&mut self, driver: &Driver) -> Result<Vec<String>> {
        let entry = self.service_entry()?;
        let entry = entry.as_ref();
        let host = self.own("POSTGRES_HOST", "host", entry)?;
        let port = self.own("POSTGRES_PORT", "port", entry)?.context("POSTGRES_PORT is not set")?;
        let number = port.parse::<u16>().ok().filter(|p| *p != 0);
        let number = number.ok_or_else(|| anyhow!(Stop::usage("POSTGRES_PORT is not a port")))?;
        let (via, mut named) = self.via(driver, host.as_deref())?;
        let files = self.libpq(entry)?;
        self.system_certificates(entry)?;
        self.warn_of_a_socket(&via, host.as_deref());
        match &via {
            Via::Tcp => {
                readable_here(&files)?;
                let host = host.unwrap_or_default();
                self.dialled(driver, Endpoint { host, port: number })?;
            }
            Via::Exec(service) => {
                if let Some(entry) = entry {
                    return Err(entry_with_exec(entry, service));
                }
                readable_inside(driver, service, &files)?;
                let program = driver.program().to_string_lossy().into_owned();
                self.export("PG_SNAP_EXEC", shell_words::join([&program, "exec", service]));
                self.export("PGPORT", port);
                named.push(service.clone());
            }
        }
        for (key, name, keyword) in
            [("POSTGRES_DB", "PGDATABASE", "dbname"), ("POSTGRES_USER", "PGUSER", "user")]
        {
            let value = self.own(key, keyword, entry)?;
            self.export(name, value.with_context(|| format!("{key} is not set"))?);
        }
        self.password(entry)?;
        Ok(named)
    }

    /// Decides how the clients get there; gives the services that the settings name too.
    fn via(&mut self, driver: &Driver, host: Option<&str>) -> Result<(Via, Vec<String>)> {
        let via = self.look("POSTGRES_VIA").context("POSTGRES_VIA is not set")?;
        let service = self.look("POSTGRES_SERVICE");
        let set_service = service.as_ref().map(|s| s.value.as_str());
        let (decided, reason) = decide::decide_postgres_via(&via.value, host, set_service, || {
            driver.services().map(<[String]>::to_vec)
        })?;
        let named = host.into_iter().chain(set_service).map(str::to_owned).collect();
        let source = if via.value == "auto" { Source::Detected } else { via.source };
        let text = if decided == Via::Tcp { "tcp" } else { "exec" };
        self.row("POSTGRES_VIA", Some(text.into()), source).reason = Some(reason);
        self.export("POSTGRES_VIA", text.into());
        let (value, default) = match &decided {
            Via::Tcp => (service.as_ref().map(|s| s.value.clone()), Source::Unset),
            Via::Exec(name) => (Some(name.clone()), Source::Detected),
        };
        if let Some(value) = &value {
            self.export("POSTGRES_SERVICE", value.clone());
        }
        self.row("POSTGRES_SERVICE", value, service.map_or(default, |s| s.source));
        Ok((decided, named))
    }

    /// libpq passes over every wish for TLS where it connects to a local socket.
    fn warn_of_a_socket(&self, via: &Via, host: Option<&str>) {
        const ASKING: [&str; 3] = ["require", "verify-ca", "verify-full"];
        let mode = self.layers.given(&libpq::SSLMODE);
        let Some(mode) = mode.filter(|mode| ASKING.contains(&&*mode.value)) else { return };
        let socket = match via {
            Via::Exec(service) => {
                format!("the local socket in the service {service} (POSTGRES_VIA=exec)")
            }
            Via::Tcp => match host.filter(|host| host.starts_with(['/', '@'])) {
                Some(host) => format!("the local socket in {host}"),
                None => return,
            },
        };
        warning!("{} has no effect: the clients connect to {socket}, without TLS", mode.name);
    }

    fn dialled(&mut self, driver: &Driver, end: Endpoint) -> Result<()> {
        let mut port = end.port;
        if let Some(address) = self.address(driver, &end)? {
            self.export("PGHOSTADDR", address.ip().to_string());
            port = address.port();
        }
        self.export("PGHOST", end.host);
        self.export("PGPORT", port.to_string());
        Ok(())
    }

    /// The entry of the connection service file, where one is named.
    fn service_entry(&mut self) -> Result<Option<Service>> {
        let file = self.layers.given(&libpq::SERVICE_FILE);
        let Some(given) = self.layers.given(&libpq::SERVICE) else { return Ok(None) };
        let path = file.as_ref().map(|file| (file.name, self.deployment.path(&file.value)));
        let home = self.layers.environment.get("HOME").map(String::as_str);
        let entry = Service::find(&given.value, path, home)?;
        let found = entry.file.to_string_lossy().into_owned();
        for (passed, value, source) in [
            (&libpq::SERVICE, given.value, given.source),
            (&libpq::SERVICE_FILE, found, file.map_or(Source::Detected, |f| f.source)),
        ] {
            self.row(passed.setting, Some(value.clone()), source);
            self.export(passed.variable, value);
            self.given(passed.variable);
        }
        Ok(Some(entry))
    }

    /// A setting that an entry of the service file may give as well. libpq lets the entry win; where
    /// the two differ, the report of a restore would name one server, and another would be replaced.
    fn own(
        &mut self,
        key: &'static str,
        keyword: &str,
        entry: Option<&Service>,
    ) -> Result<Option<String>> {
        let set = self.layers.get(key).map(|(value, _)| value.to_owned());
        let Some((entry, value)) = entry.and_then(|e| Some((e, e.get(keyword)?))) else {
            return Ok(self.take(key));
        };
        if set.is_some_and(|set| set != value) {
            return Err(differs(key, keyword, entry));
        }
        let row = self.row(key, Some(value.to_owned()), Source::Detected);
        row.reason = Some(entry.to_string());
        Ok(Some(value.to_owned()))
    }

    /// What libpq is given beside host, role and password; gives the files that are named there.
    fn libpq(&mut self, entry: Option<&Service>) -> Result<Vec<Named>> {
        let mut files = Vec::new();
        let mut may_use_tls = true;
        for passed in libpq::PASSED {
            let Some((found, name)) = self.passed(passed, entry)? else { continue };
            may_use_tls &= passed.variable != libpq::SSLMODE.variable || found.value != "disable";
            let mut value = found.value;
            if libpq::is_path(passed, &value) {
                let path = self.deployment.path(&value);
                value = path.to_string_lossy().into_owned();
                if may_use_tls || passed.kind != Kind::TlsFile {
                    files.push(Named { setting: name, path });
                }
            }
            let row = self.row(passed.setting, Some(value.clone()), found.source);
            row.reason = (name != passed.setting).then(|| format!("given as {name}"));
            self.export(passed.variable, value);
            self.given(passed.variable);
        }
        Ok(files)
    }

    /// With the system's certificates, libpq 16 verifies fully and agrees to nothing less. To an older
    /// one, `system` is a file that is not there, without which it would connect all the same.
    fn system_certificates(&mut self, entry: Option<&Service>) -> Result<()> {
        let root = self.layers.given(&libpq::SSLROOTCERT);
        let Some(root) = root.filter(|root| root.value == "system") else { return Ok(()) };
        let given = self.layers.given(&libpq::SSLMODE).map(|mode| mode.value);
        let theirs = entry.and_then(|entry| entry.get(libpq::SSLMODE.keyword));
        match given.as_deref().or(theirs) {
            Some("verify-full") => Ok(()),
            Some(_) => Err(Stop::usage(format!(
                "{}=system needs {}=verify-full",
                root.name,
                libpq::SSLMODE.setting
            ))
            .into()),
            None => {
                let row =
                    self.row(libpq::SSLMODE.setting, Some("verify-full".into()), Source::Detected);
                row.reason = Some(format!("{} is system", root.name));
                self.export(libpq::SSLMODE.variable, "verify-full".into());
                Ok(())
            }
        }
    }

    /// One of libpq's settings, and the name that it was given by.
    fn passed(
        &self,
        passed: &'static Passed,
        entry: Option<&Service>,
    ) -> Result<Option<(Found, &'static str)>> {
        let given = self.layers.given(passed);
        let theirs = entry.and_then(|entry| Some((entry, entry.get(passed.keyword)?)));
        match (given, theirs) {
            (Some(given), theirs) => {
                libpq::check(passed, given.name, &given.value)?;
                if let Some((entry, _)) = theirs.filter(|(_, value)| *value != given.value) {
                    return Err(differs(given.name, passed.keyword, entry));
                }
                Ok(Some((Found { value: given.value, source: given.source }, given.name)))
            }
            // The entry's own is libpq's to read; a file's path there is not the deployment's.
            (None, Some(_)) => Ok(None),
            (None, None) => {
                let default = self.look(passed.setting);
                Ok(default.map(|found| (found, passed.setting)))
            }
        }
    }

    fn password(&mut self, entry: Option<&Service>) -> Result<()> {
        let password = self.secret("POSTGRES_PASSWORD")?;
        match (password, entry.filter(|entry| entry.get("password").is_some())) {
            (Some(_), Some(entry)) => Err(differs("POSTGRES_PASSWORD", "password", entry)),
            (Some(password), None) => {
                self.export("PGPASSWORD", password.value);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }
}

fn differs(key: &str, keyword: &str, entry: &Service) -> anyhow::Error {
    anyhow!(Stop::usage(format!("{key} is set, and {entry} sets {keyword} too: keep one")))
}

fn entry_with_exec(entry: &Service, service: &str) -> anyhow::Error {
    anyhow!(Stop::usage(format!(
        "{} names {entry}, which determines the server, but POSTGRES_VIA=exec connects to the \
         service {service} itself; set POSTGRES_VIA=tcp, or keep one",
        libpq::SERVICE.setting
    )))
}

/// libpq connects without a certificate or a revocation list whose file is not there.
fn readable_here(files: &[Named]) -> Result<()> {
    for Named { setting, path } in files {
        readable(path).with_context(|| format!("{setting}: reading {}", path.display()))?;
    }
    Ok(())
}

fn readable(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { path.read_dir().map(drop) } else { std::fs::File::open(path).map(drop) }
}

/// With exec the clients run where the service does, and its files are not ours.
fn readable_inside(driver: &Driver, service: &str, files: &[Named]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    // Where the service is down or has no shell, the client that is started there reports more.
    let Ok(unseen) = driver.unseen(service, &paths) else { return Ok(()) };
    let Some(file) = files.iter().find(|file| unseen.contains(&file.path)) else {
        return Ok(());
    };
    bail!(Stop::usage(format!(
        "{}: the service {service} cannot read {}, and POSTGRES_VIA=exec runs the clients there; make \
         the file readable there under this path, or set POSTGRES_VIA=tcp, or, for the service's local \
         socket without TLS, POSTGRES_SSLMODE=disable",
        file.setting,
        file.path.display()
    )))
}
