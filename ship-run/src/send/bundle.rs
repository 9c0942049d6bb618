//! The bundles to be sent.

use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use bundle_format::BundleName;
use bundle_format::layout::{MANIFEST, SEAL};
use bundle_format::manifest::Parsed;
use bundle_format::report::Listing;
use pipe_kit::Stop;
use pipe_kit::text::hex;
use pipe_kit::tool::Tool;
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A bundle on this host.
pub struct Bundle {
    pub path: PathBuf,
    pub name: BundleName,
    /// `unknown`, if its manifest has none.
    pub domain: String,
    /// The SHA-256 of its seal, hex; none if it has no seal.
    pub seal: Option<String>,
}

impl Bundle {
    /// Reads what identifies a bundle.
    ///
    /// # Errors
    /// [`Stop::usage`] if the directory is not named as a bundle; if it cannot be read.
    pub fn at(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("opening {}", path.display()))?;
        let name = BundleName::parse(path.file_name().unwrap_or_default()).ok_or_else(|| {
            Stop::usage(format!("{} is not named piprio_YYYYMMDDTHHMMSSZ", path.display()))
        })?;
        let read = |file: &str| match std::fs::read(path.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("reading {}", path.join(file).display()))
            }
        };
        let manifest = read(MANIFEST)?.unwrap_or_default();
        let domain = Parsed::read(&String::from_utf8_lossy(&manifest)).domain;
        let seal = read(SEAL)?.map(|seal| hex(&Sha256::digest(seal)));
        Ok(Self { name, domain: domain.unwrap_or_else(|| "unknown".into()), seal, path })
    }
}

/// The newest intact bundle of the deployment.
///
/// # Errors
/// If there is none.
pub fn newest(settings: &Settings) -> Result<Vec<Bundle>> {
    let list =
        Tool::new("bundle-manifest").args(["list", "--quiet", "--newest", "--intact", "--paths"]);
    let list = list.args(domain(settings)).arg(&settings.root);
    let path = list.capture()?;
    match path.trim_end() {
        "" => bail!("{} has no intact bundle; make one: backup.sh", settings.root.display()),
        path => Ok(vec![Bundle::at(Path::new(path))?]),
    }
}

/// Every intact bundle of the deployment, the newest first.
pub fn all(settings: &Settings) -> Result<Vec<Bundle>> {
    let list = Tool::new("bundle-manifest").args(["list", "--quiet", "--intact", "--json"]);
    let list: Listing = list.args(domain(settings)).arg(&settings.root).json()?;
    list.bundles.iter().map(|bundle| Bundle::at(Path::new(&bundle.path))).collect()
}

fn domain(settings: &Settings) -> impl Iterator<Item = &str> {
    settings.domain.iter().flat_map(|domain| ["--domain", domain])
}
