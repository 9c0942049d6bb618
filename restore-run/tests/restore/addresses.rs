//! Servers whose names do not resolve here, and which have other addresses once they were started again.

use super::kit::*;
use anyhow::Result;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use test_kit::deployment::sh;

/// An address of a server that is valid until a file exists. Gives its port.
fn address_until(moved: &Path, server: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let (moved, server) = (moved.to_owned(), SocketAddr::from(([127, 0, 0, 1], server)));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if moved.exists() {
                continue;
            }
            if let Ok(server) = TcpStream::connect(server) {
                let _ = join(client, server);
            }
        }
    });
    Ok(port)
}

fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || pass(from, to));
    std::thread::spawn(move || pass(server, client));
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn after_the_stateful_services_were_started_they_are_found_at_their_new_addresses() -> Result<()> {
    let (deployment, bundle) = with_bundle()?;
    let moved: PathBuf = deployment.dir().join("moved");
    let (postgres, redis) = (deployment.facts().postgres_port, deployment.facts().redis_port);
    let driver = format!(
        "#!/bin/sh
        here=$(cd \"$(dirname \"$0\")\" && pwd)
        at() {{ [ -e \"$here/moved\" ] && echo \"127.0.0.1:$2\" || echo \"127.0.0.1:$1\"; exit; }}
        case \"$1 $2\" in
            'addr postgres') at {} {postgres} ;;
            'addr redis') at {} {redis} ;;
        esac
        \"$here/scripts/drivers/process\" \"$@\" || exit
        case \"$*\" in *start*postgres*) touch \"$here/moved\" ;; esac\n",
        address_until(&moved, postgres)?,
        address_until(&moved, redis)?,
    );
    std::fs::write(deployment.dir().join("driver"), driver)?;
    sh(
        deployment.dir(),
        &format!(
            "chmod 700 driver
             sed -i -e 's|^SERVICE_DRIVER=.*|SERVICE_DRIVER=./driver|' \
                 -e 's|^POSTGRES_HOST=.*|POSTGRES_HOST=postgres\\nPOSTGRES_VIA=tcp|' \
                 -e '/^REDIS_URL/s|127.0.0.1:{redis}|redis:{redis}|' .env"
        ),
    )?;
    deployment.psql("create table public.newer ()")?;
    let run = deployment.restore(&bundle, &["--wait", "5"], &answers("n"))?.expect(0);
    assert!(moved.exists(), "{}", run.stderr);
    assert!(run.stderr.contains("the old database is dropped"), "{}", run.stderr);
    assert_eq!(databases(&deployment)?, "piprio postgres");
    assert_eq!(deployment.psql("select to_regclass('public.newer') is null")?, "t");
    Ok(())
}
