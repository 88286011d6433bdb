//! What the tests need beside Rust, and where it comes from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{Outcome, cargo, run};

/// A program, the folders beside `PATH` in which distributions keep it, and the Debian package that holds it.
struct Tool {
    program: &'static str,
    folders: &'static [&'static str],
    package: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "postgres", folders: &["/usr/lib/postgresql", "/usr/pgsql-*"], package: "postgresql" },
    Tool { program: "redis-server", folders: &[], package: "redis-server" },
    Tool { program: "pgbouncer", folders: &["/usr/sbin"], package: "pgbouncer" },
    Tool { program: "mariadbd", folders: &["/usr/sbin"], package: "mariadb-server" },
    Tool { program: "cc", folders: &[], package: "gcc" },
];

/// Brings the missing programs.
pub(crate) fn install() -> Outcome {
    bring_servers()?;
    bring_counters();
    Ok(())
}

/// Installs the missing programs with Debian's packages, as root; says in one line what to install where it cannot.
fn bring_servers() -> Outcome {
    let missing: Vec<&str> = TOOLS.iter().filter(|tool| !tool.is_there()).map(|tool| tool.package).collect();
    if missing.is_empty() {
        println!("everything is there");
        return Ok(());
    }
    let list = missing.join(" ");
    if find("apt-get").is_none() || !is_root() {
        return Err(format!(
            "missing: install with `sudo apt-get install {list}`, or what your system calls them"
        ));
    }
    println!("installing {list}");
    // The packages would start servers of their own: the tests start theirs, with data that they throw away.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        write_policy(policy)
            .map_err(|error| format!("cannot keep packages from starting servers: {error}"))?;
    }
    let outcome = apt(&["update"]).and_then(|()| {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(&missing);
        apt(&arguments)
    });
    if ours {
        // Nothing depends on this file; one that stays behind would keep later packages from starting servers.
        let _ = std::fs::remove_file(policy);
    }
    outcome
}

impl Tool {
    fn is_there(&self) -> bool {
        find(self.program).is_some()
            || self.folders.iter().any(|folder| is_below(Path::new(folder), self.program))
    }
}

/// Where tools of cargo go that this workspace brings itself: nobody's own are replaced.
const OWN: &str = "target/tools";

/// Brings what counts instructions. Without it that is not done, which is said where it would be.
fn bring_counters() {
    if find("valgrind").is_none() && find("apt-get").is_some() && is_root() {
        println!("installing valgrind");
        drop(
            apt(&["update"]).and_then(|()| apt(&["install", "--yes", "--no-install-recommends", "valgrind"])),
        );
    }
    if find("valgrind").is_some()
        && find("gungraun-runner").is_none()
        && let Some(version) = locked("gungraun")
    {
        println!("installing gungraun-runner {version}");
        let install = ["install", "--quiet", "--locked", "gungraun-runner", "--version", &version];
        drop(cargo(&[&install[..], &["--root", OWN]].concat()));
    }
    for program in ["valgrind", "gungraun-runner"] {
        if find(program).is_none() {
            println!("{program} is not there: instructions will NOT be counted");
        }
    }
}

/// Returns the version of `package` in the lock file. A runner works with the library of its own version alone.
fn locked(package: &str) -> Option<String> {
    let lock = std::fs::read_to_string("Cargo.lock").ok()?;
    let rest = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?.1;
    rest.split_once('"').map(|(version, _)| version.to_owned())
}

/// Returns `PATH`, with the tools of this workspace behind it.
pub(crate) fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_dir().map(|here| here.join(OWN).join("bin"));
    let folders = std::env::split_paths(&path).chain(own.ok());
    std::env::join_paths(folders).unwrap_or(path)
}

/// Looks for `program` on `PATH`, and among the tools of this workspace.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Looks for `program` in `folder`, and in the `bin` of each version below it.
fn is_below(folder: &Path, program: &str) -> bool {
    let versions = std::fs::read_dir(folder).into_iter().flatten().flatten();
    folder.join(program).is_file()
        || versions.map(|version| version.path()).any(|version| version.join("bin").join(program).is_file())
}

fn is_root() -> bool {
    let answer = Command::new("id").arg("-u").output();
    answer.is_ok_and(|answer| answer.stdout.trim_ascii() == b"0")
}

fn write_policy(path: &Path) -> std::io::Result<()> {
    std::fs::write(path, "#!/bin/sh\nexit 101\n")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn apt(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    run(&mut command)
}
