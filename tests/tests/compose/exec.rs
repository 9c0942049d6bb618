//! Commands that run where a service runs.

use crate::contract::{SLEEPS, service, with_each, yaml};
use crate::kit::{Deploy, Host};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;
use test_kit::deployment::{clean, run, sh};
use test_kit::process::wait_until;
use test_kit::tools::{tool_path, workspace};

fn running(host: &Host) -> Result<Deploy<'_>> {
    let deploy = host.deploy("deploy", &yaml(&[service("db", SLEEPS, "")]));
    deploy.driver(&["start", "db"]).expect(0);
    Ok(deploy)
}

#[test]
fn streams_are_binary_there_is_no_terminal_and_statuses_are_the_commands_own() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        ways(host)?.iter().try_for_each(|path| streams(&deploy, path))
    })
}

fn streams(deploy: &Deploy, path: &str) -> Result<()> {
    let exec = |words: &[&str]| {
        let mut command = deploy.driver_command(&[&["exec", "db"], words].concat());
        command.env("PATH", path);
        command
    };
    let bytes: Vec<u8> = (0..8_000_000u32).map(|i| (i.wrapping_mul(i) % 251) as u8).collect();
    std::fs::write(deploy.file("in"), &bytes)?;
    let mut command = exec(&["sh", "-c", "tee /dev/stderr"]);
    let out = command.stdin(std::fs::File::open(deploy.file("in"))?).output()?;
    assert!(out.status.success() && out.stdout == bytes && out.stderr == bytes);

    let asked = "tty; test -t 0 || test -t 1 || test -t 2 || echo none; exit 7";
    let report = run(exec(&["sh", "-c", asked]), "")?.expect(7);
    assert_eq!(report.stdout, "not a tty\nnone\n");
    for status in [0, 1, 2, 3, 5, 124, 125, 126, 127, 128, 137, 143, 255] {
        run(exec(&["sh", "-c", &format!("exit {status}")]), "")?.expect(status);
    }
    // Whether it is 127 is the engine's business.
    let report = run(exec(&["no-such-program"]), "")?;
    assert!([126, 127].contains(&report.status), "{report:?}");
    // What does not arrive is missing.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    assert!(!exec(&["echo", "lost"]).stdout(full).status()?.success());
    // Arguments are no shell's to read again.
    let report = run(exec(&["printf", "%s|", "a b", "$HOME", "'", ""]), "")?;
    assert_eq!(report.expect(0).stdout, "a b|$HOME|'||");
    Ok(())
}

/// A `PATH` in which `docker VERB` and docker-compose fail.
fn path_without(host: &Host, verb: &str) -> Result<String> {
    let dir = host.dir().join(format!("without-{verb}")).display().to_string();
    let docker = format!(
        "#!/bin/bash\nPATH=${{PATH#*/without-{verb}:}}\n[ \"$1\" != {verb} ] || exit 1\nexec docker \"$@\"\n"
    );
    let write = format!(
        "mkdir {dir} && printf '#!/bin/sh\\nexit 1\\n' > {dir}/docker-compose && cat > {dir}/docker <<'END'\n\
         {docker}END\nchmod 755 {dir}/*"
    );
    sh(host.dir(), &write)?;
    Ok(format!("{dir}:{}", host.path))
}

/// How output leaves the container: by a pipe in it, and, where its processes are not to be found, through the
/// engine.
fn ways(host: &Host) -> Result<[String; 2]> {
    Ok([host.path.clone(), path_without(host, "inspect")?])
}

/// One dump calls it many times, and Compose takes a second to start.
#[test]
fn compose_is_not_started_for_a_command_where_the_projects_name_is_plain() -> Result<()> {
    with_each(|host| {
        let path = path_without(host, "compose")?;
        for name in ["", "COMPOSE_PROJECT_NAME=piprio-own"] {
            let deploy = host.deploy("deploy", &yaml(&[service("db", SLEEPS, "")]));
            deploy.set(name)?;
            deploy.driver(&["start", "db"]).expect(0);
            let exec = |deploy: &Deploy| {
                let mut command = deploy.driver_command(&["exec", "db", "echo", "here"]);
                command.env("PATH", &path);
                run(command, "")
            };
            assert_eq!(exec(&deploy)?.expect(0).stdout, "here\n");
            // Another project of this directory is not the one that was chosen.
            deploy.set("COMPOSE_PROJECT_NAME=piprio-other")?;
            exec(&deploy)?.expect(1);
            std::fs::remove_file(deploy.file(".env"))?;
            deploy.set(name)?;
            deploy.compose("down -t 1")?;
        }
        Ok(())
    })
}

#[test]
fn a_command_that_reads_no_further_ends_whoever_still_writes() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        let mut command = deploy.driver_command(&["exec", "db", "head", "-c", "3"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("stdin")?;
        stdin.write_all(b"abcdef")?;
        // Kept open: the driver must not wait for its end.
        wait_until("the end", || Ok(child.try_wait()?.is_some()))?;
        drop(stdin);
        let out = child.wait_with_output()?;
        assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(0), &b"abc"[..]));
        Ok(())
    })
}

/// Else what nobody reads keeps running inside, and holds what it holds.
#[test]
fn a_command_whose_output_nobody_reads_any_more_ends() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        let mut command = deploy.driver_command(&["exec", "db", "yes"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut head = [0; 4];
        child.stdout.take().context("stdout")?.read_exact(&mut head)?;
        wait_until("the end", || Ok(child.try_wait()?.is_some() && inside(&deploy)? == 0))?;
        assert_eq!((&head, child.wait()?.success()), (b"y\ny\n", false));
        Ok(())
    })
}

#[test]
fn the_clients_variables_are_handed_on_by_name_and_no_other_is() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        // It stays until its input ends, however long the look at its client takes.
        let script = "echo \"$PGUSER|$PGPASSWORD|$PG_SNAP_EXEC|$OTHER\"; cat";
        let mut command = deploy.driver_command(&["exec", "db", "sh", "-c", script]);
        command.stdin(Stdio::piped());
        command.env("PGUSER", "a b").env("PGPASSWORD", "hunter2 $x").env("PG_SNAP_EXEC", "no");
        let child = command.env("OTHER", "no").stdout(Stdio::piped()).spawn()?;
        wait_until("the client", || Ok(!of_exec(&deploy)?.is_empty()))?;
        let arguments = of_exec(&deploy)?;
        assert!(arguments.contains("PGPASSWORD") && !arguments.contains("hunter2"), "{arguments}");
        let out = child.wait_with_output()?;
        assert_eq!(String::from_utf8_lossy(&out.stdout), "a b|hunter2 $x||\n");
        Ok(())
    })
}

/// The command lines of engine clients that are in an `exec` of a container of ours.
fn of_exec(deploy: &Deploy) -> Result<String> {
    let id = &deploy.container("db")?[..12];
    sh(
        &deploy.dir,
        &format!(
            "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p 2>/dev/null && echo; done |
             grep '^docker exec' | grep {id} || true"
        ),
    )
}

/// Processes in the container, beside those of the service itself.
fn inside(deploy: &Deploy) -> Result<usize> {
    let id = deploy.container("db")?;
    let list = sh(&deploy.dir, &format!("docker top {id} -o pid,args | tail -n +2"))?;
    Ok(list.lines().filter(|line| !line.contains("sleep 1000")).count())
}

#[test]
fn nothing_runs_inside_once_it_is_ended_at_whatever_moment() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        assert_eq!(inside(&deploy)?, 0);
        let moments = [1500, 1200, 900, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700];
        let signals = [("TERM", 143), ("INT", 130), ("HUP", 129)].into_iter().cycle();
        let ways = ways(host)?;
        let cases = moments.into_iter().zip(signals).zip(ways.iter().cycle());
        for ((milliseconds, (signal, status)), path) in cases {
            // A pipeline whose parts ignore what they can.
            let script = "trap '' HUP INT; sleep 900 | cat";
            let mut command = deploy.driver_command(&["exec", "db", "sh", "-c", script]);
            let mut child = command.env("PATH", path).stdin(Stdio::null()).spawn()?;
            std::thread::sleep(Duration::from_millis(milliseconds));
            sh(&deploy.dir, &format!("kill -{signal} {}", child.id()))?;
            let ended = child.wait()?;
            // Before the driver has set its traps, the signal itself ends it.
            let of_signal = std::os::unix::process::ExitStatusExt::signal(&ended);
            assert!(ended.code() == Some(status) || of_signal == Some(status - 128), "{ended:?}");
            wait_until(&format!("nothing to run inside after {milliseconds} ms"), || {
                Ok(inside(&deploy)? == 0 && of_exec(&deploy)?.is_empty())
            })?;
        }
        assert_eq!(deploy.driver(&["exec", "db", "ls", "-A", "/dev/shm"]).expect(0).stdout, "");
        Ok(())
    })
}

/// Whoever is root in the container can put a link where the pipe was just made; it would lead to a file
/// of the host. It comes at any moment: before the pipe is opened here, before it is opened inside, or
/// later.
#[test]
fn a_link_in_the_pipes_place_is_not_followed() -> Result<()> {
    with_each(|host| {
        let deploy = running(host)?;
        let ours = deploy.file("ours");
        std::fs::write(&ours, "of the host")?;
        let swap = "$| = 1; print qq(.\n); while (1) { for (glob '/dev/shm/.piprio-*') {
                    next if -l $_; unlink $_; symlink $ARGV[0], $_ } }";
        let mut swapper = deploy.driver_command(&["exec", "db", "perl", "-e", swap]);
        let mut swapper = swapper.arg(&ours).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        swapper.stdout.take().context("stdout")?.read_exact(&mut [0; 2])?;
        for _ in 0..12 {
            let run = run(deploy.driver_command(&["exec", "db", "echo", "answer"]), "")?;
            // What did not arrive is missing.
            assert!(run.status != 0 || run.stdout == "answer\n", "{run:?}");
            assert_eq!(std::fs::read_to_string(&ours)?, "of the host");
        }
        sh(&deploy.dir, &format!("kill -TERM {}", swapper.id()))?;
        assert_eq!(swapper.wait()?.code(), Some(143));
        sh(
            &deploy.dir,
            &format!("docker exec {} sh -c 'rm -f /dev/shm/.piprio-*'", deploy.container("db")?),
        )?;
        let run = run(deploy.driver_command(&["exec", "db", "echo", "answer"]), "")?;
        assert_eq!(run.expect(0).stdout, "answer\n");
        assert_eq!(deploy.driver(&["exec", "db", "ls", "-A", "/dev/shm"]).expect(0).stdout, "");
        Ok(())
    })
}

/// An engine that hangs must not make its callers hang. It takes none: what stands for it answers
/// nothing.
#[test]
fn a_signal_ends_it_while_the_engine_does_not_answer() -> Result<()> {
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let dir = tempfile::tempdir()?;
        let (engine, asked) = (dir.path().join("docker"), dir.path().join("asked"));
        let script = "#!/bin/sh\n: > \"${0%/*}/asked\"\nwhile [ -e \"$0\" ]; do sleep 0.1; done\n";
        std::fs::write(&engine, script)?;
        std::fs::set_permissions(&engine, PermissionsExt::from_mode(0o755))?;
        let mut command = clean(workspace().join("scripts/drivers/compose"));
        let path = tool_path().into_string().unwrap_or_default();
        command.env("PATH", format!("{}:{path}", dir.path().display()));
        let mut child =
            command.args(["exec", "db", "true"]).env("PIPRIO_DEPLOY", dir.path()).spawn()?;
        wait_until("the engine to be asked", || Ok(asked.exists()))?;
        sh(dir.path(), &format!("kill -{signal} {}", child.id()))?;
        wait_until("the end", || Ok(child.try_wait()?.is_some()))?;
        assert_eq!(child.wait()?.code(), Some(status), "{signal}");
    }
    Ok(())
}

#[test]
fn an_unpublished_port_answers_at_the_containers_address_and_a_published_one_here() -> Result<()> {
    with_each(|host| {
        let serve = "exec perl -MIO::Socket::INET -e 'my $$s = IO::Socket::INET->new(LocalPort => 7000, \
                     Listen => 5, ReuseAddr => 1); while (my $$c = $$s->accept) { print $$c qq(here\\\\n); close $$c }'";
        let deploy = host.deploy(
            "deploy",
            &yaml(&[
                service("inner", serve, ""),
                service("outer", serve, ", ports: ['127.0.0.1::7000']"),
                service("wide", serve, ", ports: ['0.0.0.0::7000']"),
            ]),
        );
        deploy.driver(&["start", "inner", "outer", "wide"]).expect(0);
        for (name, is_here) in [("inner", false), ("outer", true), ("wide", true)] {
            let address = deploy.driver(&["addr", name, "7000"]).expect(0).stdout;
            assert_eq!(address.starts_with("127.0.0.1:"), is_here, "{address}");
            let (host, port) = address.trim().rsplit_once(':').context("HOST:PORT")?;
            let mut answer = String::new();
            wait_until("an answer", || {
                let ask = format!("cat < /dev/tcp/{host}/{port}");
                answer = sh(&deploy.dir, &ask).unwrap_or_default();
                Ok(!answer.is_empty())
            })?;
            assert_eq!(answer, "here\n");
        }
        deploy.driver(&["stop", "inner"]).expect(0);
        let run = run(deploy.driver_command(&["addr", "inner", "7000"]), "")?.expect(1);
        assert!(run.stderr.contains("start inner"), "{}", run.stderr);
        Ok(())
    })
}
