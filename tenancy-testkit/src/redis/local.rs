//! Servers from the Redis binary of this machine.

use std::{fmt::Write as _, fs, os::unix::process::CommandExt, process::Child};

use super::service::{Started, server_version};
use crate::server::{
    Ladder,
    local::{self, Program, Running, Site},
    process::spawn_logged,
    ready::start_on_port,
    reason::Reason,
    state::{StateFolder, random_hex},
};

const REDIS: Program = Program {
    service: "redis",
    binaries: &["redis-server"],
    // Debian and Red Hat, Homebrew, MacPorts and from source.
    usual_folders: &["/usr/bin", "/opt/homebrew/bin", "/usr/local/bin", "/opt/local/bin"],
    accounts: &["redis", "nobody"],
    pid_file: "pid",
    // Without anything to save, it ends at once.
    signal: "TERM",
};

/// Parallel tests of all processes, with room for the databases of those that were killed.
const DATABASES: u32 = 1024;

/// One server of this machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) version: String,
}

/// Starts the server that the run shares.
pub(crate) async fn start(ladder: &Ladder, folder: &StateFolder) -> Result<Started, Reason> {
    let Running { id, started: node, .. } =
        start_node(ladder, folder, Mode::Single, &random_password()).await?;
    Ok(Started { id, description: format!("Redis {}", node.version), url: node.url })
}

/// What a server is part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Single,
    /// A node of a cluster, which also listens on a port 10,000 higher.
    Cluster,
}

/// Returns a password that nobody else knows.
pub(crate) fn random_password() -> String {
    random_hex(32)
}

/// Starts one server under a watchdog. Clients of a cluster take one password for all of its nodes.
pub(crate) async fn start_node(
    ladder: &Ladder,
    folder: &StateFolder,
    mode: Mode,
    password: &str,
) -> Result<Running<Node>, Reason> {
    local::run(&REDIS, ladder, folder, async |site| {
        let url = |port| format!("redis://:{password}@127.0.0.1:{port}/0");
        let spawn = |port| spawn(&site, mode, port, password);
        let ask = |port| async move { server_version(&url(port)).await };
        let distance = (mode == Mode::Cluster).then_some(BUS_DISTANCE);
        let (port, version) = start_on_port(distance, spawn, &site.log(), ask).await?;
        Ok(Node { url: url(port), port, version })
    })
    .await
}

/// The port of a cluster's bus is this much higher than the one for clients.
const BUS_DISTANCE: u16 = 10_000;

fn spawn(site: &Site, mode: Mode, port: u16, password: &str) -> Result<Child, Reason> {
    let data = site.data.display();
    let mut configuration = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {data}\npidfile {data}/pid\n\
         daemonize no\nsave \"\"\nappendonly no\n"
    );
    let more = match mode {
        Mode::Single => writeln!(configuration, "databases {DATABASES}"),
        Mode::Cluster => writeln!(
            configuration,
            "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout 2000\n\
             cluster-announce-ip 127.0.0.1\nmasterauth {password}"
        ),
    };
    more.expect("a string takes any text");
    let file = site.data.join("redis.conf");
    let written = fs::write(&file, configuration).and_then(|()| site.account.hand_over(&file, 0o600));
    written.map_err(|error| Reason::new("configuration file", error))?;
    let mut command = site.account.command(&site.binaries.join("redis-server"));
    // Redis replaces its command line by its own name and address: the name has to say whose it is.
    command.arg0(site.data.join("redis-server")).arg(file);
    spawn_logged(command, &site.log())
}
