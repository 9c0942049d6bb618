//! The copies elsewhere, for the list of bundles.

use crate::bundle::hash;
use bundle_format::layout::SEAL;
use bundle_format::report::ShippedTo;
use bundle_format::shipments::{FILE, Shipments};
use pipe_kit::text::hex;
use std::path::{Path, PathBuf};

/// The file with what the deployment has copied where, if one is known.
pub fn file(given: Option<&Path>) -> Option<PathBuf> {
    let of_deployment = || {
        let deployment = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty())?;
        Some(Path::new(&deployment).join(".restore").join(FILE))
    };
    given.map(Path::to_owned).or_else(of_deployment)
}

/// The copies of a bundle with the seal that it has now.
pub fn of(shipments: &Shipments, bundle: &Path, name: &str) -> Vec<ShippedTo> {
    let mut copies = shipments.of_bundle(name).peekable();
    if copies.peek().is_none() {
        return Vec::new();
    }
    let seal = hash::file(&bundle.join(SEAL), |_| {}).ok().map(|digest| hex(&digest));
    let own = copies.filter(|(_, shipment)| shipment.seal == seal && !shipment.damaged);
    own.map(|(place, shipment)| ShippedTo { destination: place.into(), timestamp: shipment.at })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::shipments::Shipment;
    use sha2::{Digest, Sha256};

    #[test]
    fn only_copies_of_the_bundle_as_it_is_now_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(SEAL), "now").unwrap();
        let mut shipments = Shipments::default();
        let at = "2026-04-21T02:10:00Z".parse().unwrap();
        for (place, seal) in [("/a", "now"), ("/b", "before it was changed")] {
            let seal = Some(hex(&Sha256::digest(seal)));
            shipments.add(place, "x", Shipment { seal, sha256: None, size: 1, at, damaged: false });
        }
        let destinations = |name| {
            let copies = of(&shipments, dir.path(), name);
            copies.into_iter().map(|copy| copy.destination).collect::<Vec<_>>()
        };
        assert_eq!(destinations("x"), ["/a"]);
        assert!(destinations("y").is_empty());
    }
}
