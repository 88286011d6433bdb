//! A server from the PostgreSQL binaries of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use sqlx::Connection;
use tokio::{task, time::sleep};

use super::{
    SERVER_SETTINGS,
    names::Key,
    service::{Started, connect, server_version},
};
use crate::server::{
    Ladder, binaries,
    process::{Account, free_port, log_tail, spawn_logged},
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

const START_LIMIT: Duration = Duration::from_secs(60);

/// A port that was free may be taken by the time the server listens.
const PORT_TRIES: usize = 5;

struct Files {
    programs: PathBuf,
    data: PathBuf,
    account: Account,
}

/// Starts a server under a watchdog.
pub(crate) async fn start(ladder: &Ladder, folder: &StateFolder) -> Result<Started, String> {
    let programs = binaries::find(ladder.binaries.as_deref(), &USUAL_FOLDERS, &["initdb", "postgres"])?;
    let account = Account::choose(ladder.user.as_deref(), &["postgres", "nobody"])?;
    let id = Key::random().to_string();
    let data = account.data_folder("postgres")?;
    folder.take_seat(&id).map_err(|error| format!("{error:?}"))?;
    let watchdog =
        Watchdog::start(&duty(ladder, folder, &id, &data)).map_err(|error| format!("watchdog: {error}"))?;
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

async fn initialize_and_run(files: &Files) -> Result<(String, String), String> {
    let password = random_hex(32);
    initialize(files, &password).await?;
    let mut last = String::new();
    for _ in 0..PORT_TRIES {
        let port = free_port()?;
        let server = spawn(files, port)?;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        match ready(server, files, &url).await {
            Ok(version) => return Ok((url, version)),
            Err(reason) if reason.contains("in use") => last = reason,
            Err(reason) => return Err(reason),
        }
    }
    Err(last)
}

async fn initialize(files: &Files, password: &str) -> Result<(), String> {
    let password_file = files.data.join("password");
    fs::write(&password_file, password).map_err(|error| format!("password file: {error}"))?;
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
    let output = run.map_err(|error| format!("initdb does not start: {error}"))?;
    // The server's own copy is hashed; removed with the folder if it cannot be removed now.
    let _ = fs::remove_file(password_file);
    if output.status.success() {
        return Ok(());
    }
    Err(format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ")))
}

fn spawn(files: &Files, port: u16) -> Result<Child, String> {
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

async fn ready(mut server: Child, files: &Files, url: &str) -> Result<String, String> {
    let log = files.data.join("log");
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match connect(url).await {
            Ok(mut connection) => {
                let version = server_version(&mut connection).await;
                // The next connection is the one that counts.
                let _ = connection.close().await;
                return version;
            }
            Err(reason) if Instant::now() > deadline => {
                return Err(format!("the server is not ready: {reason}"));
            }
            Err(_) => {}
        }
        if !matches!(server.try_wait(), Ok(None)) {
            return Err(format!("the server ended: {}", log_tail(&log)));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
