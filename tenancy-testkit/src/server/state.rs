//! The folder through which the test processes of one run find each other's server.
//!
//! ```text
//! <temporary folder>/tenancy-testkit-<user id>/<service>-<hash of the ladder>/
//!   lock                 held exclusively while a process decides whether to join or to start a server
//!   current              the record of the running server (JSON; holds passwords, so all is private to the user)
//!   servers/<id>/users/  one file per process that uses the server, named by its process id
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Rung;
use crate::error::Error;

/// Between two looks at a lock that somebody else holds.
const PAUSE: Duration = Duration::from_millis(10);

/// What a process needs to know to use a running server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Record<T> {
    /// Tells this server from those before and after it.
    pub(crate) id: String,
    /// Where it came from, by name.
    pub(crate) rung: String,
    /// What it is, for the line that a test run prints.
    pub(crate) description: String,
    /// The administrator's URL.
    pub(crate) url: String,
    /// What the service adds.
    pub(crate) detail: T,
}

impl<T> Record<T> {
    pub(crate) fn rung(&self) -> Option<Rung> {
        self.rung.parse().ok()
    }
}

/// The shared folder of one service under one ladder.
#[derive(Clone, Debug)]
pub(crate) struct StateFolder {
    root: PathBuf,
}

impl StateFolder {
    /// Opens the folder, making it when it is not there.
    pub(crate) fn open(service: &str, configuration: &impl Hash) -> Result<Self, Error> {
        let base =
            std::env::temp_dir().join(format!("tenancy-testkit-{}", rustix::process::getuid().as_raw()));
        let mut hasher = DefaultHasher::new();
        // The record's form may change between versions of the kit, which may run side by side.
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        configuration.hash(&mut hasher);
        let root = base.join(format!("{}-{:016x}", service.to_lowercase(), hasher.finish()));
        let open = || -> io::Result<()> {
            private_folder(&base)?;
            private_folder(&root)?;
            private_folder(&root.join("servers"))
        };
        open().map_err(|error| Error::state("the kit's shared folder cannot be used", error))?;
        Ok(Self { root })
    }

    /// Waits for the folder's lock, at most for `limit`; it is free again when the file is dropped, or the process gone.
    pub(crate) fn lock(&self, limit: Duration) -> Result<File, Error> {
        let deadline = Instant::now() + limit;
        let lock = || {
            let file = private_file(&self.root.join("lock"), false)?;
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(file),
                    Err(TryLockError::Error(error)) => return Err(error),
                    Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            "another process holds the lock",
                        ));
                    }
                    Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                }
            }
        };
        lock().map_err(|error| Error::state("the kit's shared folder cannot be locked", error))
    }

    /// Returns the record of the running server, if there is one that this version can read.
    pub(crate) fn current<T: DeserializeOwned>(&self) -> Option<Record<T>> {
        serde_json::from_slice(&fs::read(self.current_path()).ok()?).ok()
    }

    /// Makes `record` the running server.
    pub(crate) fn publish<T: Serialize>(&self, record: &Record<T>) -> Result<(), Error> {
        let publish = || -> io::Result<()> {
            let draft = self.root.join("current.draft");
            private_file(&draft, true)?.write_all(&serde_json::to_vec(record)?)?;
            // A reader sees the old record or the new one, never half of one.
            fs::rename(draft, self.current_path())
        };
        publish().map_err(|error| Error::state("the server's record cannot be written", error))
    }

    /// Registers this process as a user of server `id`, before it looks whether that server is still the current
    /// one: the watchdog withdraws the record first and looks for users second, so that one of the two sees the
    /// other.
    pub(crate) fn take_seat(&self, id: &str) -> Result<(), Error> {
        let sit = || -> io::Result<()> {
            private_folder(&self.home(id))?;
            private_folder(&self.users(id))?;
            private_file(&self.users(id).join(process::id().to_string()), true).map(drop)
        };
        sit()
            .map_err(|error| Error::state("this process cannot be registered as a user of the server", error))
    }

    /// Takes back [`take_seat`](Self::take_seat).
    pub(crate) fn leave_seat(&self, id: &str) {
        // A seat that cannot be removed is removed by the watchdog when this process is gone.
        let _ = fs::remove_file(self.users(id).join(process::id().to_string()));
    }

    pub(crate) fn current_path(&self) -> PathBuf {
        self.root.join("current")
    }

    /// Returns the folder of server `id`.
    pub(crate) fn home(&self, id: &str) -> PathBuf {
        self.root.join("servers").join(id)
    }

    /// Returns the folders of all servers that were not cleaned up yet.
    pub(crate) fn homes(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join("servers")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn users(&self, id: &str) -> PathBuf {
        self.home(id).join("users")
    }
}

/// Makes a folder that only this user can enter, and refuses one that somebody else made under its name.
fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the folder is not private to this user",
        ));
    }
    Ok(())
}

fn private_file(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(truncate).mode(0o600).open(path)
}

/// Returns `digits` random hexadecimal digits, at most 32.
pub(crate) fn random_hex(digits: usize) -> String {
    let half = || getrandom::u64().expect("the operating system has random numbers");
    let mut text = format!("{:016x}{:016x}", half(), half());
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever holds the lock for ever is told to those who wait, and whoever lets go of it lets the next one in.
    #[test]
    fn a_lock_is_waited_for_and_not_for_ever() {
        let folder =
            StateFolder::open("lock-test", &random_hex(16)).expect("the temporary folder can be used");
        let held = folder.lock(Duration::ZERO).expect("nobody else has it");
        let late = folder.lock(PAUSE * 2).expect_err("it is held");
        assert_eq!(late.kind(), crate::ErrorKind::State);
        let next = thread::spawn({
            let folder = folder.clone();
            move || folder.lock(Duration::from_secs(60)).map(drop)
        });
        drop(held);
        next.join().expect("no panic").expect("it is free");
        fs::remove_dir_all(&folder.root).expect("the folder is the test's own");
    }
}
