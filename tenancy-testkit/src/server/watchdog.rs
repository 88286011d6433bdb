//! A detached shell that ends a server when its last user is gone, however that user went.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

const SCRIPT: &str = include_str!("watchdog.sh");

/// What the watchdog of one server has to know; kept beside the server, so that a later run can hire a new one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Duty {
    pub(crate) home: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) pid_file: PathBuf,
    pub(crate) current: PathBuf,
    pub(crate) id: String,
    pub(crate) linger_seconds: u64,
    /// The signal, by name, that stops the server at once.
    pub(crate) signal: String,
    /// What the server's command line contains; a process without it only inherited the number.
    pub(crate) mark: String,
}

/// A running watchdog.
#[derive(Debug)]
pub(crate) struct Watchdog(Option<Pid>);

impl Watchdog {
    /// Starts a watchdog, before the server: a test that is killed in between leaves nothing behind.
    pub(crate) fn start(duty: &Duty) -> io::Result<Self> {
        let lock = lock_file(&duty.home)?;
        lock.lock()?;
        fs::write(duty.home.join("duty"), serde_json::to_vec(duty)?)?;
        spawn(duty, lock)
    }

    /// Ends the server and removes its folders now: its start failed.
    pub(crate) fn end_now(self) {
        if let Some(pid) = self.0 {
            // It can only be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// Hires a new watchdog for a server whose own one was killed, for example with everything else of a CI job.
pub(crate) fn replace_if_dead(home: &Path) -> io::Result<bool> {
    let duty: Duty = match fs::read(home.join("duty")) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let lock = lock_file(home)?;
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    spawn(&duty, lock).map(|_| true)
}

/// The lock is the watchdog's standard input: held exactly as long as it lives, whoever started it.
fn spawn(duty: &Duty, lock: File) -> io::Result<Watchdog> {
    let child = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "tenancy-testkit-watchdog"])
        .args([&duty.home, &duty.data, &duty.pid_file, &duty.current])
        .args([&duty.id, &duty.linger_seconds.max(1).to_string(), &duty.signal, &duty.mark])
        .current_dir("/")
        // Its own group: Ctrl-C in the terminal goes to the tests alone.
        .process_group(0)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Watchdog(i32::try_from(child.id()).ok().and_then(Pid::from_raw)))
}

fn lock_file(home: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(home.join("watchdog"))
}

/// Returns whole seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
