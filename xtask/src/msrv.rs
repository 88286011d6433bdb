//! A declared `rust-version` is honest when it is what the crate's own dependencies need: no less, and no more.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use serde_json::Value;

use crate::step::Outcome;

/// Edition 2024 came with this one.
const OLDEST: (u64, u64) = (1, 85);

/// Compares each published crate's `rust-version` with the greatest among its normal dependencies, whichever features
/// are on.
pub(crate) fn check() -> Outcome {
    let metadata = metadata(&["--all-features"])?;
    let packages: HashMap<&str, &Value> =
        list(&metadata, "packages").map(|it| (text(it, "id"), it)).collect();
    let nodes: HashMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").map(|it| (text(it, "id"), it)).collect();
    let mut wrong = Vec::new();
    for package in published_in(&metadata) {
        let (name, declared) = (text(package, "name"), version(package).unwrap_or_default());
        let (needed, by) = needed(text(package, "id"), &packages, &nodes);
        println!("{name}: declares {}.{}, needs {}.{} ({by})", declared.0, declared.1, needed.0, needed.1);
        if declared != needed {
            wrong.push(format!("{name} needs {}.{}", needed.0, needed.1));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

/// Returns the workspace's crates that are published.
pub(crate) fn published() -> Result<Vec<Value>, String> {
    let metadata = metadata(&["--no-deps"])?;
    Ok(published_in(&metadata).cloned().collect())
}

fn published_in(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members: HashSet<&str> = list(metadata, "workspace_members").filter_map(Value::as_str).collect();
    list(metadata, "packages").filter(move |package| {
        let inner = package["publish"].as_array().is_some_and(Vec::is_empty);
        members.contains(text(package, "id")) && !inner
    })
}

/// The greatest version that something in the tree below `root` declares, and what that is.
fn needed<'m>(
    root: &'m str,
    packages: &HashMap<&str, &'m Value>,
    nodes: &HashMap<&str, &'m Value>,
) -> ((u64, u64), &'m str) {
    let mut greatest = (OLDEST, "edition 2024");
    let (mut seen, mut open) = (HashSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        if let Some(needs) = packages.get(id).filter(|_| id != root).and_then(|package| version(package))
            && needs > greatest.0
        {
            greatest = (needs, text(packages[id], "name"));
        }
        let normal = |dependency: &&Value| list(dependency, "dep_kinds").any(|kind| kind["kind"] != "dev");
        let dependencies = nodes.get(id).into_iter().flat_map(|node| list(node, "deps"));
        open.extend(dependencies.filter(normal).map(|dependency| text(dependency, "pkg")));
    }
    greatest
}

fn version(package: &Value) -> Option<(u64, u64)> {
    let mut parts = package["rust_version"].as_str()?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next().and_then(Result::ok).unwrap_or(0)))
}

/// Returns what `cargo metadata` says.
pub(crate) fn metadata(arguments: &[&str]) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--format-version=1"]).args(arguments).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}
