//! `server`: a private PostgreSQL of the dump's major or a newer one.

use crate::bundle::{Bundle, major_of};
use crate::drill::{Drill, Dump, database_name, estimated_bytes};
use crate::server::{Preference, PrivateServer, ServerRequest};
use crate::settings::Settings;
use crate::workplace::SERVER;
use anyhow::Result;
use bundle_format::report::{DrillServer, LoadPreflight};
use pipe_kit::{info, warning};
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
        source: Preference::Any,
        keep: false,
    }
}

/// Starts it. If it lacks an extension of the dump, the image of the deployment's own service may have it.
///
/// # Errors
/// [`pipe_kit::Stop::refused`] if there is no room, or no PostgreSQL for the dump.
pub fn run(drill: &Drill) -> Result<()> {
    let dir = drill.workplace.subdirectory(SERVER)?;
    let dump = drill.dump()?;
    let request = request(&drill.settings, &drill.bundle, dump, &dir);
    let request = ServerRequest { keep: drill.keep.get(), ..request };
    let mut server = PrivateServer::start(&request)?;
    let mut missing = extensions_missing(drill, &server)?;
    if !missing.is_empty() && drill.settings.service.is_some() {
        info!("{} lacks {}; trying the image of the service", server.source(), missing.join(", "));
        server.stop()?;
        let of_image = ServerRequest { source: Preference::Image, ..request };
        server = match PrivateServer::start(&of_image) {
            Ok(server) => server,
            Err(error) => {
                warning!("{error:#}");
                PrivateServer::start(&request)?
            }
        };
        missing = extensions_missing(drill, &server)?;
    }
    let (version, source) = (server.version().to_owned(), server.source().to_owned());
    let needed = dump.server_version.as_deref().unwrap_or("unknown").to_owned();
    drill.results.pass(
        "PostgreSQL",
        format!("{needed} or newer"),
        format!("{version} of {source}"),
    );
    let network = ("network of the server", "its own, in which nothing can be reached");
    match server.has_own_network() {
        true => drill.results.pass(network.0, network.1, network.1),
        false => drill.results.note(network.0, network.1, "this host's: unshare is not permitted"),
    }
    if !missing.is_empty() {
        let found = format!("{} not installed in {source}", missing.join(", "));
        drill.results.failed("extensions of the dump", "installed in the private server", found);
    }
    drill.results.update(|report| {
        report.server = Some(DrillServer { version, source, database_bytes: None });
    });
    drill.set_server(server);
    Ok(())
}

fn extensions_missing(drill: &Drill, server: &PrivateServer) -> Result<Vec<String>> {
    let database = database_name(drill.dump()?);
    let tool =
        server.tool("pg-snap", &database).args(["preflight", "--json"]).arg(drill.bundle.dump());
    let report: LoadPreflight = tool.report()?;
    Ok(report.extensions_missing_on_server)
}
