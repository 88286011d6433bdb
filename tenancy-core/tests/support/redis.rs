//! Redis servers of one test: started on free ports, gone with the test.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server without persistence in a directory of its own.
pub(crate) struct Server {
    process: Child,
    directory: PathBuf,
    port: u16,
}

impl Server {
    /// Starts a single server.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        // Another process may take the port between its choice and the start: try again then.
        for _ in 0..10 {
            let port = free_port();
            let directory = std::env::temp_dir().join(format!("tenancy-redis-{}-{port}", std::process::id()));
            std::fs::create_dir_all(&directory).unwrap();
            let mut server = Self { process: spawn(port, &directory, arguments), directory, port };
            if server.is_ready() {
                return server;
            }
        }
        panic!("no redis-server could be started");
    }

    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.cli(&["ping"]).is_ok_and(|answer| answer.trim() == "PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Returns the server's URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn cli(&self, arguments: &[&str]) -> io::Result<String> {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(port: u16, directory: &Path, arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A cluster node also listens 10,000 ports above its own.
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// A cluster of three masters.
pub(crate) struct Cluster(Vec<Server>);

impl Cluster {
    /// Starts three servers and joins them.
    pub(crate) fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"];
        let servers: Vec<Server> = (0..3).map(|_| Server::start_with(&options)).collect();
        let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Self(servers);
        let deadline = Instant::now() + Duration::from_secs(30);
        let agreed = |server: &Server| {
            let info = server.cli(&["cluster", "info"]).unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        while !cluster.0.iter().all(agreed) {
            assert!(Instant::now() < deadline, "the cluster does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// Returns the URLs of the three nodes.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }
}
