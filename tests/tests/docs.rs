//! The documentation holds together: links resolve, the README stays short, and code blocks name
//! programs, scripts, commands and options that exist.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use test_kit::tools::{TOOLS, Target, targets, workspace};

/// Programs of other projects that the documentation starts with a deployment's settings.
const OTHERS: [&str; 4] = ["psql", "sh", "env", "CMD"];
/// Names that the documentation gives to a reader's own programs.
const OWN: [&str; 2] = ["drivers/runit", "obj-mirror.real"];
/// Directories of a deployment, which are no sources.
const DEPLOYMENT: [&str; 2] = ["secrets/", "certs/"];

/// All pages.
fn pages() -> Vec<PathBuf> {
    let of = |dir: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(workspace().join(dir)).unwrap();
        entries
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "md"))
            .collect()
    };
    [of("."), of("docs")].concat()
}

/// A page's prose and its code blocks, each a text.
fn parts(page: &Path) -> (String, String) {
    let (mut prose, mut code, mut in_code) = (String::new(), String::new(), false);
    for line in std::fs::read_to_string(page).unwrap().lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        let part = if in_code { &mut code } else { &mut prose };
        part.push_str(line);
        part.push('\n');
    }
    assert!(!in_code, "{}: a code block does not end", page.display());
    (prose, code)
}

/// The targets of a text's links.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// A page's anchors, as GitHub makes them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let (prose, _) = parts(page);
    let headings = prose.lines().filter(|l| l.starts_with('#'));
    headings
        .map(|heading| {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_and_anchor_resolves() {
    let mut broken = Vec::new();
    for page in pages() {
        let (prose, _) = parts(&page);
        for link in links(&prose).filter(|l| !l.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let found = target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_linked_from_the_readme_or_the_index() {
    let mut linked = BTreeSet::new();
    for page in ["README.md", "CONTRIBUTING.md", "docs/OPERATIONS.md"] {
        let page = workspace().join(page);
        let (prose, _) = parts(&page);
        let of_page = links(&prose).filter(|l| !l.contains("://") && !l.starts_with('#'));
        linked.extend(of_page.filter_map(|l| {
            let path = l.split('#').next().unwrap_or_default();
            page.parent().unwrap().join(path).canonicalize().ok()
        }));
    }
    let missing: Vec<_> = pages()
        .into_iter()
        .map(|p| p.canonicalize().unwrap())
        .filter(|p| !p.ends_with("README.md") && !linked.contains(p))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readme_has_fewer_than_120_lines() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    assert!(readme.lines().count() < 120);
}

/// The names that follow a directory's name in a text: `scripts/NAME`.
fn names_in<'a>(text: &'a str, directory: &str) -> Vec<&'a str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    text.split(directory)
        .skip(1)
        .map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default().trim_end_matches('.'))
        .filter(|name| !name.is_empty() && *name != "env" && *name != "bash")
        .collect()
}

#[test]
fn every_script_and_program_in_a_code_block_exists() {
    let mut missing = Vec::new();
    for page in pages() {
        let (_, code) = parts(&page);
        let scripts = names_in(&code, "scripts/");
        missing.extend(
            scripts
                .into_iter()
                .filter(|n| !OWN.contains(n) && !workspace().join("scripts").join(n).exists())
                .map(|n| format!("{}: scripts/{n}", page.display())),
        );
        let programs = [
            names_in(&code, "bin/"),
            code.split("deploy-env -- ")
                .skip(1)
                .filter_map(|l| l.split_whitespace().next())
                .collect(),
        ]
        .concat();
        missing.extend(
            programs
                .into_iter()
                .filter(|n| !TOOLS.contains(n) && !OTHERS.contains(n) && !OWN.contains(n))
                .map(|n| format!("{}: {n}", page.display())),
        );
        let built = names_in(&code, "target/debug/");
        let of_test_kit = workspace().join("test-kit/src/bin");
        let built = built.into_iter().filter(|n| {
            let sources = [of_test_kit.join(n), of_test_kit.join(format!("{n}.rs"))];
            !TOOLS.contains(n) && !sources.iter().any(|source| source.exists())
        });
        missing.extend(built.map(|n| format!("{}: target/debug/{n}", page.display())));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What every tool, and every verb of it, prints for `--help`.
fn helps() -> Result<Vec<(Target, String)>> {
    targets()?.into_iter().map(|t| t.help().map(|help| (t, help))).collect()
}

/// What is wrong with a command line of a tool: a verb or an option that its help does not list.
fn unknown(command: &str, helps: &[(Target, String)]) -> Option<String> {
    let mut words = command.split_whitespace().skip_while(|w| {
        let name = w.rsplit('/').next().unwrap_or_default();
        !TOOLS.contains(&name) || name == "deploy-env"
    });
    let tool = words.next()?.rsplit('/').next()?;
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        // In a picture.
        return None;
    }
    let verb = words.first().filter(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let verb = verb.filter(|w| !w.starts_with('-')).map(|w| (*w).to_owned());
    let of = |verb: Option<String>| {
        helps.iter().find(|(t, _)| t.tool == tool && t.verb == verb).map(|(_, help)| help)
    };
    let Some(help) = of(verb).or_else(|| of(None).filter(|h| !h.contains("\nCommands:"))) else {
        return Some(format!("no such command: {command}"));
    };
    let options = words.iter().filter(|w| w.starts_with("--") && w.len() > 2);
    let mut options = options.map(|w| w.split(['=', '…']).next().unwrap_or_default());
    let option = options.find(|o| !help.contains(o))?;
    Some(format!("no such option {option}: {command}"))
}

/// A page's code spans, each a line.
fn spans(prose: &str) -> String {
    let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    spans.collect::<Vec<_>>().join("\n")
}

/// The commands among lines of code, cut where the shell cuts them.
fn commands(code: &str) -> impl Iterator<Item = &str> {
    code.lines()
        .map(|l| l.trim_start().trim_start_matches("$ "))
        .filter(|l| TOOLS.iter().any(|t| l.starts_with(t) || l.contains(&format!("bin/{t} "))))
        .filter(|l| !TOOLS.iter().any(|t| l.starts_with(&format!("{t}:"))))
        .flat_map(|l| l.split("   "))
        .flat_map(|l| l.split(" # ").next().unwrap_or_default().split(['|', '>', '<', ';', '&']))
}

#[test]
fn every_command_and_option_of_a_tool_exists() -> Result<()> {
    let helps: Vec<(Target, String)> =
        targets()?.into_iter().map(|t| t.help().map(|help| (t, help))).collect::<Result<_>>()?;
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let (prose, code) = parts(&page);
        for command in commands(&code).chain(commands(&spans(&prose))) {
            seen += 1;
            wrong.extend(unknown(command, &helps).map(|w| format!("{}: {w}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 25, "only {seen} commands were found");
    Ok(())
}

/// An option after a script's name that neither the script's text nor the help of a tool that it starts has.
fn unknown_to_script(line: &str, helps: &[(Target, String)]) -> Option<String> {
    let mut known = None;
    for word in line.split_whitespace() {
        let word = word.trim_matches(['[', ']', '(', ')', ',', ':', ';']);
        if word.ends_with(".sh") {
            let name = word.rsplit('/').next()?;
            let script = std::fs::read_to_string(workspace().join("scripts").join(name));
            known = script.ok().map(|script| {
                let started = helps.iter().filter(|(target, _)| script.contains(target.tool));
                started.map(|(_, help)| help.as_str()).chain([script.as_str()]).collect::<String>()
            });
        } else if word.starts_with("--")
            && word != "--"
            && known.as_ref().is_some_and(|known| !known.contains(word))
        {
            return Some(format!("no such option {word}: {line}"));
        }
    }
    None
}

#[test]
fn every_option_of_a_script_exists() -> Result<()> {
    let helps = helps()?;
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let (prose, code) = parts(&page);
        let spans = spans(&prose);
        let lines = code.lines().chain(spans.lines()).filter(|l| l.contains(".sh "));
        // Its options are those of a program of the tests.
        let lines = lines.filter(|l| !l.contains("fault-campaign.sh"));
        for line in lines.flat_map(|l| l.split(['|', '>', '<', ';', '&'])) {
            seen += 1;
            let unknown = unknown_to_script(line, &helps);
            wrong.extend(unknown.map(|w| format!("{}: {w}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 50, "only {seen} command lines were found");
    Ok(())
}

/// Every file and directory of the sources, relative to the workspace.
fn sources() -> Vec<String> {
    let skipped = ["target", ".git"];
    let walk = walkdir::WalkDir::new(workspace())
        .into_iter()
        .filter_entry(|e| !skipped.iter().any(|s| e.file_name() == *s));
    walk.filter_map(Result::ok)
        .filter_map(|e| e.path().strip_prefix(workspace()).ok().map(Path::to_owned))
        .map(|path| format!("/{}", path.display()))
        .collect()
}

#[test]
fn every_source_file_that_a_page_for_contributors_names_exists() {
    let sources = sources();
    let mut missing = Vec::new();
    for page in ["CONTRIBUTING.md", "docs/ARCHITECTURE.md", "docs/DECISIONS.md"] {
        let (prose, _) = parts(&workspace().join(page));
        let spans = spans(&prose);
        let names = spans.lines().filter(|span| {
            let of_path =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
            span.chars().all(of_path)
                && !span.starts_with('.')
                && !DEPLOYMENT.contains(span)
                && (span.ends_with(".rs") || span.ends_with('/'))
        });
        missing.extend(
            names
                .filter(|name| {
                    let end = format!("/{}", name.trim_end_matches('/'));
                    !sources.iter().any(|source| source.ends_with(&end))
                })
                .map(|name| format!("{page}: {name}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
