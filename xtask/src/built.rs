//! Programs of the workspace, built by cargo and found where it put them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::step::program;

/// Builds the workspace's programs and examples as its tests build them, so that no dependency is built twice: which
/// features it has depends on what is built together. Returns where they are.
pub(crate) fn as_tested() -> Result<Vec<PathBuf>, String> {
    let what = ["--workspace", "--all-features", "--bins", "--examples", "--tests"];
    build_with(&["build"], Path::new("."), None, &what)
}

/// Builds programs of the workspace in `tree`, into `target` if one is given, and returns where they are.
pub(crate) fn build_with(
    how: &[&str],
    tree: &Path,
    target: Option<&Path>,
    what: &[&str],
) -> Result<Vec<PathBuf>, String> {
    let mut command = Command::new(program());
    command.current_dir(tree).args(how).args(["--message-format", "json"]).args(what);
    if let Some(target) = target {
        command.env("CARGO_TARGET_DIR", target);
    }
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo ended with {}", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?))).collect())
}

/// Returns the program called `name` among `programs`; cargo puts a hash behind the names of some.
pub(crate) fn find<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path, String> {
    let stem = |path: &'a PathBuf| path.file_stem()?.to_str();
    let exact = programs.iter().find(|path| stem(path) == Some(name));
    let hashed = || {
        let rest = |path| stem(path)?.strip_prefix(name);
        programs.iter().find(|path| rest(path).is_some_and(|rest| rest.starts_with('-')))
    };
    exact.or_else(hashed).map(PathBuf::as_path).ok_or_else(|| format!("{name} was not built"))
}
