//! The workspace's programs, built once and found.

use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The tools that the contracts are about.
pub const TOOLS: [&str; 12] = [
    "deploy-env",
    "pg-snap",
    "obj-mirror",
    "cfg-pack",
    "bundle-manifest",
    "bundle-prune",
    "backup-run",
    "restore-run",
    "drill-run",
    "ship-run",
    "health-probe",
    "compose-driver",
];

/// A command line of one of the tools: the tool itself, or one of its sub-commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The tool.
    pub tool: &'static str,
    /// The sub-command.
    pub verb: Option<String>,
}

impl Target {
    /// As it is typed.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.verb {
            Some(verb) => format!("{} {verb}", self.tool),
            None => self.tool.to_owned(),
        }
    }

    /// What its `--help` prints.
    ///
    /// # Errors
    /// If it does not run, or fails.
    pub fn help(&self) -> Result<String> {
        let mut command = Command::new(tool(self.tool));
        command.args(&self.verb).arg("--help");
        pipe_kit::child::capture(&mut command, self.name())
    }
}

/// The tools, each followed by the sub-commands that its help lists.
///
/// # Errors
/// If a tool does not run.
pub fn targets() -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for tool in TOOLS {
        let own = Target { tool, verb: None };
        let verbs = verbs(&own.help()?);
        targets.push(own);
        targets.extend(verbs.into_iter().map(|verb| Target { tool, verb: Some(verb) }));
    }
    Ok(targets)
}

/// The sub-commands that a tool's help lists.
#[must_use]
pub fn verbs(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let names = commands.take_while(|l| !l.is_empty()).filter(|l| {
        // Deeper lines continue the description of the command above.
        l.starts_with("  ") && !l.starts_with("   ")
    });
    names
        .filter_map(|l| l.split_whitespace().next())
        .filter(|n| *n != "help")
        .map(str::to_owned)
        .collect()
}

/// The commands of a help text's EXAMPLES: lines indented by two; deeper ones explain.
#[must_use]
pub fn examples(help: &str) -> Vec<String> {
    let after = help.lines().skip_while(|l| !l.starts_with("EXAMPLES")).skip(1);
    after
        .take_while(|l| l.is_empty() || l.starts_with("  "))
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        // A remark may follow at a distance.
        .map(|l| l[2..].split("   ").next().unwrap_or_default().trim_end().to_owned())
        .collect()
}

/// Names a directory with all programs of the workspace, to be used as they are.
pub const BIN_DIR: &str = "PIPRIO_TEST_BIN_DIR";

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A package of the workspace.
pub struct Package {
    /// As Cargo knows it.
    pub name: String,
    /// Where its `Cargo.toml` lies.
    pub folder: PathBuf,
    /// The packages that it depends on, but for those of its tests alone.
    pub dependencies: Vec<String>,
    /// The packages that its tests depend on besides.
    pub dev_dependencies: Vec<String>,
    /// The names under which it imports all of them.
    pub imports: Vec<String>,
}

/// The workspace's packages, as `cargo metadata` lists them.
///
/// # Errors
/// If it cannot be run.
pub fn packages() -> Result<Vec<Package>> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        packages: Vec<Listed>,
    }
    #[derive(serde::Deserialize)]
    struct Listed {
        name: String,
        manifest_path: PathBuf,
        dependencies: Vec<Named>,
    }
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
        kind: Option<String>,
        rename: Option<String>,
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(workspace());
    let metadata = pipe_kit::child::capture(&mut command, "cargo metadata")?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata")?;
    let names = |needed: &[Named], is_for_tests: bool| {
        let needed = needed.iter().filter(|d| (d.kind.as_deref() == Some("dev")) == is_for_tests);
        needed.map(|d| d.name.clone()).collect()
    };
    let package = |listed: Listed| Package {
        name: listed.name,
        folder: listed.manifest_path.parent().map(Path::to_owned).unwrap_or_default(),
        dependencies: names(&listed.dependencies, false),
        dev_dependencies: names(&listed.dependencies, true),
        imports: listed.dependencies.into_iter().map(|d| d.rename.unwrap_or(d.name)).collect(),
    };
    Ok(metadata.packages.into_iter().map(package).collect())
}

/// The directory with the workspace's programs, built if need be.
///
/// # Errors
/// If they do not build.
pub fn bin_dir() -> Result<&'static Path> {
    static DIR: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match DIR.get_or_init(|| build().map_err(|e| format!("{e:#}"))) {
        Ok(dir) => Ok(dir),
        Err(error) => Err(anyhow::anyhow!(error.clone())),
    }
}

/// Where Cargo puts the programs of the build that this program is of.
pub(crate) fn built_dir() -> Result<PathBuf> {
    let this = std::env::current_exe().context("this program's path")?;
    let dir = this.parent().context("this program's directory")?;
    // A test lies in `deps`, one below the programs; a program lies beside the others.
    let dir =
        if dir.ends_with("deps") { dir.parent().context("the target directory")? } else { dir };
    Ok(dir.to_owned())
}

/// Whether this is a program of the build and not one of its tests.
fn is_program() -> Result<bool> {
    let this = std::env::current_exe().context("this program's path")?;
    Ok(this.parent() == Some(&built_dir()?))
}

fn build() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(BIN_DIR) {
        return std::path::absolute(&dir).context(BIN_DIR);
    }
    let dir = built_dir()?;
    if is_program()? {
        return Ok(dir);
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(workspace());
    // Variables that Cargo sets for a test of this package would run the build scripts of others again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(&*name);
        }
    }
    if dir.ends_with("release") {
        command.arg("--release");
    }
    let output = command.output().context("running cargo")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo build --workspace --bins failed:\n{words}");
    Ok(dir)
}

/// The path of a program of this package. To another program of it, that is the one beside it,
/// wherever the tools are that it is to use.
///
/// # Errors
/// If it is not there.
pub fn own_program(name: &str) -> Result<PathBuf> {
    let dir = if is_program()? { built_dir()? } else { bin_dir()?.to_owned() };
    let path = dir.join(name);
    ensure!(path.exists(), "{} is not built (cargo build -p test-kit)", path.display());
    Ok(path)
}

/// The path of one of the workspace's programs.
///
/// # Panics
/// If the workspace does not build: no test can run.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    match bin_dir() {
        Ok(dir) => dir.join(name),
        Err(error) => panic!("{error:#}"),
    }
}

/// Writes a new file of mode 0600.
///
/// # Errors
/// If it exists or cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("writing {}", path.display()))
}

/// A value for `PATH` with the workspace's programs first.
///
/// # Panics
/// If the workspace does not build.
#[must_use]
pub fn tool_path() -> OsString {
    let mut path = match bin_dir() {
        Ok(dir) => dir.as_os_str().to_owned(),
        Err(error) => panic!("{error:#}"),
    };
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}
