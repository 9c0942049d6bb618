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
