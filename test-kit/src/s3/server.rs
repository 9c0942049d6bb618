//! The HTTP server around the store.

use super::backend::{Backend, HANG_UP};
use super::faults::{Fault, Faults};
use super::keys::Keys;
use super::lock::Locks;
use super::rules::Rules;
use super::stats::Stats;
use super::store::Store;
use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Names below this one are buckets' own hosts; to any other, the bucket is part of the path.
pub const DOMAIN: &str = "storage.test";

struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let bucket = name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.'));
        Ok(match bucket {
            Some(bucket) => VirtualHost::new(DOMAIN).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

/// A server that listens but does not answer yet.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    keys: Keys,
    rules: Rules,
    stats: Arc<Stats>,
    faults: Arc<Faults>,
}

impl Server {
    /// Listens at `address` (port 0: a free one) and serves a store; `locks`: what they are to it.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub async fn bind(address: SocketAddr, keys: Keys, store: Store, locks: Locks) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listening on {address}"))?;
        let (store, stats) = (Arc::new(store), Arc::new(Stats::default()));
        let faults = Arc::new(Faults::default());
        let backend = Backend { store, stats: stats.clone(), faults: faults.clone(), locks };
        let mut builder = S3ServiceBuilder::new(backend);
        builder.set_auth(keys.clone());
        builder.set_access(keys.clone());
        builder.set_host(Hosts);
        let (service, rules) = (builder.build(), Rules::default());
        Ok(Self { listener, tls: None, service, keys, rules, stats, faults })
    }

    /// The same by other rules.
    #[must_use]
    pub fn by(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The same over TLS, with a certificate and its key (PEM files).
    ///
    /// # Errors
    /// If they cannot be read or do not fit together.
    pub fn over_tls(mut self, certificate: &Path, key: &Path) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate).context("the certificate")?;
        let chain = chain.collect::<Result<Vec<_>, _>>().context("the certificate")?;
        let key = PrivateKeyDer::from_pem_file(key).context("the certificate's key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().context("setting up TLS")?;
        let config = config.with_no_client_auth().with_single_cert(chain, key).context("TLS")?;
        self.tls = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not report it.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("the address listened at")
    }

    /// Answers until the process ends.
    pub async fn run(self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors, for example: the next connection may find one again.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (service, stats) = (self.service.clone(), self.stats.clone());
            let (faults, tls) = (self.faults.clone(), self.tls.clone());
            let (keys, rules) = (self.keys.clone(), self.rules);
            tokio::spawn(async move {
                let answer = hyper::service::service_fn(move |request| {
                    let (service, keys) = (service.clone(), keys.clone());
                    let (stats, faults) = (stats.clone(), faults.clone());
                    async move {
                        if let Some(answer) = ask_of_itself(&stats, &faults, &request) {
                            return Ok(answer);
                        }
                        answer(service, keys, rules, request).await
                    }
                });
                // A client that goes away, or does not trust us, is its own affair.
                let builder = Builder::new(TokioExecutor::new());
                let _ = match tls {
                    None => builder.serve_connection(TokioIo::new(stream), answer).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => builder.serve_connection(TokioIo::new(stream), answer).await,
                        Err(_) => Ok(()),
                    },
                };
            });
        }
    }
}

/// The answer to a request that is not of S3.
fn ask_of_itself(
    stats: &Stats,
    faults: &Faults,
    request: &Request<Incoming>,
) -> Option<Response<Body>> {
    match request.uri().path() {
        "/_stats" => Some(Response::new(Body::from(stats.to_json()))),
        "/_faults" => {
            let mut answer = Response::new(Body::empty());
            if request.method() == Method::DELETE {
                faults.clear();
                return Some(answer);
            }
            match Fault::parse(request.uri().query().unwrap_or_default()) {
                Ok(fault) => faults.add(fault),
                Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
            }
            Some(answer)
        }
        _ => None,
    }
}

async fn answer(
    service: S3Service,
    keys: Keys,
    rules: Rules,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    let request = match rules.admit(request.map(Body::from), &keys).await {
        Ok(request) => request,
        Err(refusal) => return Ok(*refusal),
    };
    let mut answer = service.call(request).await?;
    if answer.status() == HANG_UP {
        return Err(HttpError::new(std::io::Error::other("hung up, as was asked for").into()));
    }
    rules.release(answer.headers_mut());
    Ok(answer)
}
