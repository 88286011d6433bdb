//! A server of this machine's binaries, from its folder to its watchdog.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Ladder, binaries,
    process::Account,
    reason::Reason,
    state::{StateFolder, random_hex},
    watchdog::{Duty, Watchdog, whole_seconds},
};

/// How a service's binaries are found, run and stopped.
#[derive(Debug)]
pub(crate) struct Program {
    /// The service's name in the names of folders.
    pub(crate) service: &'static str,
    /// What the folder of the binaries must hold.
    pub(crate) binaries: &'static [&'static str],
    /// Where distributions keep them when they are not on `PATH`; one component may contain a `*`.
    pub(crate) usual_folders: &'static [&'static str],
    /// Who runs them when the tests run as root.
    pub(crate) accounts: &'static [&'static str],
    /// Where the server writes its process id, inside its data folder.
    pub(crate) pid_file: &'static str,
    /// The signal that stops the server at once; its data is thrown away.
    pub(crate) signal: &'static str,
}

/// What is found and made before the server itself starts.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) binaries: PathBuf,
    /// An empty folder of the account; the server's command line has to name it, or the watchdog will not stop it.
    pub(crate) data: PathBuf,
    pub(crate) account: Account,
}

/// A server that runs, and its watchdog.
#[derive(Debug)]
pub(crate) struct Running<T> {
    pub(crate) id: String,
    /// A shared server ends with its last user; only one that is somebody's own is ended by hand.
    #[cfg_attr(
        not(any(feature = "redis", feature = "pgbouncer")),
        expect(dead_code, reason = "only Redis and PgBouncer have servers of one test's own")
    )]
    pub(crate) watchdog: Watchdog,
    pub(crate) started: T,
}

impl Site {
    /// Returns the log file of the server.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("log")
    }
}

/// Prepares a site, puts a watchdog in front of it, and lets `start` start the server there.
pub(crate) async fn run<T, S, F>(
    program: &'static Program,
    ladder: &Ladder,
    folder: &StateFolder,
    start: S,
) -> Result<Running<T>, Reason>
where
    S: FnOnce(Arc<Site>) -> F,
    F: Future<Output = Result<T, Reason>>,
{
    let binaries = binaries::find(ladder.binaries.as_deref(), program.usual_folders, program.binaries)?;
    let account = Account::choose(ladder.user.as_deref(), program.accounts)?;
    let id = random_hex(12);
    let data = account.data_folder(program.service)?;
    folder.take_seat(&id)?;
    let duty = duty(program, ladder, folder, &id, &data);
    let watchdog = Watchdog::start(&duty).map_err(|error| Reason::new("watchdog", error))?;
    match start(Arc::new(Site { binaries, data, account })).await {
        Ok(started) => Ok(Running { id, watchdog, started }),
        Err(reason) => {
            watchdog.end_now();
            Err(reason)
        }
    }
}

fn duty(program: &Program, ladder: &Ladder, folder: &StateFolder, id: &str, data: &Path) -> Duty {
    Duty {
        home: folder.home(id),
        data: data.to_path_buf(),
        pid_file: data.join(program.pid_file),
        current: folder.current_path(),
        id: id.to_owned(),
        linger_seconds: whole_seconds(ladder.linger),
        signal: program.signal.to_owned(),
        mark: data.display().to_string(),
    }
}
