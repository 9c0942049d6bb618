//! Variables of the `.env` that are meant to be settings and are none.

use super::line::Line;
use super::place::Place;
use crate::{libpq, settings};

/// The first words of settings that only this toolkit has.
const OWN: [&str; 8] =
    ["ALARM_", "BACKUP_", "DRILL_", "HEALTH_", "HOOK_", "NOTIFY_", "RESTORE_", "SHIP_"];

/// A variable that is no setting.
#[derive(Debug, PartialEq, Eq)]
struct Stray<'a> {
    name: &'a str,
    /// The setting that it is probably meant to be.
    probably: Option<&'static str>,
}

/// A line for each variable that was probably meant to be a setting.
pub fn lines(names: &[&str], place: &Place) -> Vec<Line> {
    let mut lines: Vec<Line> =
        strays(names).iter().filter_map(|stray| line(stray, names, place)).collect();
    // The resolved settings have no destination for these.
    let alone = names.iter().filter_map(|name| {
        let destination = name.get(..6).filter(|_| name.starts_with("SHIP_"))?;
        let is_part = settings::is_known(name) && settings::is_known(destination);
        (is_part && !names.contains(&destination)).then_some((name, destination))
    });
    lines.extend(alone.map(|(name, destination)| {
        let found = format!("{name} has no effect without {destination}");
        Line::note("settings", found).with_command(place.edit())
    }));
    lines
}

fn line(stray: &Stray, names: &[&str], place: &Place) -> Option<Line> {
    const NAME: &str = "settings";
    let name = stray.name;
    let is_own = OWN.iter().any(|own| name.to_ascii_uppercase().starts_with(own));
    match stray.probably {
        // Of a name that the product may have too, the setting beside it shows what is meant.
        Some(known) if !is_own && names.contains(&known) => None,
        Some(known) => {
            let found = format!("{name} is no setting; it is probably {known}");
            // The last of two lines would count, and only the operator knows which is meant.
            let is_only = !names.contains(&known) && meant(names, known) == 1;
            let command = if is_only { rename(name, known, place) } else { place.edit() };
            Some(Line::finding(NAME, found, command))
        }
        None if settings::is_of_copies(name) => {
            let found = format!("{name} is no setting, and nothing is copied because of it");
            Some(Line::finding(NAME, found, place.edit()))
        }
        None if is_own => Some(Line::note(NAME, format!("{name} is no setting of this toolkit"))),
        None => None,
    }
}

/// How many variables are probably meant to be a setting.
fn meant(names: &[&str], setting: &str) -> usize {
    strays(names).iter().filter(|stray| stray.probably == Some(setting)).count()
}

fn rename(name: &str, to: &str, place: &Place) -> String {
    let script = format!(r"s/^(\s*(export\s+)?){name}\b/\1{to}/");
    format!("sed -i --follow-symlinks -E '{script}' {}", place.quoted(".env"))
}

fn strays<'a>(names: &[&'a str]) -> Vec<Stray<'a>> {
    // Others are nobody's settings, and would mean something to sed.
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let unknown = names.iter().filter(|name| !settings::is_known(name) && is_plain(name));
    unknown.map(|name| Stray { name, probably: nearest(name) }).collect()
}

/// The setting that a name is nearest to, if it is near enough.
fn nearest(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    let limit = match name.len() {
        0..=5 => 0,
        6..=9 => 1,
        _ => 2,
    };
    let known = || settings::names().chain(libpq::PASSED.iter().map(|passed| passed.variable));
    // A destination has another number on purpose.
    let same_digits = |known: &&str| digits(known).eq(digits(name));
    let near =
        known().filter(same_digits).map(|known| (strsim::osa_distance(&upper, known), known));
    if let Some((_, known)) = near.filter(|(distance, _)| *distance <= limit).min() {
        return Some(known);
    }
    let mut longer = known().filter(|known| is_without_unit(&upper, known));
    longer.next().filter(|_| longer.next().is_none())
}

fn digits(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(char::is_ascii_digit)
}

/// Whether the name lacks the last word of a setting, as in `HEALTH_MAX_BUNDLE_AGE`.
fn is_without_unit(name: &str, known: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
        && known.rsplit_once('_').is_some_and(|(stem, _)| stem == name)
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    #[test]
    fn a_name_near_a_setting_is_that_setting_and_one_of_the_product_is_not() {
        for (name, expected) in [
            ("BACKUP_KEEP_DAY", Some("BACKUP_KEEP_DAYS")),
            ("BAKCUP_ROOT", Some("BACKUP_ROOT")),
            ("backup_root", Some("BACKUP_ROOT")),
            ("HEALTH_MAX_BUNDLE_AGE", Some("HEALTH_MAX_BUNDLE_AGE_HOURS")),
            ("SHIP_RECIPIENT", Some("SHIP_RECIPIENTS")),
            ("SHIP_2_ENDPIONT", Some("SHIP_2_ENDPOINT")),
            ("POSTGRES_PASWORD_FILE", Some("POSTGRES_PASSWORD_FILE")),
            ("PGSSLMDOE", Some("PGSSLMODE")),
            ("REDIS_URI", Some("REDIS_URL")),
            ("SHIP_10", None),
            ("SHIP_KEEP", None),
            ("SHIP_FEE", None),
            ("POSTGRES_INITDB_ARGS", None),
            ("REDIS_HOST", None),
            ("S3_KEY", None),
            ("SMTP_PASSWORD", None),
            ("DEBUG", None),
            ("PUBLIC_URL", None),
        ] {
            assert_eq!(nearest(name), expected, "{name}");
        }
    }

    fn of(names: &[&str]) -> Vec<(Status, String)> {
        let lines = lines(names, &Place::new("/d".as_ref()));
        lines.into_iter().map(|l| (l.status, l.command.unwrap_or_default())).collect()
    }

    #[test]
    fn the_command_renames_the_line_and_an_editor_removes_it_if_the_setting_is_there_too() {
        let rename = r"sed -i --follow-symlinks -E 's/^(\s*(export\s+)?)BACKUP_KEEP_DAY\b/\1BACKUP_KEEP_DAYS/' /d/.env";
        assert_eq!(of(&["BACKUP_KEEP_DAY"]), [(Status::Finding, rename.into())]);
        let edit = || (Status::Finding, "${EDITOR:-vi} /d/.env".to_owned());
        assert_eq!(of(&["BACKUP_KEEP_DAY", "BACKUP_KEEP_DAYS"]), [edit()]);
        assert_eq!(of(&["BACKUP_KEEP_DAY", "BACKUP_KEPE_DAYS"]), [edit(), edit()]);
        assert_eq!(of(&["SHIP_10"]), [edit()]);
    }

    #[test]
    fn a_name_of_the_product_beside_the_setting_is_its_own() {
        assert_eq!(of(&["REDIS_URI", "REDIS_URL"]), []);
        assert_eq!(of(&["REDIS_URI"]).len(), 1);
        assert_eq!(of(&["SHIP_10"])[0].0, Status::Finding);
        let edit = "${EDITOR:-vi} /d/.env".to_owned();
        assert_eq!(of(&["SHIP_4_ENDPOINT"]), [(Status::Note, edit)]);
        assert_eq!(of(&["SHIP_4_ENDPOINT", "SHIP_4", "SHIP_KEEP_DAYS", "SHIP_RECIPIENTS"]), []);
        assert_eq!(of(&["BACKUP_WINDOW"]), [(Status::Note, String::new())]);
        assert_eq!(of(&["SHIP_FEE", "PUBLIC_URL", "odd-name[1]"]).len(), 1);
    }
}
