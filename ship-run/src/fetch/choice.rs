//! Which snapshot a bundle is restored from: deployments that share a repository may have bundles of one name.

use crate::place::restic::snapshot::Snapshot;
use anyhow::{Context, Result};
use bundle_format::BundleName;
use pipe_kit::Stop;

/// What this host knows of the bundle that is to be restored.
#[derive(Debug, Default)]
pub struct Own {
    /// The SHA-256 of its seal, hex, as recorded when it was copied.
    pub seal: Option<String>,
    /// The domain of this deployment.
    pub domain: Option<String>,
}

/// The snapshot of a bundle; of several of the same bundle, any.
///
/// # Errors
/// [`Stop::damaged`] if the one that this host has recorded is not there, but others are; [`Stop::refused`] if it is not
/// known which of several it is.
pub fn choose<'a>(
    snapshots: &'a [Snapshot],
    bundle: &BundleName,
    own: &Own,
) -> Result<&'a Snapshot> {
    let name = bundle.as_str();
    let of_bundle = |snapshot: &&Snapshot| snapshot.bundle().as_ref() == Some(bundle);
    let mut named: Vec<&Snapshot> = snapshots.iter().filter(of_bundle).collect();
    let last = *named.last().with_context(|| format!("there is no snapshot of {name}"))?;
    if let Some(seal) = own.seal.as_deref() {
        let recorded = named.iter().rfind(|snapshot| snapshot.seal() == Some(seal));
        return recorded.copied().ok_or_else(|| {
            Stop::damaged(format!(
                "no snapshot of {name} has the seal of the bundle that this host has copied there: it was replaced; to \
                 restore another one by hand: {}",
                by_hand(&named)
            ))
            .into()
        });
    }
    // A deployment may restore another one's bundle, but not in place of its own.
    if let Some(domain) = own.domain.as_deref()
        && named.iter().any(|snapshot| snapshot.is_of(domain))
    {
        named.retain(|snapshot| snapshot.is_of(domain));
    }
    let last = named.last().copied().unwrap_or(last);
    let is_same = |one: &&Snapshot| one.seal().is_some() && one.seal() == last.seal();
    if named.len() == 1 || named.iter().all(is_same) {
        return Ok(last);
    }
    Err(Stop::refused(format!(
        "there are several snapshots of {name}, of different bundles; nothing was restored; set PIPRIO_DOMAIN to the domain of one, or restore it by hand: {}",
        by_hand(&named)
    ))
    .into())
}

/// The command for one of these.
fn by_hand(snapshots: &[&Snapshot]) -> String {
    let one = |snapshot: &&Snapshot| {
        format!("{} of {}", snapshot.short_id, snapshot.domain().unwrap_or("unknown"))
    };
    let ids: Vec<String> = snapshots.iter().map(one).collect();
    format!("restic restore ID --target DIR ({})", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::restic::snapshot::domain_tag;
    use pipe_kit::{Exit, status};
    use std::ffi::OsStr;

    const NAME: &str = "piprio_20260421T020000Z";

    /// A snapshot with its id, domain and seal.
    fn snapshot((id, domain, seal): (&str, &str, &str)) -> Snapshot {
        let tags = ["piprio", NAME, &domain_tag(domain), &format!("seal={seal}")];
        let tags = tags.iter().filter(|tag| **tag != "seal=").map(|tag| (*tag).to_owned());
        let name = BundleName::parse(OsStr::new(NAME)).unwrap();
        Snapshot {
            id: id.into(),
            short_id: id.into(),
            time: name.taken(),
            tags: Some(tags.collect()),
        }
    }

    fn chosen(
        snapshots: &[(&str, &str, &str)],
        seal: Option<&str>,
        domain: Option<&str>,
    ) -> Result<String, (Exit, String)> {
        let snapshots: Vec<_> = snapshots.iter().map(|one| snapshot(*one)).collect();
        let name = BundleName::parse(OsStr::new(NAME)).unwrap();
        let own = Own { seal: seal.map(str::to_owned), domain: domain.map(str::to_owned) };
        let chosen = choose(&snapshots, &name, &own);
        chosen.map(|one| one.id.clone()).map_err(|e| (status::of(&e), e.to_string()))
    }

    #[test]
    fn the_recorded_seal_decides_then_the_domain_and_what_is_not_known_is_refused() {
        let two = [("1", "a.example", "s1"), ("2", "b.example", "s2")];
        for (snapshots, seal, domain, id) in [
            (&two[..], Some("s1"), Some("b.example"), "1"),
            (&two, None, Some("a.example"), "1"),
            (&two, None, Some("b.example"), "2"),
            // Only another deployment's.
            (&two[1..], None, Some("a.example"), "2"),
            // The same bundle twice.
            (&[two[0], ("3", "a.example", "s1")], None, None, "3"),
            (&[two[0], ("3", "a.example", "s1")], Some("s1"), None, "3"),
            (&[("1", "a,b", ""), two[1]], None, Some("a,b"), "1"),
        ] {
            assert_eq!(chosen(snapshots, seal, domain).as_deref(), Ok(id), "{snapshots:?}");
        }
        for (snapshots, seal, domain, exit) in [
            (&two[..], None, None, Exit::Refused),
            (&two, None, Some("c.example"), Exit::Refused),
            (&two, Some("s3"), Some("a.example"), Exit::Damaged),
            (&[("1", "a.example", ""), ("2", "a.example", "")], None, None, Exit::Refused),
            (&[], None, None, Exit::Failed),
        ] {
            let (found, why) = chosen(snapshots, seal, domain).unwrap_err();
            assert_eq!(found, exit, "{why}");
            let are_listed =
                snapshots.iter().all(|(id, domain, _)| why.contains(&format!("{id} of {domain}")));
            assert!(are_listed, "{why}");
        }
    }
}
