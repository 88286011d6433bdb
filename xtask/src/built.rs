//! Programs of the workspace, built by cargo and found where it put them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::step::program;

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

/// Returns the program called `name` among `programs`.
pub(crate) fn find<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path, String> {
    let is_it = |path: &&PathBuf| {
        path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| {
            stem == name || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
        })
    };
    programs.iter().find(is_it).map(PathBuf::as_path).ok_or_else(|| format!("{name} was not built"))
}
