//! A server from the PostgreSQL binaries of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use tokio::task;

use super::{
    SERVER_SETTINGS,
    names::Key,
    service::{Started, connect, server_version},
};
use crate::server::{
    Ladder, binaries,
    process::{Account, spawn_logged},
    ready::start_on_free_port,
    reason::Reason,
    state::{StateFolder, random_hex},
    watchdog::{Duty, Watchdog, whole_seconds},
};

/// Where distributions keep the server binaries: Debian, Red Hat, Alpine, Homebrew, Postgres.app, the installer.
const USUAL_FOLDERS: [&str; 10] = [
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
];

struct Files {
    programs: PathBuf,
    data: PathBuf,
    account: Account,
}

/// Starts a server under a watchdog.
pub(crate) async fn start(ladder: &Ladder, folder: &StateFolder) -> Result<Started, Reason> {
    let programs = binaries::find(ladder.binaries.as_deref(), &USUAL_FOLDERS, &["initdb", "postgres"])?;
    let account = Account::choose(ladder.user.as_deref(), &["postgres", "nobody"])?;
    let id = Key::random().to_string();
    let data = account.data_folder("postgres")?;
    folder.take_seat(&id)?;
    let watchdog =
        Watchdog::start(&duty(ladder, folder, &id, &data)).map_err(|error| Reason::new("watchdog", error))?;
    let files = Files { programs, data, account };
    match initialize_and_run(&files).await {
        Ok((url, version)) => {
            let description = format!("PostgreSQL {version} ({})", files.programs.display());
            Ok(Started { id, description, url })
        }
        Err(reason) => {
            watchdog.end_now();
            Err(reason)
        }
    }
}

fn duty(ladder: &Ladder, folder: &StateFolder, id: &str, data: &Path) -> Duty {
    Duty {
        home: folder.home(id),
        data: data.to_path_buf(),
        pid_file: data.join("cluster/postmaster.pid"),
        current: folder.current_path(),
        id: id.to_owned(),
        linger_seconds: whole_seconds(ladder.linger),
        // "Immediate shutdown": the data is thrown away.
        signal: "QUIT".to_owned(),
        mark: data.display().to_string(),
    }
}

async fn initialize_and_run(files: &Files) -> Result<(String, String), Reason> {
    let password = random_hex(32);
    initialize(files, &password).await?;
    let url = |port| format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
    let spawn = |port| spawn(files, port);
    let version = |port| async move { server_version(&mut connect(&url(port)).await?).await };
    let (port, version) = start_on_free_port(spawn, &files.data.join("log"), version).await?;
    Ok((url(port), version))
}

async fn initialize(files: &Files, password: &str) -> Result<(), Reason> {
    let password_file = files.data.join("password");
    fs::write(&password_file, password).map_err(|error| Reason::new("password file", error))?;
    let mut command = files.account.command(&files.programs.join("initdb"));
    command.args([
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    command.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(files.data.join("cluster"));
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

fn spawn(files: &Files, port: u16) -> Result<Child, Reason> {
    let mut command = files.account.command(&files.programs.join("postgres"));
    command.arg("-D").arg(files.data.join("cluster"));
    let fixed = ["listen_addresses=127.0.0.1".to_owned(), format!("port={port}")];
    let rest = ["unix_socket_directories=", "logging_collector=off", "log_destination=stderr"];
    let settings = fixed.into_iter().chain(rest.iter().chain(&SERVER_SETTINGS).map(ToString::to_string));
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    spawn_logged(command, &files.data.join("log"))
}
