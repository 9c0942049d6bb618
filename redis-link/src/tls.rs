//! TLS: the trusted authorities and the client's certificate.

use crate::stream::{Stream, Timed, broken};
use anyhow::{Context, Result, anyhow, bail};
use pipe_kit::Stop;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CA: &str = "REDIS_CA_FILE";
const CERTIFICATE: &str = "REDIS_CERT_FILE";
const KEY: &str = "REDIS_KEY_FILE";

/// The PEM files that settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Files {
    /// As the variables `REDIS_CA_FILE`, `REDIS_CERT_FILE` and `REDIS_KEY_FILE` set it; an empty one is
    /// unset.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let file = |name| variable(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { ca: file(CA), certificate: file(CERTIFICATE), key: file(KEY) }
    }

    /// The authorities of the file, else the system's; and a certificate of ours, if there is one.
    ///
    /// # Errors
    /// If a file cannot be read or holds nothing of its kind, naming its setting.
    pub(crate) fn config(&self) -> Result<ClientConfig> {
        let roots = match &self.ca {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(CA, path)? {
                    roots.add(certificate).with_context(|| reading(CA, path))?;
                }
                roots
            }
            None => system()?,
        };
        // Named, so that it does not depend on what else is linked.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("setting up TLS")?
            .with_root_certificates(roots);
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(CERTIFICATE, certificate)?;
                let secret =
                    PrivateKeyDer::from_pem_file(key).with_context(|| reading(KEY, key))?;
                config.with_client_auth_cert(chain, secret).with_context(|| {
                    format!("{KEY} {} with {CERTIFICATE} {}", key.display(), certificate.display())
                })
            }
            (None, None) => Ok(config.with_no_client_auth()),
            (Some(_), None) => bail!(Stop::usage(format!("{CERTIFICATE} is set and {KEY} is not"))),
            (None, Some(_)) => bail!(Stop::usage(format!("{KEY} is set and {CERTIFICATE} is not"))),
        }
    }

    /// Why a server is not trusted, and how to fix that.
    fn untrusted(&self, host: &str, error: &rustls::Error) -> String {
        use CertificateError as C;
        let rustls::Error::InvalidCertificate(wrong) = error else {
            return match error {
                rustls::Error::InvalidMessage(_) => {
                    format!(
                        "{host} does not speak TLS on this port; does its URL start with redis://?"
                    )
                }
                other => format!("TLS handshake with {host} failed: {other}"),
            };
        };
        let what = match wrong {
            C::Expired | C::ExpiredContext { .. } => "has expired".to_owned(),
            C::NotValidYet | C::NotValidYetContext { .. } => {
                "is not valid yet; check the clock of this host".to_owned()
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "is for another name".to_owned()
            }
            C::UnknownIssuer => match &self.ca {
                Some(file) => {
                    format!(
                        "is issued by an authority that is not in {}, which {CA} names",
                        file.display()
                    )
                }
                None => format!(
                    "is issued by an untrusted authority; if the authority is your own, name its \
                     certificate in {CA}"
                ),
            },
            other => format!("is not valid: {other}"),
        };
        format!("the certificate of {host} {what}")
    }
}

fn reading(setting: &str, path: &Path) -> String {
    format!("{setting}: reading {}", path.display())
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).with_context(|| reading(setting, path))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().with_context(|| reading(setting, path))?;
    if found.is_empty() {
        bail!("{setting}: there is no certificate in {}", path.display());
    }
    Ok(found)
}

fn system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!(
            "this system has no certificate authorities; install them (ca-certificates), or name the \
             cache's own in {CA}"
        );
    }
    Ok(roots)
}

/// Starts TLS on a connection and verifies that the server is `host`.
pub fn wrap(mut stream: Timed, config: ClientConfig, host: &str, files: &Files) -> Result<Stream> {
    let name = ServerName::try_from(host.to_owned())
        .with_context(|| format!("{host} is not a name that a certificate can have"))?;
    let mut tls = ClientConnection::new(Arc::new(config), name).context("setting up TLS")?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut stream) {
            let of_tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            return Err(match of_tls {
                Some(of_tls) => anyhow!("{}", files.untrusted(host, of_tls)),
                None => broken(error).context(format!("setting up TLS with {host}")),
            });
        }
    }
    Ok(Stream::Tls(Box::new(StreamOwned::new(tls, stream))))
}
