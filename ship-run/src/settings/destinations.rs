//! The destinations that are set. What is wrong with one does not keep the others from being used.

use crate::mounts::Mounts;
use crate::place::bucket::Bucket;
use crate::place::directory::Directory;
use crate::place::restic::Repository;
use crate::place::{Destination, Files, Place};
use bundle_format::shipments;
use std::path::Path;

/// The most destinations.
const MOST: u8 = 9;
/// The most days that a copy can be locked.
const MOST_DAYS: u32 = 36_500;

/// Looks a variable up.
pub type Get<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The destinations, by their numbers.
pub fn destinations(get: &Get, deploy: &Path) -> Vec<Destination> {
    let mounts = Mounts::read(deploy);
    let mut all: Vec<Destination> = Vec::new();
    for number in 1..=MOST {
        let Some(setting) = get(&format!("SHIP_{number}")) else { continue };
        let own = |suffix: &str| get(&format!("SHIP_{number}_{suffix}"));
        let name = shipments::place(&setting, own("ENDPOINT").as_deref());
        let same = all.iter().find(|other| other.name == name);
        let place = match same {
            Some(other) => Err(format!("SHIP_{number} is the same place as SHIP_{}", other.number)),
            None => place(number, &setting, &own, &mounts),
        };
        let (place, retain_days) = match place.and_then(|place| {
            let days = retain_days(number, &own, &place)?;
            Ok((place, days))
        }) {
            Ok(usable) => usable,
            Err(why) => (Place::Unusable(why), None),
        };
        all.push(Destination { number, name, place, retain_days });
    }
    all
}

fn place(number: u8, setting: &str, own: &Get, mounts: &Mounts) -> Result<Place, String> {
    if let Some(rest) = setting.strip_prefix("s3://") {
        return Ok(Place::Files(Files::Bucket(Bucket::new(rest, number, own))));
    }
    if let Some(rest) = setting.strip_prefix("restic:") {
        return Repository::new(rest, number, own).map(Place::Restic);
    }
    if setting.contains(':') {
        return Err(format!(
            "SHIP_{number} is neither s3://BUCKET[/PREFIX] nor restic:REPOSITORY nor a directory"
        ));
    }
    let directory = Directory::new(Path::new(setting));
    Ok(Place::Files(Files::Directory(directory.mounted(mounts.of(Path::new(setting))))))
}

fn retain_days(number: u8, own: &Get, place: &Place) -> Result<Option<u32>, String> {
    let (days, mode) = (own("RETAIN_DAYS"), own("RETAIN_MODE"));
    let is_bucket = matches!(place, Place::Files(Files::Bucket(_)));
    match (days, mode) {
        (None, None) => Ok(None),
        _ if !is_bucket => {
            Err(format!("SHIP_{number}_RETAIN_DAYS: a directory locks nothing; it is for s3://"))
        }
        (None, Some(_)) => Err(format!(
            "SHIP_{number}_RETAIN_MODE locks nothing without SHIP_{number}_RETAIN_DAYS"
        )),
        (Some(_), Some(mode)) if !["governance", "compliance"].contains(&mode.as_str()) => {
            Err(format!("SHIP_{number}_RETAIN_MODE must be governance or compliance"))
        }
        (Some(days), _) => {
            let days = days.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days));
            let wrong = || {
                format!("SHIP_{number}_RETAIN_DAYS must be a whole number from 1 to {MOST_DAYS}")
            };
            days.map(Some).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Vec<Destination> {
        let get = |name: &str| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        destinations(&get, Path::new("/nonexistent"))
    }

    fn unusable(destination: &Destination) -> Option<&str> {
        match &destination.place {
            Place::Unusable(why) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn destinations_are_read_in_order_and_gaps_are_none() {
        let all = read(&[
            ("SHIP_3", "/copies"),
            ("SHIP_1", "s3://b/p"),
            ("SHIP_1_ENDPOINT", "https://a"),
            ("SHIP_2", "s3://b/p"),
            ("SHIP_2_ENDPOINT", "https://b"),
            ("SHIP_4", "restic:/srv/repository"),
            ("SHIP_4_PASSWORD_FILE", "/p"),
        ]);
        let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "SHIP_1 (s3://b/p at https://a)",
                "SHIP_2 (s3://b/p at https://b)",
                "SHIP_3 (/copies)",
                "SHIP_4 (restic:/srv/repository)"
            ]
        );
        assert!(all.iter().all(|destination| unusable(destination).is_none()));
    }

    #[test]
    fn one_that_is_wrong_is_unusable_and_the_others_are_not() {
        for (wrong, why) in [
            (&[("SHIP_1", "ftp://x")][..], "neither s3://"),
            (&[("SHIP_1", "s3://b"), ("SHIP_1_RETAIN_DAYS", "x")], "SHIP_1_RETAIN_DAYS must"),
            (&[("SHIP_1", "s3://b"), ("SHIP_1_RETAIN_DAYS", "0")], "SHIP_1_RETAIN_DAYS must"),
            (&[("SHIP_1", "s3://b"), ("SHIP_1_RETAIN_MODE", "compliance")], "without"),
            (
                &[("SHIP_1", "s3://b"), ("SHIP_1_RETAIN_DAYS", "3"), ("SHIP_1_RETAIN_MODE", "x")],
                "must be governance",
            ),
            (&[("SHIP_1", "/d"), ("SHIP_1_RETAIN_DAYS", "3")], "a directory locks nothing"),
            (&[("SHIP_1", "restic:/r")], "SHIP_1_PASSWORD_FILE is not set"),
        ] {
            let all = read(&[wrong, &[("SHIP_2", "/copies")]].concat());
            assert!(unusable(&all[0]).is_some_and(|found| found.contains(why)), "{wrong:?}");
            assert_eq!(unusable(&all[1]), None);
        }
        let twice = read(&[("SHIP_1", "s3://b/p/"), ("SHIP_2", "s3://b/p")]);
        assert_eq!(unusable(&twice[1]), Some("SHIP_2 is the same place as SHIP_1"));
    }
}
