//! A test process that can be killed: this binary again, told by its environment what to do.
//!
//! The same test function is the parent and the child. The child says on its standard output what it has, then waits
//! for a line on its standard input, which never comes.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

const ROLE: &str = "TENANCY_TESTKIT_VICTIM";

/// Returns what the parent told this process to do, if it is a child.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Tells the parent something; a test's own output may come in between.
pub(crate) fn tell(what: &str, value: &str) {
    println!("\nVICTIM {what} {value}");
}

/// Waits to be killed.
pub(crate) fn wait() {
    let _ = io::stdin().read(&mut [0]);
}

/// A temporary folder of its own for one test: what is left in it afterwards was left behind.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tenancy-place-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("temporary folder");
        // The server's unprivileged user has to get in, too.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the data folders of servers and the homes of their watchdogs.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let list =
            |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found = Vec::new();
        for entry in list(&self.0) {
            if entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tenancy-testkit-")) {
                found.extend(list(&entry).flat_map(|state| list(&state.join("servers")).collect::<Vec<_>>()));
            } else {
                found.push(entry);
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running child.
pub(crate) struct Victim {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Victim {
    /// Starts this binary again with one test, in a process group of its own like a test run in a terminal.
    pub(crate) fn start(test: &str, role: &str, place: &Place, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env("TMPDIR", place.path())
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this binary starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output }
    }

    /// Waits until the child tells `what`.
    pub(crate) fn hear(&mut self, what: &str) -> String {
        let prefix = format!("VICTIM {what} ");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the child's output is text");
            if let Some(value) = line.trim_end().strip_prefix(&prefix) {
                return value.to_owned();
            }
            seen.push_str(&line);
            assert!(read > 0, "the child ended without telling {what}:\n{seen}");
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the child's whole process group, as a terminal does, and waits for its end.
    pub(crate) fn end_with(mut self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process_group(group, signal).expect("the child is alive");
        self.child.wait().expect("the child ends");
    }

    /// Waits for the child's own end and returns all that it printed.
    pub(crate) fn read_all(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("the child's output is text");
        text
    }

    /// Waits for the child's own end and returns whether it reported success.
    pub(crate) fn finish(mut self) -> bool {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        self.child.wait().expect("the child ends").success()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It has ended already unless an assertion failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, at most for 30 seconds; returns how long it took.
pub(crate) fn within_30_seconds(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 seconds: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    start.elapsed()
}
