//! Connections to the server, with TLS where the endpoint uses it.

use crate::s3::fault::{Kind, StoreError};
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use pipe_kit::address::share;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that acknowledges every packet at once. A server that uses Nagle's algorithm holds the end
/// of its response back until the packet before is acknowledged, which the kernel would otherwise delay by
/// some 40 ms for every object.
struct QuickAck {
    stream: TcpStream,
    /// Whether anything was received since the last packets were acknowledged.
    has_received: bool,
}

impl AsyncRead for QuickAck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.has_received = true;
        } else if std::mem::take(&mut self.has_received) {
            // This sends the acknowledgement that waits. A failure costs only speed.
            let _ = self.stream.set_quickack(true);
        }
        polled
    }
}

impl AsyncWrite for QuickAck {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How to connect to the server.
pub struct Dialer {
    host: String,
    /// The `HOST:PORT` to connect to; `--resolve` can make it another than the endpoint's own.
    address: String,
    /// The file of AWS_CA_BUNDLE; none if the system's authorities are used.
    ca_bundle: Option<PathBuf>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    pub fn new(settings: &Settings, host: &str) -> Result<Self> {
        let (name, port) = split_port(host, settings.is_tls());
        let address = settings.dial.clone().unwrap_or_else(|| format!("{name}:{port}"));
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let tls = settings.is_tls().then(|| {
            let config = client_config(settings.ca_bundle.as_deref())?;
            let server = ServerName::try_from(bare.to_owned())
                .with_context(|| format!("{bare} cannot be the name in a certificate"))?;
            anyhow::Ok((TlsConnector::from(Arc::new(config)), server))
        });
        let (host, ca_bundle) = (bare.to_owned(), settings.ca_bundle.clone());
        Ok(Self { host, address, ca_bundle, tls: tls.transpose()? })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] if there is no answer; [`Kind::Tls`] if the server cannot be trusted.
    pub async fn connect(&self) -> Result<Box<dyn Stream>, StoreError> {
        let unreachable = |message: String| StoreError::new(Kind::Unreachable, message);
        let late = || unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
        let connecting = async {
            let failed = |error: io::Error| match error.kind() {
                io::ErrorKind::TimedOut => late(),
                _ => unreachable(error.to_string()),
            };
            let found = tokio::net::lookup_host(&self.address).await.map_err(failed)?;
            let found: Vec<_> = found.collect();
            let stream = first_reached(&found, CONNECT_TIMEOUT).await.map_err(failed)?;
            // Requests are small and each is waited for, so they are sent at once.
            let _ = stream.set_nodelay(true);
            let stream = QuickAck { stream, has_received: false };
            match &self.tls {
                None => Ok(Box::new(stream) as Box<dyn Stream>),
                Some((connector, server)) => {
                    match connector.connect(server.clone(), stream).await {
                        Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
                        Err(error) => Err(self.refused(&error)),
                    }
                }
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    fn refused(&self, error: &io::Error) -> StoreError {
        let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
        match tls {
            Some(error) => StoreError::new(Kind::Tls, self.untrusted(error)),
            None => StoreError::transient(format!("setting up TLS: {error}")),
        }
    }

    /// Explains why a server is not trusted, and what helps.
    fn untrusted(&self, error: &rustls::Error) -> String {
        let host = &self.host;
        use CertificateError as C;
        match error {
            rustls::Error::InvalidCertificate(wrong) => match wrong {
                C::Expired | C::ExpiredContext { .. } => {
                    format!("the certificate of {host} has expired")
                }
                C::NotValidYet | C::NotValidYetContext { .. } => {
                    format!(
                        "the certificate of {host} is not valid yet; check the clock of this host"
                    )
                }
                C::NotValidForName | C::NotValidForNameContext { .. } => {
                    format!("the certificate presented by {host} is for another name")
                }
                C::UnknownIssuer => {
                    let trust = match &self.ca_bundle {
                        Some(file) => {
                            format!(", which is not in {} (AWS_CA_BUNDLE)", file.display())
                        }
                        None => {
                            "; if the authority is your own, name its certificate in AWS_CA_BUNDLE"
                                .to_owned()
                        }
                    };
                    format!("the certificate of {host} is issued by an untrusted authority{trust}")
                }
                other => format!("the certificate of {host} is not valid: {other}"),
            },
            rustls::Error::InvalidMessage(_) => {
                format!("{host} does not speak TLS on this port; does its URL start with http://?")
            }
            other => format!("TLS handshake with {host} failed: {other}"),
        }
    }
}

/// Splits a host from its port; the default is the scheme's port.
fn split_port(host: &str, is_tls: bool) -> (&str, u16) {
    let default = if is_tls { 443 } else { 80 };
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => match port.parse() {
            Ok(port) => (name, port),
            Err(_) => (host, default),
        },
        _ => (host, default),
    }
}

fn client_config(ca_bundle: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca_bundle {
        Some(path) => {
            let reading = || format!("AWS_CA_BUNDLE: reading {}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(reading)? {
                roots.add(certificate.with_context(reading)?).with_context(reading)?;
            }
            if roots.is_empty() {
                bail!("AWS_CA_BUNDLE: {} contains no certificate", path.display());
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                bail!(
                    "this system has no certificate authorities; install them (ca-certificates), or \
                     name the storage's own in AWS_CA_BUNDLE"
                );
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.context("setting up TLS")?.with_root_certificates(roots).with_no_client_auth())
}

/// Connects to the first address that answers, and returns why the last one does not if none does.
async fn first_reached(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let begun = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to connect to");
    for (position, address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(begun.elapsed());
        let own = share(left, addresses.len() - position);
        match tokio::time::timeout(own, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_kit::dead_host::DeadHost;

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let (dead, limit) = (DeadHost::new().unwrap(), Duration::from_secs(2));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (dead, good) = (dead.address().unwrap(), listener.local_addr().unwrap());
        for at in [&[dead, good][..], &[dead, dead, good], &[dead, good, dead]] {
            let whole = tokio::time::timeout(limit, first_reached(at, limit));
            assert_eq!(whole.await.unwrap().unwrap().peer_addr().unwrap(), good);
        }
        let error = first_reached(&[dead, dead], limit).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(first_reached(&[], limit).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_port_is_distinguished_from_an_address() {
        assert_eq!(split_port("s3:9000", false), ("s3", 9000));
        assert_eq!(split_port("s3", true), ("s3", 443));
        assert_eq!(split_port("[::1]", false), ("[::1]", 80));
        assert_eq!(split_port("[::1]:9000", false), ("[::1]", 9000));
    }
}
