//! The reports of drills, for the list of bundles.

use crate::bundle::hash;
use bundle_format::drills::drills;
use bundle_format::layout::SEAL;
use bundle_format::report::{DrillReport, Drilled};
use pipe_kit::text::hex;
use std::path::{Path, PathBuf};

/// Reports of drills, the newest first.
#[derive(Debug, Default)]
pub struct Drills(Vec<DrillReport>);

/// The directory of the deployment's reports, where one is known.
pub fn directory(given: Option<&Path>) -> Option<PathBuf> {
    let of_deployment = || {
        let deployment = std::env::var_os("PIPRIO_DEPLOY").filter(|dir| !dir.is_empty())?;
        Some(Path::new(&deployment).join(".drills"))
    };
    given.map(Path::to_owned).or_else(of_deployment)
}

impl Drills {
    /// Reads those of a directory. What cannot be read is left out: the list is about bundles.
    pub fn read(dir: &Path) -> Self {
        Self(drills(dir).filter_map(|drill| drill.report).collect())
    }

    /// The last drill of a bundle with the seal that it has now.
    pub fn of(&self, bundle: &Path, name: &str) -> Option<Drilled> {
        let mut own = self.0.iter().filter(|report| report.bundle.name == name).peekable();
        own.peek()?;
        let seal = hash::file(&bundle.join(SEAL), |_| {}).ok().map(|digest| hex(&digest));
        let report = own.find(|report| report.bundle.seal == seal)?;
        Some(Drilled {
            drill: report.drill.clone(),
            timestamp: report.started,
            result: report.result,
            rto_seconds: report.goals.rto_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::{DrillResult, DrilledBundle};
    use sha2::{Digest, Sha256};

    #[test]
    fn the_last_drill_of_a_bundle_counts_and_only_with_its_present_seal() {
        let dir = tempfile::tempdir().unwrap();
        let write = |drill: &str, bundle: &str, seal: &str, result| {
            let seal = Some(hex(&Sha256::digest(seal)));
            let bundle = DrilledBundle { name: bundle.into(), seal, ..DrilledBundle::default() };
            let report =
                DrillReport { drill: drill.into(), bundle, result, ..DrillReport::default() };
            std::fs::create_dir(dir.path().join(drill)).unwrap();
            let text = serde_json::to_string(&report).unwrap();
            std::fs::write(dir.path().join(drill).join("report.json"), text).unwrap();
        };
        write("drill_20260421T020000Z", "a", "now", DrillResult::Passed);
        write("drill_20260422T020000Z", "a", "before it was changed", DrillResult::Passed);
        write("drill_20260423T020000Z", "b", "now", DrillResult::Finding);
        std::fs::create_dir(dir.path().join("drill_20260424T020000Z")).unwrap();
        std::fs::write(dir.path().join("newest.json"), "{}").unwrap();
        let bundle = dir.path().join("bundle");
        std::fs::create_dir(&bundle).unwrap();
        std::fs::write(bundle.join(SEAL), "now").unwrap();
        let drills = Drills::read(dir.path());
        let drill = |name: &str| drills.of(&bundle, name).map(|drilled| drilled.drill);
        assert_eq!(drill("a").as_deref(), Some("drill_20260421T020000Z"));
        assert_eq!(drills.of(&bundle, "b").unwrap().result, DrillResult::Finding);
        assert_eq!(drill("c"), None);
        assert!(Drills::read(&dir.path().join("absent")).of(&bundle, "a").is_none());
    }
}
