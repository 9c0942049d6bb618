//! `ship-run fetch`: writes one copy to standard output, or restores a snapshot into a directory.

mod choice;
mod name;
mod restored;
mod transfer;

use crate::cli::Fetch;
use crate::fetch::choice::Own;
use crate::fetch::name::Name;
use crate::place::bucket::Bucket;
use crate::place::restic::Repository;
use crate::place::{Destination, Files, Place, unusable};
use crate::record::Record;
use crate::settings;
use anyhow::{Context, Result};
use bundle_format::shipments;
use bundle_format::shipped::{SUFFIX, ShippedManifest, sealed_name};
use pipe_kit::tool::Tool;
use pipe_kit::{Exit, Stop, deploy_env, info, warning};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A sealed file, and where it may be.
struct Candidate<'a> {
    /// None if the settings are those of the environment.
    destination: Option<&'a Destination>,
    files: &'a Files,
    file: String,
}

/// The description of a copy, or why it cannot be used.
type Described = Result<ShippedManifest, String>;

/// Fetches a copy.
///
/// # Errors
/// [`Stop::damaged`] if it is not what its description has.
pub fn run(args: &Fetch) -> Result<Exit> {
    let name = Name::parse(&args.copy)?;
    let variables = variables();
    let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    let deploy = PathBuf::from(get("PIPRIO_DEPLOY").unwrap_or_default());
    let own = settings::destinations(&get, &deploy);
    let fitting: Vec<&Destination> = own.iter().filter(|one| name.is_of(one)).collect();
    if let (Name::OfNumber { number, .. }, []) = (&name, &fitting[..]) {
        return Err(Stop::usage(format!("SHIP_{number} is not set")).into());
    }
    if let Some(destination) = fitting.iter().find(|d| matches!(d.place, Place::Restic(_))) {
        let Place::Restic(repository) = &destination.place else { return Ok(Exit::Failed) };
        info!("with the settings of {destination}");
        let seal =
            recorded(&deploy).get(destination, name.bundle()).and_then(|own| own.seal.clone());
        let own = Own { seal, domain: get("PIPRIO_DOMAIN") };
        return restored::restore(repository, name.bundle(), &own, args);
    }
    let environment = match &name {
        Name::Restic { repository, bundle } => {
            let file = args.passphrase_file.as_deref();
            let repository = Repository::of_environment(repository, file)?;
            let own = Own { seal: None, domain: get("PIPRIO_DOMAIN") };
            return restored::restore(&repository, bundle, &own, args);
        }
        Name::Bucket { folder, .. } => Files::Bucket(Bucket::of_environment(folder)),
        Name::OfNumber { .. } => Files::Bucket(Bucket::of_environment("")),
    };
    let mut candidates = Vec::new();
    for destination in &fitting {
        match &destination.place {
            Place::Files(files) => candidates.extend(name.files().map(|file| Candidate {
                destination: Some(destination),
                files,
                file,
            })),
            Place::Unusable(why) => return Err(unusable(why)),
            Place::Restic(_) => {}
        }
    }
    if candidates.is_empty() {
        let file = name.files();
        candidates.extend(file.map(|file| Candidate {
            destination: None,
            files: &environment,
            file,
        }));
    }
    fetch(&candidates, &deploy, args)
}

/// Fetches from the first candidate that has a description; if none has, from the first.
fn fetch(candidates: &[Candidate], deploy: &Path, args: &Fetch) -> Result<Exit> {
    let mut first = None;
    for candidate in candidates {
        let described = candidate.described()?;
        if described.is_ok() || candidates.len() == 1 {
            return candidate.fetch(described, deploy, args);
        }
        first = first.or(Some((candidate, described)));
    }
    let (candidate, described) = first.context("no file of that name can be a copy")?;
    candidate.fetch(described, deploy, args)
}

impl Candidate<'_> {
    /// Reads its description.
    ///
    /// # Errors
    /// [`Stop::damaged`] if it is that of another copy.
    fn described(&self) -> Result<Described> {
        let bytes = match self.files.read(&format!("{}{SUFFIX}", self.file)) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(format!("its description cannot be read ({error:#})"))),
        };
        match ShippedManifest::parse(&bytes) {
            Ok(manifest) if manifest.file != self.file => {
                let (name, other) = (&self.file, manifest.file);
                Err(Stop::damaged(format!("the description of {name} is that of {other}")).into())
            }
            Ok(manifest) => Ok(Ok(manifest)),
            Err(why) => Ok(Err(format!("its description is damaged: {why}"))),
        }
    }

    fn fetch(&self, described: Described, deploy: &Path, args: &Fetch) -> Result<Exit> {
        if let Some(destination) = self.destination {
            info!("with the settings of {destination}");
        }
        let manifest = match described {
            Ok(manifest) => {
                self.refuse_if_replaced(&manifest, deploy)?;
                Some(manifest)
            }
            Err(why) => {
                warning!("{}: {why}; only its own encryption is checked", args.copy);
                None
            }
        };
        transfer::run(self.files, &self.file, manifest.as_ref(), args)
    }

    /// This host may know which file it has copied there.
    fn refuse_if_replaced(&self, manifest: &ShippedManifest, deploy: &Path) -> Result<()> {
        let (Some(destination), Some(name)) = (self.destination, sealed_name(&self.file)) else {
            return Ok(());
        };
        if !recorded(deploy).contradicts(destination, &name, &manifest.shipment()) {
            return Ok(());
        }
        Err(Stop::damaged(format!(
            "{} at {destination} is not the file that this host has copied there: it was replaced; if it is to be \
             restored all the same, move {} aside",
            self.file,
            record_file(deploy).display()
        ))
        .into())
    }
}

/// What this host has copied where.
fn recorded(deploy: &Path) -> Record {
    Record::read(record_file(deploy))
}

fn record_file(deploy: &Path) -> PathBuf {
    deploy.join(".restore").join(shipments::FILE)
}

/// The settings of the deployment, if it has any, else the environment. The variables of other clients stay as they
/// are: they may be those that the copy needs.
fn variables() -> BTreeMap<String, String> {
    let own = || std::env::vars().filter(|(_, value)| !value.is_empty()).collect();
    let deploy = std::env::var_os("PIPRIO_DEPLOY").unwrap_or_default();
    let is_configured = Path::new(&deploy).join(".env").symlink_metadata().is_ok();
    if deploy.is_empty() || !is_configured || deploy_env::is_resolved() {
        return own();
    }
    match Tool::new("deploy-env").args(["--", "env", "-0"]).capture() {
        Ok(text) => {
            let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        Err(error) => {
            warning!("the settings of {} are not used: {error:#}", Path::new(&deploy).display());
            own()
        }
    }
}
