//! The HTTP server around the store.

use super::backend::{Backend, HANG_UP};
use super::faults::{Fault, Faults};
use super::stats::Stats;
use super::store::Store;
use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result, s3_error};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The one pair of keys that the server knows.
#[derive(Clone)]
pub struct Keys {
    /// What AWS calls the access key id.
    pub access: String,
    /// What requests are signed with.
    pub secret: String,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access {
            return Ok(SecretKey::from(self.secret.as_str()));
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The access key Id you provided does not exist in our records"
        ))
    }
}

/// A server that listens but does not answer yet.
pub struct Server {
    listener: TcpListener,
    service: S3Service,
    stats: Arc<Stats>,
    faults: Arc<Faults>,
}

impl Server {
    /// Listens at `address` (port 0: a free one) with `buckets` made.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub async fn bind(address: SocketAddr, keys: Keys, buckets: &[String]) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listening on {address}"))?;
        let (store, stats) = (Arc::new(Store::default()), Arc::new(Stats::default()));
        buckets.iter().for_each(|b| store.create_bucket(b));
        let faults = Arc::new(Faults::default());
        let backend = Backend { store, stats: stats.clone(), faults: faults.clone() };
        let mut builder = S3ServiceBuilder::new(backend);
        builder.set_auth(keys);
        Ok(Self { listener, service: builder.build(), stats, faults })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("the address listened at")
    }

    /// Answers until the process ends.
    pub async fn run(self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors, say: the next connection may find one again.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (service, stats) = (self.service.clone(), self.stats.clone());
            let faults = self.faults.clone();
            tokio::spawn(async move {
                let answer = hyper::service::service_fn(move |request| {
                    answer(service.clone(), stats.clone(), faults.clone(), request)
                });
                // A client that goes away is its own affair.
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    }
}

async fn answer(
    service: S3Service,
    stats: Arc<Stats>,
    faults: Arc<Faults>,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    if request.uri().path() == "/_stats" {
        return Ok(Response::new(Body::from(stats.to_json())));
    }
    if request.uri().path() == "/_faults" {
        let mut answer = Response::new(Body::empty());
        if request.method() == Method::DELETE {
            faults.clear();
            return Ok(answer);
        }
        match Fault::parse(request.uri().query().unwrap_or_default()) {
            Ok(fault) => faults.add(fault),
            Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
        }
        return Ok(answer);
    }
    let answer = service.call(request.map(Body::from)).await?;
    if answer.status() == HANG_UP {
        return Err(HttpError::new(std::io::Error::other("hung up, as was asked for").into()));
    }
    Ok(answer)
}
