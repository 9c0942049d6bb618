//! The newest bundle, by `bundle-manifest list`.

use crate::limit::Limit;
use crate::probe::{Facts, Probe};
use crate::program::output;
use crate::settings::Settings;
use anyhow::{Context, Result};
use bundle_format::report::{Listing, ProbeKind, ProbeVerdict};
use pipe_kit::text::{age, size};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The name of the line, whichever bundle it is about.
pub const NAME: &str = "newest";
/// How many seconds a bundle's time may be ahead of the clock.
pub const AHEAD: i64 = 24 * 3600;

/// How old the newest bundle is and whether a quick check finds it whole. What is wrong with it is a warning, since
/// the deployment itself works.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let max_age = settings.limits.bundle_age;
    let probe = match listing(settings, limit) {
        Ok(listing) => judged(&listing, &settings.backups, max_age),
        Err(error) => Probe::new(ProbeKind::Bundle, NAME, ProbeVerdict::Warn, format!("{error:#}")),
    };
    vec![probe]
}

fn listing(settings: &Settings, limit: Limit) -> Result<Listing> {
    // The first backup creates it.
    if !settings.backups.exists() {
        return Ok(Listing::default());
    }
    let mut command = Command::new("bundle-manifest");
    command.args(["list", "--newest", "--json", "--quiet"]).arg(&settings.backups);
    if let Some(domain) = &settings.domain {
        command.arg("--domain").arg(domain);
    }
    let answer = output(&mut command, "bundle-manifest list", limit)?;
    serde_json::from_str(&answer).context("bundle-manifest list: its report cannot be read")
}

/// Without a greatest age, no bundle is expected, of whatever age.
fn judged(listing: &Listing, root: &Path, max_age: Option<Duration>) -> Probe {
    let Some(bundle) = listing.bundles.first() else {
        let verdict = if max_age.is_some() { ProbeVerdict::Warn } else { ProbeVerdict::Pass };
        return Probe::new(ProbeKind::Bundle, NAME, verdict, format!("none in {}", root.display()));
    };
    let hours = max_age.map(|age| age.as_secs() / 3600);
    let is_old = max_age.is_some_and(|max| bundle.age_seconds > max.as_secs().cast_signed());
    let is_ahead = bundle.age_seconds < -AHEAD;
    let age = match bundle.age_seconds {
        _ if is_ahead => "dated in the future".to_owned(),
        seconds => format!("{} old", age(seconds.max(0))),
    };
    let mut detail = format!("{}, {age}", bundle.name);
    if let Some(hours) = hours.filter(|_| is_old) {
        detail += &format!(" (more than {hours} h)");
    }
    detail += &format!(", {}, {}", size(bundle.bytes), bundle.state.word());
    if let Some(reason) = &bundle.reason {
        detail += &format!(": {reason}");
    }
    if !is_ahead && !listing.ahead.is_empty() {
        detail += &format!("; {} more dated in the future, not counted", listing.ahead.len());
    }
    for shrunk in &listing.shrunk {
        detail += &format!("; {} {}", shrunk.name, shrunk.reason);
    }
    let verdict = match bundle.state.is_good() && !is_old && !is_ahead && listing.shrunk.is_empty()
    {
        true => ProbeVerdict::Pass,
        false => ProbeVerdict::Warn,
    };
    Probe::new(ProbeKind::Bundle, NAME, verdict, detail).with_facts(Facts::from([
        ("bundle", bundle.name.as_str().into()),
        ("age_seconds", bundle.age_seconds.into()),
        ("bytes", bundle.bytes.into()),
        ("state", bundle.state.word().into()),
        ("shrunk", (!listing.shrunk.is_empty()).into()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bundle_format::report::{BundleState, ListedBundle, ShrunkBundle};

    fn outcome(age_seconds: i64, state: BundleState, hours: u64) -> (ProbeVerdict, String) {
        let name = "piprio_20260421T020000Z".to_owned();
        let reason = (state == BundleState::Damaged).then(|| "minio/a is missing".to_owned());
        let bundle = ListedBundle {
            name,
            age_seconds,
            bytes: 2048,
            state,
            reason,
            ..ListedBundle::default()
        };
        let listing = Listing { bundles: vec![bundle], ..Listing::default() };
        let max_age = (hours > 0).then(|| Duration::from_secs(hours * 3600));
        let probe = judged(&listing, Path::new("/b"), max_age);
        (probe.verdict, probe.detail.replace("piprio_20260421T020000Z, ", ""))
    }

    #[test]
    fn an_old_a_damaged_and_a_missing_bundle_are_warnings() {
        use BundleState::{Damaged, Intact, Unknown, Unsealed};
        use ProbeVerdict::{Pass, Warn};
        let hour = 3600;
        let table = [
            (26 * hour, Intact, 26, Pass, "26 h old, 2.0 KiB, intact"),
            (26 * hour + 1, Intact, 26, Warn, "26 h old (more than 26 h), 2.0 KiB, intact"),
            (999 * hour, Intact, 0, Pass, "41 d old, 2.0 KiB, intact"),
            (60, Unsealed, 26, Pass, "60 s old, 2.0 KiB, unsealed"),
            (0, Damaged, 26, Warn, "0 s old, 2.0 KiB, damaged: minio/a is missing"),
            (0, Damaged, 0, Warn, "0 s old, 2.0 KiB, damaged: minio/a is missing"),
            (180, Unknown, 26, Warn, "3 min old, 2.0 KiB, unknown"),
            (-AHEAD, Intact, 26, Pass, "0 s old, 2.0 KiB, intact"),
            (-AHEAD - 1, Intact, 26, Warn, "dated in the future, 2.0 KiB, intact"),
        ];
        for (seconds, state, hours, verdict, detail) in table {
            assert_eq!(outcome(seconds, state, hours), (verdict, detail.to_owned()), "{seconds}");
        }
        let none = |max_age| judged(&Listing::default(), Path::new("/b"), max_age).verdict;
        assert_eq!((none(Some(Duration::from_secs(1))), none(None)), (Warn, Pass));
    }

    #[test]
    fn a_bundle_that_shrank_is_a_warning_and_one_of_the_future_beside_it_is_none() {
        let bundle = ListedBundle {
            name: "b".to_owned(),
            age_seconds: 60,
            bytes: 1,
            state: BundleState::Intact,
            ..ListedBundle::default()
        };
        let listing = Listing { bundles: vec![bundle], ..Listing::default() };
        let outcome = |listing: &Listing| {
            let probe = judged(listing, Path::new("/b"), None);
            (probe.verdict, probe.detail)
        };
        let (verdict, detail) =
            outcome(&Listing { ahead: vec!["f".to_owned()], ..listing.clone() });
        assert_eq!(verdict, ProbeVerdict::Pass);
        assert_eq!(detail, "b, 60 s old, 1 B, intact; 1 more dated in the future, not counted");
        let shrunk = ShrunkBundle {
            name: "b".to_owned(),
            reason: "holds far less than a: 1 table empty (t.x)".to_owned(),
        };
        let (verdict, detail) = outcome(&Listing { shrunk: vec![shrunk], ..listing });
        assert_eq!(verdict, ProbeVerdict::Warn);
        assert!(
            detail.ends_with("intact; b holds far less than a: 1 table empty (t.x)"),
            "{detail}"
        );
    }
}
