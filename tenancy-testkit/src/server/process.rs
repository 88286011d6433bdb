//! Server processes of this machine: as whom they run, where they keep their data, on which port they listen.

use std::{
    env, fs, io,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{reason::Reason, state::random_hex};

/// Who runs the server: nobody special, or an unprivileged user when this process is root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    /// Chooses the account: servers refuse to run as root, and should.
    pub(crate) fn choose(given: Option<&str>, usual: &[&str]) -> Result<Self, Reason> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self(None));
        }
        let users = fs::read_to_string("/etc/passwd").map_err(|error| Reason::new("/etc/passwd", error))?;
        let names: Vec<&str> = given.map_or_else(|| usual.to_vec(), |name| vec![name]);
        let found = names.iter().find_map(|name| ids_of(&users, name));
        let missing =
            || format!("running as root and there is no unprivileged user {}", names.join(" or ")).into();
        found.map(|ids| Self(Some(ids))).ok_or_else(missing)
    }

    /// Returns the account that owns something that a server of the kit made.
    #[cfg(feature = "faults")]
    pub(crate) fn of(uid: u32, gid: u32) -> Self {
        Self(rustix::process::getuid().is_root().then_some((uid, gid)))
    }

    /// Returns a command that runs `program` as this account, with nothing of the tests' terminal.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.0 {
            command.gid(gid).uid(uid);
        }
        command.current_dir("/").process_group(0).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// Gives a file or folder that this process made to the account, with these permissions.
    pub(crate) fn hand_over(self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        let (uid, gid) = self.0.unzip();
        std::os::unix::fs::chown(path, uid, gid)
    }

    /// Makes an empty folder that belongs to this account alone.
    pub(crate) fn data_folder(self, service: &str) -> Result<PathBuf, Reason> {
        let parent = self.reachable_parent().ok_or("no temporary folder that the server's user can enter")?;
        let folder = parent.join(format!("tenancy-{service}-{}", random_hex(12)));
        let made = fs::create_dir(&folder).and_then(|()| self.hand_over(&folder, 0o700));
        made.map(|()| folder.clone()).map_err(|error| Reason::new("data folder", error))
    }

    /// Memory, unless somebody has said where temporary files go. A private `TMPDIR` of root cannot be entered by the
    /// server's user; `/tmp` can.
    fn reachable_parent(self) -> Option<PathBuf> {
        let memory = Some(MEMORY).filter(|folder| env::var_os("TMPDIR").is_none() && has_room(folder));
        let folders = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
        memory.map(PathBuf::from).into_iter().chain(folders).find(|folder| {
            let mut probe = self.command(Path::new("/bin/sh"));
            probe.args(["-c", "cd -- \"$1\"", "sh"]).arg(folder);
            probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        })
    }
}

/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";
/// What has to be free there, and of the memory itself: a container has 64 MiB there unless it is given more.
const ROOM: u64 = 4 << 30;

/// A database is made of some three hundred files and lives for seconds: in memory that takes a tenth of the time.
fn has_room(folder: &str) -> bool {
    let free = rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    free >= ROOM && memory.is_some_and(|memory| memory >= ROOM)
}

/// The line `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1 << 10)
}

fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (uid != 0).then_some((uid, gid))
}

/// Returns a port of the loopback interface that was free a moment ago, and so was the one `distance` above it.
pub(crate) fn free_port(distance: Option<u16>) -> Result<u16, Reason> {
    loop {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).map_err(|error| Reason::new("no free port", error))?;
        let port = listener.local_addr().map_err(|error| Reason::new("no free port", error))?.port();
        let second_is_free = distance.is_none_or(|distance| {
            port.checked_add(distance).is_some_and(|second| TcpListener::bind(("127.0.0.1", second)).is_ok())
        });
        if second_is_free {
            return Ok(port);
        }
    }
}

/// Starts a server whose output goes to `log`.
pub(crate) fn spawn_logged(mut command: Command, log: &Path) -> Result<Child, Reason> {
    let open = || fs::OpenOptions::new().create(true).append(true).open(log);
    let files = open().and_then(|out| open().map(|err| (out, err)));
    let (out, err) = files.map_err(|error| Reason::new("log file", error))?;
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| Reason::new(&format!("{program} does not start"), error))
}

/// Returns the last lines of a log, in one line.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_told_is_none() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   24105 kB\n"), Some(24_105 << 10));
        for told in ["", "MemTotal: 9 kB\n", "MemAvailable: many kB\n", "MemAvailable: 7\n"] {
            assert_eq!(available(told), None, "{told}");
        }
        assert!(!has_room("/nowhere"));
    }

    #[test]
    fn an_account_is_found_by_its_whole_name_and_is_never_root() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:7:::\npostgres:x:101:104:::\n";
        assert_eq!(ids_of(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(users, "root"), None);
        assert_eq!(ids_of(users, "post"), None);
    }
}
