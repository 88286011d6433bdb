//! Stops a server of this machine and starts it again, as an upgrade or a crash does.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{task, time::sleep};

use super::{
    PostgresServer,
    service::{connect, server_version},
};
use crate::{
    error::Error,
    server::{
        Rung,
        process::{Account, spawn_logged},
        ready::until_ready,
        reason::Reason,
    },
};

/// How a server is stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// Clients are disconnected, and what is committed is written: PostgreSQL's "fast" shutdown.
    Fast,
    /// Every process ends at once, and the server recovers when it starts: PostgreSQL's "immediate" shutdown. The kit's
    /// servers write commits a moment late; set `synchronous_commit` to `on` for a database whose commits must outlast
    /// this.
    Immediate,
}

/// A busy machine may need this long to stop a server.
const STOP_LIMIT: Duration = Duration::from_secs(60);

impl PostgresServer {
    /// Stops the server and starts it again, with the same data, on the same port; returns when it answers.
    ///
    /// Everybody who uses the server is disconnected: take one that no other test uses, by a [`Ladder`](crate::Ladder)
    /// of one's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the server is not one that the kit started from
    /// this machine's binaries; [`ErrorKind::Server`](crate::ErrorKind::Server) if it does not stop, or not start again.
    pub async fn restart(&self, how: Stop) -> Result<(), Error> {
        if self.rung() != Rung::Local {
            return Err(Error::configuration("only a server of this machine's binaries can be restarted"));
        }
        let done = self.restart_here(how).await;
        done.map_err(|reason| Error::server("the server was not restarted", reason))
    }

    async fn restart_here(&self, how: Stop) -> Result<(), Reason> {
        let cluster = self.cluster().await?;
        let pid = pid(&cluster)?;
        let options = fs::read_to_string(cluster.join("postmaster.opts"));
        let options = options.map_err(|error| Reason::new("the server's command line", error))?;
        let signal = if how == Stop::Fast { Signal::INT } else { Signal::QUIT };
        kill_process(pid, signal).map_err(|error| Reason::new("the server cannot be told to stop", error))?;
        stopped(&cluster).await?;
        let mut words = split(&options).into_iter();
        let program = words.next().ok_or("the server's command line is empty")?;
        let owner = fs::metadata(&cluster).map_err(|error| Reason::new("the server's folder", error))?;
        let mut command = Account::of(owner.uid(), owner.gid()).command(Path::new(&program));
        command.args(words);
        let mut server = spawn_logged(command, &cluster.with_file_name("log"))?;
        let ended = move || {
            std::future::ready(match server.try_wait() {
                Ok(None) => None,
                _ => Some("the server ended".into()),
            })
        };
        let url = self.admin_url();
        until_ready(|| async move { server_version(&mut connect(url).await?).await }, ended).await.map(drop)
    }

    async fn cluster(&self) -> Result<PathBuf, Reason> {
        let mut admin = connect(self.admin_url()).await?;
        let folder = sqlx::query_scalar::<_, String>("SHOW data_directory").fetch_one(&mut admin).await?;
        Ok(folder.into())
    }
}

/// The first line of the file is the process that all others of the server descend from.
fn pid(cluster: &Path) -> Result<Pid, Reason> {
    let text = fs::read_to_string(cluster.join("postmaster.pid"));
    let text = text.map_err(|error| Reason::new("the server's process id", error))?;
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    pid.ok_or_else(|| "the server's process id is not a number".into())
}

/// A server that has stopped removes the file, as the last thing that it does.
async fn stopped(cluster: &Path) -> Result<(), Reason> {
    let (file, deadline) = (cluster.join("postmaster.pid"), Instant::now() + STOP_LIMIT);
    loop {
        let asked = file.clone();
        let there =
            task::spawn_blocking(move || asked.exists()).await.expect("looking for a file does not panic");
        if !there {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the server does not stop".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Splits the line that the server writes about itself: the program, then each argument in double quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = line.trim_end().split(" \"");
    let program = words.next().unwrap_or_default().to_owned();
    let rest = words.map(|word| word.trim_end_matches('"').to_owned());
    std::iter::once(program).filter(|program| !program.is_empty()).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_line_is_split_into_its_arguments() {
        let line = "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/tmp/a b/cluster\" \"-c\" \"port=5\"\n";
        let words = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/tmp/a b/cluster", "-c", "port=5"];
        assert_eq!(split(line), words);
        assert!(split("\n").is_empty());
    }
}
