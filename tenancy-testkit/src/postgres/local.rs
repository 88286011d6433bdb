//! A server from the PostgreSQL binaries of this machine.

use std::{
    fs,
    process::{Child, Stdio},
};

use tokio::task;

use super::{
    SERVER_SETTINGS,
    service::{Started, connect, server_version},
};
use crate::server::{
    Ladder,
    local::{self, Program, Site},
    process::spawn_logged,
    ready::start_on_port,
    reason::Reason,
    state::{StateFolder, random_hex},
};

const POSTGRES: Program = Program {
    service: "postgres",
    binaries: &["initdb", "postgres"],
    // Debian, Red Hat, Alpine, Homebrew, Postgres.app, the installer, MacPorts, from source.
    usual_folders: &[
        "/usr/lib/postgresql/*/bin",
        "/usr/pgsql-*/bin",
        "/usr/libexec/postgresql*",
        "/opt/homebrew/opt/postgresql@*/bin",
        "/opt/homebrew/bin",
        "/usr/local/opt/postgresql@*/bin",
        "/Applications/Postgres.app/Contents/Versions/*/bin",
        "/Library/PostgreSQL/*/bin",
        "/opt/local/lib/postgresql*/bin",
        "/usr/local/pgsql/bin",
    ],
    accounts: &["postgres", "nobody"],
    pid_file: "cluster/postmaster.pid",
    // "Immediate shutdown".
    signal: "QUIT",
};

/// Starts a server under a watchdog.
pub(crate) async fn start(ladder: &Ladder, folder: &StateFolder) -> Result<Started, Reason> {
    let running = local::run(&POSTGRES, ladder, folder, async |site| {
        let (url, version) = initialize_and_run(&site).await?;
        Ok((url, format!("PostgreSQL {version} ({})", site.binaries.display())))
    });
    let running = running.await?;
    let (url, description) = running.started;
    Ok(Started { id: running.id, description, url })
}

async fn initialize_and_run(site: &Site) -> Result<(String, String), Reason> {
    let password = random_hex(32);
    initialize(site, &password).await?;
    let url = |port| format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
    let spawn = |port| spawn(site, port);
    let version = |port| async move { server_version(&mut connect(&url(port)).await?).await };
    let (port, version) = start_on_port(None, spawn, &site.log(), version).await?;
    Ok((url(port), version))
}

async fn initialize(site: &Site, password: &str) -> Result<(), Reason> {
    let password_file = site.data.join("password");
    fs::write(&password_file, password).map_err(|error| Reason::new("password file", error))?;
    let mut command = site.account.command(&site.binaries.join("initdb"));
    command.args([
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    command.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(site.data.join("cluster"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run =
        task::spawn_blocking(move || command.output()).await.expect("waiting for a process does not panic");
    let output = run.map_err(|error| Reason::new("initdb does not start", error))?;
    // The server's own copy is hashed; removed with the folder if it cannot be removed now.
    let _ = fs::remove_file(password_file);
    if output.status.success() {
        return Ok(());
    }
    Err(Reason::new("initdb failed", String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ")))
}

fn spawn(site: &Site, port: u16) -> Result<Child, Reason> {
    let mut command = site.account.command(&site.binaries.join("postgres"));
    command.arg("-D").arg(site.data.join("cluster"));
    let fixed = ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}")];
    let rest = ["unix_socket_directories=", "logging_collector=off", "log_destination=stderr"];
    let settings = fixed.into_iter().chain(rest.iter().chain(&SERVER_SETTINGS).map(ToString::to_string));
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    spawn_logged(command, &site.log())
}
