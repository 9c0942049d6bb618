//! `server`: a private PostgreSQL of the dump's major or a newer one.

use crate::bundle::{Bundle, major_of};
use crate::drill::{Drill, Dump, estimated_bytes};
use crate::server::{PrivateServer, ServerRequest};
use crate::settings::Settings;
use crate::workplace::SERVER;
use anyhow::Result;
use bundle_format::report::DrillServer;
use std::path::Path;

/// What is asked for.
pub fn request<'a>(
    settings: &'a Settings,
    bundle: &Bundle,
    dump: &Dump,
    dir: &'a Path,
) -> ServerRequest<'a> {
    let of_dump = dump.server_version.as_deref().and_then(major_of);
    ServerRequest {
        major: of_dump.or(bundle.major()).unwrap_or_default(),
        bytes: estimated_bytes(dump),
        dir,
        user: &settings.user,
        driver: &settings.driver,
        service: settings.service.as_deref(),
    }
}

/// Starts it.
///
/// # Errors
/// [`pipe_kit::Stop::refused`] if there is no room, or no PostgreSQL for the dump.
pub fn run(drill: &Drill) -> Result<()> {
    let dir = drill.workplace.subdirectory(SERVER)?;
    let server =
        PrivateServer::start(&request(&drill.settings, &drill.bundle, drill.dump()?, &dir))?;
    let (version, source) = (server.version().to_owned(), server.source().to_owned());
    let needed = drill.dump()?.server_version.as_deref().unwrap_or("unknown").to_owned();
    drill.results.pass(
        "PostgreSQL",
        format!("{needed} or newer"),
        format!("{version} of {source}"),
    );
    drill.results.update(|report| {
        report.server = Some(DrillServer { version, source, database_bytes: None });
    });
    drill.set_server(server);
    Ok(())
}
