//! Each benchmark runs once and short: whether it works, not what anything costs.

use crate::step::{Outcome, cargo};
use crate::tools::find;

const PACKAGE: &str = "tenancy-benches";

/// What follows `--` for a benchmark that does more than run once when cargo tests it.
const SHORTER: &[(&str, &[&str])] =
    &[("paired", &["measure", "--only", "resolve/layer", "--rounds", "1", "--calls", "50"])];

/// What a benchmark needs beside Rust. It is not installed: the figures of these are for whoever judges performance.
const NEEDS: &[(&str, &[&str])] = &[("instructions", &["valgrind", "gungraun-runner"])];

/// Runs every benchmark, unoptimised. Without `--bench`, criterion runs each function once and measures nothing.
pub(crate) fn run() -> Outcome {
    let mut failed = Vec::new();
    for name in names()? {
        if let Some(missing) = of(NEEDS, &name).iter().find(|program| find(program).is_none()) {
            println!("{name}: NOT RUN, {missing} is not there");
            continue;
        }
        // The whole workspace, as the tests build it: no dependency is built twice.
        let mut whole = vec!["test", "--quiet", "--workspace", "--all-features", "--bench", &name, "--"];
        whole.extend(of(SHORTER, &name));
        println!("--> {name}");
        if cargo(&whole).is_err() {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn of<'t>(table: &[(&str, &'t [&'t str])], name: &str) -> &'t [&'t str] {
    table.iter().find(|(bench, _)| *bench == name).map_or(&[], |(_, words)| words)
}

fn names() -> Result<Vec<String>, String> {
    let metadata = crate::msrv::metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets =
        packages.filter(|package| package["name"] == PACKAGE).filter_map(|it| it["targets"].as_array());
    let benches = targets.flatten().filter(|target| target["kind"][0] == "bench");
    Ok(benches.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}
