//! `diff`: what an extraction would change.

use crate::access;
use crate::accounts::Accounts;
use crate::acl::Acl;
use crate::acl_text;
use crate::archive::{self, Archive};
use crate::cli;
use crate::disk::{Disk, Found, Walked};
use crate::entry::Kind;
use crate::names;
use crate::plan::{self, Action, Change, Step};
use crate::rel_path::{RelPath, escape, shown};
use crate::rights::rights_text;
use crate::select::Selection;
use crate::unified::unified;
use anyhow::{Context, Result, bail};
use pipe_kit::Exit;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;

/// Above this many bytes, a file is not shown.
const MAX_SHOWN: u64 = 1 << 20;

/// Runs `diff`.
pub fn run(args: &cli::Diff) -> Result<Exit> {
    let selection = Selection::new(&args.paths, &args.chosen.optional)?;
    let mut disk = Disk::open(&args.chosen.root)?;
    let archive = archive::read(pipe_kit::input::stdin()?)?;
    check_paths(&selection, &archive, &disk)?;
    let accounts = Accounts::here();
    let chosen = selection.choose(&archive.entries);
    let steps = plan::plan(&archive, chosen, &mut disk, &accounts)?;
    let differences = differences(&selection, &archive, &disk, &steps, &accounts)?;
    let text = if args.json {
        json(&differences)?
    } else {
        let mut text = String::new();
        for (path, difference) in each(&differences) {
            text += &describe(path, difference, &archive, &disk, args.reveal)?;
        }
        text
    };
    pipe_kit::output::print(&text)?;
    if differences.is_empty() {
        pipe_kit::info!("no differences");
    }
    Ok(Exit::Done)
}

fn check_paths(selection: &Selection, archive: &Archive, disk: &Disk) -> Result<()> {
    let unknown = selection.missing(|path| archive.holds(path));
    for path in unknown {
        if matches!(disk.look(path)?, Found::Missing) {
            bail!("{path} is neither in the archive nor in {}", disk.path().display());
        }
    }
    Ok(())
}

/// How a path differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Difference {
    OnlyHere,
    OnlyInBundle,
    /// Another content, or another kind of thing.
    Differs {
        here: String,
        bundle: &'static str,
    },
    /// Another mode.
    Mode {
        here: String,
        bundle: String,
    },
    /// Another access control list.
    Acl {
        here: String,
        bundle: String,
    },
    /// Another list for new files in it.
    DefaultAcl {
        bundle: String,
    },
    /// Extended attributes that are missing here or have another value: their names.
    Attributes {
        names: Vec<String>,
    },
    /// Another owner, which an extraction leaves.
    Owner {
        here: String,
        bundle: String,
    },
}

type Differences = BTreeMap<RelPath, Vec<Difference>>;

fn each(all: &Differences) -> impl Iterator<Item = (&RelPath, &Difference)> {
    all.iter().flat_map(|(path, some)| some.iter().map(move |one| (path, one)))
}

fn differences(
    selection: &Selection,
    archive: &Archive,
    disk: &Disk,
    steps: &[Step<'_>],
    accounts: &Accounts,
) -> Result<Differences> {
    let mut all = Differences::new();
    for step in steps.iter().filter(|step| step.chosen.own) {
        let path = &step.chosen.path;
        let mut some = match &step.action {
            Action::Leave => Vec::new(),
            Action::Create => vec![Difference::OnlyInBundle],
            Action::Adjust(change) => metadata_differences(change, accounts),
            Action::Replace { was, .. } => {
                vec![Difference::Differs {
                    here: was.clone(),
                    bundle: kind_name(step.chosen.kind()),
                }]
            }
        };
        if step.action != Action::Create {
            some.extend(owners(step, disk, accounts)?);
        }
        if !some.is_empty() {
            all.insert(path.clone(), some);
        }
        if *step.chosen.kind() == Kind::Dir
            && matches!(step.action, Action::Leave | Action::Adjust(_))
        {
            only_here(path, archive, disk, &mut all)?;
        }
    }
    for path in selection.named() {
        let archived = archive.holds(path);
        if !archived && !matches!(disk.look(path)?, Found::Missing) {
            all.insert(path.clone(), vec![Difference::OnlyHere]);
        }
    }
    Ok(all)
}

/// What differs beside the content.
fn metadata_differences(change: &Change, accounts: &Accounts) -> Vec<Difference> {
    let mut some = Vec::new();
    if let Some(to) = &change.rights {
        some.push(if to.is_extended() || change.here.is_extended() {
            let text = |acl: &Acl| rights_text(acl, accounts);
            Difference::Acl { here: text(&change.here), bundle: text(to) }
        } else {
            Difference::Mode {
                here: format!("{:04o}", change.here.mode() | change.special),
                bundle: format!("{:04o}", to.mode()),
            }
        });
    }
    if let Some(to) = &change.default_acl {
        some.push(Difference::DefaultAcl { bundle: acl_text::shown(to, accounts) });
    }
    if !change.attributes.is_empty() {
        let names = change.attributes.iter().map(|name| shown(name)).collect();
        some.push(Difference::Attributes { names });
    }
    some
}

/// Another owner than the archive names. Numbers alone are those of the host that it is from.
fn owners(step: &Step<'_>, disk: &Disk, accounts: &Accounts) -> Result<Option<Difference>> {
    let Some(entry) = step.chosen.entry.filter(|_| rustix::process::geteuid().is_root()) else {
        return Ok(None);
    };
    let (Some(owner), Some(group)) = (&entry.extra.owner, &entry.extra.group) else {
        return Ok(None);
    };
    let Some((uid, gid)) = disk.look(&step.chosen.path)?.owner() else { return Ok(None) };
    let here = (Some(uid), Some(gid));
    if here == (access::owner(entry, accounts), access::group(entry, accounts)) {
        return Ok(None);
    }
    let name = |is_group: bool, id: u32| accounts.of(is_group).name(id).unwrap_or(id.to_string());
    Ok(Some(Difference::Owner {
        here: format!("{}:{}", name(false, uid), name(true, gid)),
        bundle: format!("{owner}:{group}"),
    }))
}

/// What a directory holds that the archive does not.
fn only_here(dir: &RelPath, archive: &Archive, disk: &Disk, all: &mut Differences) -> Result<()> {
    let Walked::At(location) = disk.walk(dir, None)? else { return Ok(()) };
    if !matches!(location.look()?, Found::Dir(_)) {
        return Ok(());
    }
    let what = || format!("reading {}", location.shown());
    for entry in rustix::fs::Dir::new(location.open_dir()?).with_context(what)? {
        let entry = entry.with_context(what)?;
        let name = entry.file_name().to_bytes();
        let ours = names::is_kept_copy(name) || names::is_leftover(name);
        if matches!(name, b"." | b"..") || ours {
            continue;
        }
        let path = dir.join(name);
        if !archive.holds(&path) {
            all.insert(path, vec![Difference::OnlyHere]);
        }
    }
    Ok(())
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir => "a directory",
        Kind::File { .. } => "a file",
        Kind::Link(_) => "a link",
    }
}

fn describe(
    path: &RelPath,
    difference: &Difference,
    archive: &Archive,
    disk: &Disk,
    reveal: bool,
) -> Result<String> {
    Ok(match difference {
        Difference::OnlyHere => format!("{path}: only here\n"),
        Difference::OnlyInBundle => format!("{path}: only in the bundle\n"),
        Difference::Mode { here, bundle } => {
            format!("{path}: mode {here} here, {bundle} in the bundle\n")
        }
        Difference::Acl { here, bundle } => {
            format!("{path}: {here} here, {bundle} in the bundle\n")
        }
        Difference::DefaultAcl { bundle } => {
            format!("{path}: the default ACL differs, {bundle} in the bundle\n")
        }
        Difference::Attributes { names } => format!("{path}: {} differs\n", names.join(", ")),
        Difference::Owner { here, bundle } => {
            format!("{path}: owner {here} here (extract keeps it), {bundle} in the bundle\n")
        }
        Difference::Differs { here, bundle } if here != bundle => {
            format!("{path}: {here} here, {bundle} in the bundle\n")
        }
        Difference::Differs { .. } => match archive.entries.get(path).map(|entry| &entry.kind) {
            Some(Kind::Link(target)) => links(path, target, disk)?,
            Some(Kind::File { offset, size }) => {
                match texts(path, *offset, *size, archive, disk, reveal)? {
                    Some((here, bundle)) => unified(path, &here, &bundle, reveal),
                    None => format!("{path}: differs\n"),
                }
            }
            _ => format!("{path}: differs\n"),
        },
    })
}

fn links(path: &RelPath, target: &[u8], disk: &Disk) -> Result<String> {
    let here = match disk.look(path)? {
        Found::Link(_, here) => shown(&here),
        other => other.words().to_owned(),
    };
    Ok(format!("{path}: a link to {here} here, to {} in the bundle\n", shown(target)))
}

/// Both versions of a file, if they may be shown.
fn texts(
    path: &RelPath,
    offset: u64,
    size: u64,
    archive: &Archive,
    disk: &Disk,
    reveal: bool,
) -> Result<Option<(String, String)>> {
    if !reveal && !is_settings(path) {
        return Ok(None);
    }
    let Walked::At(location) = disk.walk(path, None)? else { return Ok(None) };
    let what = || format!("reading {}", location.shown());
    let Some(file) = location.read(false).with_context(what)? else { return Ok(None) };
    let (Some(here), Some(bundle)) =
        (text(file).with_context(what)?, text(archive.content(offset, size)).with_context(what)?)
    else {
        return Ok(None);
    };
    Ok(Some((here, bundle)))
}

/// The whole of it as text, if it is text and not too long.
fn text(from: impl Read) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    from.take(MAX_SHOWN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SHOWN || bytes.contains(&0) {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

/// Whether a file's lines may be shown, with their secrets hidden: only those of an `.env`.
fn is_settings(path: &RelPath) -> bool {
    let secret_dir = path.parts().any(|part| part.eq_ignore_ascii_case(b"secrets"));
    !secret_dir && path.name().starts_with(b".env")
}

#[derive(Serialize)]
struct Summary<'a> {
    differences: usize,
    paths: Vec<PathDifference<'a>>,
}

#[derive(Serialize)]
struct PathDifference<'a> {
    path: String,
    #[serde(flatten)]
    difference: &'a Difference,
}

fn json(differences: &Differences) -> Result<String> {
    let one = |(path, difference)| PathDifference { path: escape(&format!("{path}")), difference };
    let paths: Vec<PathDifference<'_>> = each(differences).map(one).collect();
    let summary = Summary { differences: paths.len(), paths };
    Ok(serde_json::to_string_pretty(&summary).context("writing JSON")? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_are_shown() {
        let shows = |path: &str| is_settings(&RelPath::parse(path.as_bytes()).unwrap());
        assert!(shows(".env") && shows(".env.local"));
        for path in ["secrets/.env", "secrets/a/b", "certs/x.pem", "certs/renewal.conf", "x.env"] {
            assert!(!shows(path), "{path}");
        }
    }
}
