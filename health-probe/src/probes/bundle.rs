//! The newest bundle, asked for by `bundle-manifest list`.

use super::bytes;
use crate::ask::ask;
use crate::limit::Limit;
use crate::probe::{Facts, Kind, Probe, Verdict};
use crate::settings::Settings;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What the line is called, whichever bundle it tells of.
pub const NAME: &str = "newest";
/// How far a bundle's time may be ahead of this clock.
const AHEAD: i64 = 24 * 3600;

#[derive(Default, Deserialize)]
struct Listing {
    bundles: Vec<Bundle>,
    /// Bundles dated more than a day ahead, which are no newest ones.
    #[serde(default)]
    ahead: Vec<String>,
    /// Bundles that hold far less than the one before them.
    #[serde(default)]
    shrunk: Vec<Shrunk>,
}

#[derive(Deserialize)]
struct Shrunk {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Bundle {
    name: String,
    age_seconds: i64,
    bytes: u64,
    state: String,
    reason: Option<String>,
}

/// How old the newest bundle is and whether it looks whole. What is wrong with it is a warning: the
/// deployment works, and a restore that went well is no worse for it.
pub fn probe(settings: &Settings, limit: Limit) -> Vec<Probe> {
    let max_age = settings.limits.bundle_age;
    let probe = match listing(settings, limit) {
        Ok(listing) => judged(&listing, &settings.backups, max_age),
        Err(error) => Probe::new(Kind::Bundle, NAME, Verdict::Warn, format!("{error:#}")),
    };
    vec![probe]
}

fn listing(settings: &Settings, limit: Limit) -> Result<Listing> {
    // The first backup makes it.
    if !settings.backups.exists() {
        return Ok(Listing::default());
    }
    let mut command = Command::new("bundle-manifest");
    command.args(["list", "--newest", "--json", "--quiet"]).arg(&settings.backups);
    if let Some(domain) = &settings.domain {
        command.arg("--domain").arg(domain);
    }
    let answer = ask(&mut command, "bundle-manifest list", limit)?;
    serde_json::from_str(&answer).context("bundle-manifest list: its answer is not understood")
}

/// Without a greatest age, nobody expects a bundle of a certain age, or one at all.
fn judged(listing: &Listing, root: &Path, max_age: Option<Duration>) -> Probe {
    let Some(bundle) = listing.bundles.first() else {
        let verdict = if max_age.is_some() { Verdict::Warn } else { Verdict::Pass };
        return Probe::new(Kind::Bundle, NAME, verdict, format!("none in {}", root.display()));
    };
    let hours = max_age.map(|age| age.as_secs() / 3600);
    let is_old = max_age.is_some_and(|max| bundle.age_seconds > max.as_secs().cast_signed());
    let is_ahead = bundle.age_seconds < -AHEAD;
    let age = match bundle.age_seconds {
        _ if is_ahead => "dated in the future".to_owned(),
        seconds => format!("{} old", age(seconds)),
    };
    let mut detail = format!("{}, {age}", bundle.name);
    if let Some(hours) = hours.filter(|_| is_old) {
        detail += &format!(" (more than {hours} h)");
    }
    detail += &format!(", {}, {}", bytes(bundle.bytes), bundle.state);
    if let Some(reason) = &bundle.reason {
        detail += &format!(": {reason}");
    }
    if !is_ahead && !listing.ahead.is_empty() {
        detail += &format!("; {} more dated in the future, not counted", listing.ahead.len());
    }
    for shrunk in &listing.shrunk {
        detail += &format!("; {} {}", shrunk.name, shrunk.reason);
    }
    let is_whole = ["intact", "unsealed"].contains(&bundle.state.as_str());
    let verdict = match is_whole && !is_old && !is_ahead && listing.shrunk.is_empty() {
        true => Verdict::Pass,
        false => Verdict::Warn,
    };
    Probe::new(Kind::Bundle, NAME, verdict, detail).knowing(Facts::from([
        ("bundle", bundle.name.as_str().into()),
        ("age_seconds", bundle.age_seconds.into()),
        ("bytes", bundle.bytes.into()),
        ("state", bundle.state.as_str().into()),
        ("shrunk", (!listing.shrunk.is_empty()).into()),
    ]))
}

/// An age for people, from seconds.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(age_seconds: i64, state: &str, hours: u64) -> (Verdict, String) {
        let name = "piprio_20260421T020000Z".to_owned();
        let reason = (state == "damaged").then(|| "minio/a is missing".to_owned());
        let bundle = Bundle { name, age_seconds, bytes: 2048, state: state.into(), reason };
        let listing = Listing { bundles: vec![bundle], ..Listing::default() };
        let max_age = (hours > 0).then(|| Duration::from_secs(hours * 3600));
        let probe = judged(&listing, Path::new("/b"), max_age);
        (probe.verdict, probe.detail.replace("piprio_20260421T020000Z, ", ""))
    }

    #[test]
    fn an_old_a_damaged_and_a_missing_bundle_are_warnings() {
        use Verdict::{Pass, Warn};
        let hour = 3600;
        let table = [
            (26 * hour, "intact", 26, Pass, "26 h old, 2.0 KiB, intact"),
            (26 * hour + 1, "intact", 26, Warn, "26 h old (more than 26 h), 2.0 KiB, intact"),
            (999 * hour, "intact", 0, Pass, "41 d old, 2.0 KiB, intact"),
            (60, "unsealed", 26, Pass, "60 s old, 2.0 KiB, unsealed"),
            (0, "damaged", 26, Warn, "0 s old, 2.0 KiB, damaged: minio/a is missing"),
            (0, "damaged", 0, Warn, "0 s old, 2.0 KiB, damaged: minio/a is missing"),
            (180, "unknown", 26, Warn, "3 min old, 2.0 KiB, unknown"),
            (-AHEAD, "intact", 26, Pass, "0 s old, 2.0 KiB, intact"),
            (-AHEAD - 1, "intact", 26, Warn, "dated in the future, 2.0 KiB, intact"),
        ];
        for (seconds, state, hours, verdict, detail) in table {
            assert_eq!(told(seconds, state, hours), (verdict, detail.to_owned()), "{seconds}");
        }
        let none = |max_age| judged(&Listing::default(), Path::new("/b"), max_age).verdict;
        assert_eq!((none(Some(Duration::from_secs(1))), none(None)), (Warn, Pass));
    }

    #[test]
    fn a_bundle_that_shrank_is_a_warning_and_one_of_the_future_beside_it_is_none() {
        let text = |more: &str| {
            let bundle =
                r#"{"name":"b","age_seconds":60,"bytes":1,"state":"intact","reason":null}"#;
            let listing: Listing =
                serde_json::from_str(&format!(r#"{{"bundles":[{bundle}]{more}}}"#)).unwrap();
            let probe = judged(&listing, Path::new("/b"), None);
            (probe.verdict, probe.detail)
        };
        let (verdict, detail) = text(r#","ahead":["f"]"#);
        assert_eq!(verdict, Verdict::Pass);
        assert_eq!(detail, "b, 60 s old, 1 B, intact; 1 more dated in the future, not counted");
        let (verdict, detail) = text(
            r#","shrunk":[{"name":"b","reason":"holds far less than a: 1 table empty (t.x)"}]"#,
        );
        assert_eq!(verdict, Verdict::Warn);
        assert!(
            detail.ends_with("intact; b holds far less than a: 1 table empty (t.x)"),
            "{detail}"
        );
    }
}
