//! `install.sh`: what it puts into a deployment, and that a second run is an upgrade.

use anyhow::{Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use test_kit::tools::{TOOLS, bin_dir, workspace};

fn install(arguments: &[&str]) -> Result<Output> {
    let script = workspace().join("scripts/install.sh");
    Ok(Command::new("bash").arg(script).args(arguments).current_dir("/").output()?)
}

fn install_into(dir: &Path) -> Result<()> {
    let from = bin_dir()?.display().to_string();
    let out = install(&["--from", &from, &dir.display().to_string()])?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[test]
fn it_installs_and_upgrades_and_ignores_what_must_not_be_committed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let deploy = dir.path().join("my deploy");
    std::fs::create_dir(&deploy)?;
    // A file that another has begun, without a last line feed.
    std::fs::write(deploy.join(".gitignore"), "node_modules/\nsecrets/")?;
    for _ in 0..2 {
        install_into(&deploy)?;
        let ignored = std::fs::read_to_string(deploy.join(".gitignore"))?;
        assert_eq!(ignored, "node_modules/\nsecrets/\n.env*\nbackups/\n.restore/\n.drills/\n");
        for program in [
            "bin/pg-snap",
            "bin/deploy-env",
            "bin/backup-run",
            "bin/restore-run",
            "bin/compose-driver",
            "scripts/backup.sh",
            "scripts/restore.sh",
            "scripts/health-check.sh",
            "scripts/seal.sh",
            "scripts/unseal.sh",
            "scripts/drivers/process",
            "scripts/drivers/compose",
            "scripts/drivers/systemd",
        ] {
            let mode = std::fs::metadata(deploy.join(program))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{program}");
        }
        // Without settings it prints what to do, and does nothing.
        let out = Command::new("bash").arg(deploy.join("scripts/backup.sh")).output()?;
        assert_eq!(out.status.code(), Some(5));
        assert!(String::from_utf8_lossy(&out.stderr).contains(".env"));
        assert!(!deploy.join("backups").exists());
    }
    Ok(())
}

#[test]
fn who_did_not_install_the_toolkit_can_run_it_and_reads_nothing_else() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let deploy = dir.path().join("deploy");
    let mode = |name: &str| -> Result<u32> {
        Ok(std::fs::metadata(deploy.join(name))?.permissions().mode() & 0o777)
    };
    install_into(&deploy)?;
    assert_eq!(mode("")?, 0o700);
    for name in ["bin", "scripts", "scripts/drivers"] {
        assert_eq!(mode(name)?, 0o755, "{name}");
    }
    // Unreadable, it would ignore nothing.
    assert_eq!(mode(".gitignore")?, 0o644);
    // What an earlier version has closed to the deployment's owner, an upgrade by root opens.
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(deploy.join("bin"), closed)?;
    install_into(&deploy)?;
    assert_eq!(mode("bin")?, if test_kit::user::is_root() { 0o755 } else { 0o700 });
    Ok(())
}

#[test]
fn every_tool_is_built_by_default() -> Result<()> {
    // install.sh names no package, so that it builds again nothing that cargo build --release has built.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(workspace());
    let metadata: serde_json::Value = serde_json::from_slice(&command.output()?.stdout)?;
    let members = metadata["workspace_default_members"].as_array().cloned().unwrap_or_default();
    let members: Vec<&str> = members.iter().filter_map(|member| member.as_str()).collect();
    let is_member = |name: &str| members.iter().any(|id| id.contains(&format!("/{name}#")));
    for tool in TOOLS {
        ensure!(is_member(tool), "{tool} is not among {members:?}");
    }
    Ok(())
}

#[test]
fn usage_errors_are_2() -> Result<()> {
    for arguments in [&[][..], &["--wrong"], &["a", "b"], &["--from"]] {
        let status = install(arguments)?.status.code();
        assert_eq!(status, Some(2), "{arguments:?}");
    }
    Ok(())
}

/// A package's directories, with this build's programs.
fn package(dir: &Path) -> Result<(std::path::PathBuf, std::path::PathBuf)> {
    let (programs, scripts) = (dir.join("libexec"), dir.join("share/scripts"));
    std::fs::create_dir_all(&programs)?;
    std::fs::create_dir_all(scripts.join("drivers"))?;
    for tool in TOOLS {
        let (from, to) = (bin_dir()?.join(tool), programs.join(tool));
        // A link across filesystems is not possible.
        std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop))?;
    }
    for dir in ["scripts", "scripts/drivers"] {
        for entry in std::fs::read_dir(workspace().join(dir))? {
            let path = entry?.path();
            if path.is_file() {
                let name = path.file_name().unwrap_or_default();
                std::fs::copy(
                    &path,
                    scripts.join(dir.strip_prefix("scripts/").unwrap_or("")).join(name),
                )?;
            }
        }
    }
    Ok((programs, scripts))
}

#[test]
fn a_package_is_linked_and_every_command_finds_the_deployment_through_the_links() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().canonicalize()?;
    let (programs, scripts) = package(&root)?;
    let deploy = root.join("my deploy");
    std::fs::create_dir_all(deploy.join("services"))?;
    let settings =
        "SERVICE_DRIVER=process\nPOSTGRES_HOST=db.example.com\nPIPRIO_DOMAIN=example.com\n";
    std::fs::write(deploy.join(".env"), settings)?;
    let (from, to) = (programs.display().to_string(), deploy.display().to_string());
    for _ in 0..2 {
        let mut command = Command::new("bash");
        command.arg(scripts.join("install.sh")).args(["--link", "--from", &from, &to]);
        let out = command.current_dir("/").output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(std::fs::read_link(deploy.join("bin"))?, programs);
        assert_eq!(std::fs::read_link(deploy.join("scripts"))?, scripts);
    }
    let run = |command: &mut Command, dir: &Path| -> Result<String> {
        let out = command.env_remove("PIPRIO_DEPLOY").current_dir(dir).output()?;
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        Ok(String::from_utf8_lossy(&out.stdout).into_owned() + &errors)
    };
    let domain = run(Command::new("bin/deploy-env").args(["get", "PIPRIO_DOMAIN"]), &deploy)?;
    assert_eq!(domain, "example.com\n");
    let own = deploy.join("bin/deploy-env");
    let path =
        run(Command::new(own).args(["--", "sh", "-c", "echo \"$PIPRIO_DEPLOY\""]), Path::new("/"))?;
    assert_eq!(path.lines().last(), Some(to.as_str()), "{path}");
    for (script, dir) in
        [("scripts/restore.sh", deploy.as_path()), ("restore.sh", &deploy.join("scripts"))]
    {
        let mut command = Command::new("bash");
        // As a shell that went there; the kernel knows the directory behind the link alone.
        let bundles = run(command.arg(script).env("PWD", dir), dir)?;
        ensure!(
            bundles.contains(&format!("no directory of bundles at {to}/backups")),
            "{script}: {bundles}"
        );
    }
    Ok(())
}

#[test]
fn copies_and_links_do_not_replace_each_other() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().canonicalize()?;
    let (programs, scripts) = package(&root)?;
    let from = programs.display().to_string();
    let (copies, links) = (root.join("copies"), root.join("links"));
    std::fs::create_dir(&links)?;
    install_into(&copies)?;
    std::os::unix::fs::symlink(&programs, links.join("bin"))?;
    let before = std::fs::read(programs.join("pg-snap"))?;
    let to = |dir: &Path| dir.display().to_string();
    for (script, arguments) in [
        (&scripts, ["--link", "--from", from.as_str(), &to(&copies)].as_slice()),
        (&scripts, &["--from", from.as_str(), &to(&links)]),
    ] {
        let out = Command::new("bash").arg(script.join("install.sh")).args(arguments).output()?;
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(5), "{errors}");
        ensure!(errors.contains("nothing was changed"), "{errors}");
    }
    ensure!(copies.join("bin").is_dir() && !copies.join("bin").is_symlink());
    ensure!(!links.join("scripts").exists() && !links.join(".gitignore").exists());
    assert_eq!(std::fs::read(programs.join("pg-snap"))?, before);
    Ok(())
}
