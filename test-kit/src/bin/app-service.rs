//! A stand-in for an application service: it answers readiness probes.

use anyhow::{Context, Result};
use clap::Parser;
use pipe_kit::Exit;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Answer readiness probes over HTTP
///
/// `GET /ready` is 200 while everything that is needed accepts connections, else 503; any other path
/// is 404. Once it answers, `listening on HOST:PORT` is printed.
#[derive(Parser)]
#[command(name = "app-service", version, about)]
struct Cli {
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// What must accept TCP connections for the service to be ready; may be given again
    #[arg(long, value_name = "HOST:PORT")]
    needs: Vec<String>,
}

fn main() -> ExitCode {
    pipe_kit::main::<Cli>("app-service", run)
}

fn run(cli: Cli) -> Result<Exit> {
    let listener =
        TcpListener::bind(cli.listen).with_context(|| format!("listening on {}", cli.listen))?;
    let address = listener.local_addr().context("the address listened at")?;
    pipe_kit::output::print(&format!("listening on {address}\n"))?;
    for stream in listener.incoming().flatten() {
        let needs = cli.needs.clone();
        // A client that goes away is its own affair.
        std::thread::spawn(move || answer(stream, &needs).ok());
    }
    Ok(Exit::Done)
}

fn answer(stream: TcpStream, needs: &[String]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    // To the end of the headers: closing with unread input would reset the connection.
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let (status, text) = match (path(&request), needs.iter().find(|need| !accepts(need))) {
        (Some("/ready"), None) => ("200 OK", "ok\n".to_owned()),
        (Some("/ready"), Some(need)) => ("503 Service Unavailable", format!("{need} is away\n")),
        _ => ("404 Not Found", "no such page\n".to_owned()),
    };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// The path of a GET's request line.
fn path(request: &str) -> Option<&str> {
    let rest = request.strip_prefix("GET ")?;
    rest.split([' ', '?']).next()
}

fn accepts(address: &str) -> bool {
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|a| TcpStream::connect_timeout(&a, PATIENCE).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Cli, path};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_a_get_has_a_path() {
        assert_eq!(path("GET /ready?x=1 HTTP/1.1\r\n"), Some("/ready"));
        assert_eq!(path("POST /ready HTTP/1.1\r\n"), None);
        assert_eq!(path(""), None);
    }
}
