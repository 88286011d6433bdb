//! The benchmark gate: measures, and compares with the budgets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::step::{Outcome, run};

const OUT: &str = "target/tenancy-gate";
/// Below it, gungraun keeps what it counts.
const GUNGRAUN: &str = "target/gungraun/tenancy-benches";
/// As many as `benches/benches/instructions.rs` makes.
const CALLS: &str = "100";

/// Compares this working tree with its budgets, and with the revision that `BENCH_GATE_BASE` names, if it does.
pub(crate) fn check() -> Outcome {
    against(std::env::var("BENCH_GATE_BASE").ok().filter(|base| !base.is_empty()).as_deref())
}

/// Compares this working tree with its budgets, and with the revision `base`.
pub(crate) fn against(base: Option<&str>) -> Outcome {
    let here = Path::new(".");
    let programs =
        build(here, None, &["--package", "tenancy-benches", "--bench", "paired", "--bench", "counts"])?;
    let gate = build(
        here,
        None,
        &[
            "--package",
            "tenancy-testkit",
            "--no-default-features",
            "--features",
            "gate-cli",
            "--bin",
            "tenancy-gate",
        ],
    )?;
    let counts = format!("{OUT}/counts.json");
    run(Command::new(find(&programs, "counts")?).args(["--bench", "--out", &counts]))?;
    let mut check = Command::new(find(&gate, "tenancy-gate")?);
    check.arg("check").args(["--out", OUT, "--run", &counts]);
    check.args(["--history", "target/tenancy-gate-history.jsonl", "--revision", &revision()]);
    check.arg("--program").arg(find(&programs, "paired")?);
    if count_instructions()? {
        check.args(["--gungraun", GUNGRAUN, "--gungraun-calls", CALLS]);
    }
    if let Some(base) = base {
        check.arg("--base").arg(build_base(base)?);
    }
    run(&mut check)
}

/// Counts instructions, where valgrind and the harness's runner are there; says so where they are not.
fn count_instructions() -> Result<bool, String> {
    let is_there = |program: &str| {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if !is_there("valgrind") || !is_there("gungraun-runner") {
        println!("valgrind or gungraun-runner is missing: instructions are not counted");
        return Ok(false);
    }
    let bench = ["bench", "--quiet", "--package", "tenancy-benches", "--bench", "instructions"];
    run(Command::new(cargo()).args(bench).args(["--", "--save-summary=json"]))?;
    Ok(true)
}

/// Builds optimized programs of the workspace in `tree`, into `target` if one is given, and returns where they are.
fn build(tree: &Path, target: Option<&Path>, what: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut command = Command::new(cargo());
    command.current_dir(tree).args(["build", "--profile", "bench", "--message-format", "json"]).args(what);
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

/// Checks `base` out beside this tree and builds its bench program, into a directory of its own: there it replaces
/// nothing of this tree.
fn build_base(base: &str) -> Result<PathBuf, String> {
    let tree = Path::new(OUT).join("base");
    drop(
        Command::new("git").args(["worktree", "remove", "--force"]).arg(&tree).stderr(Stdio::null()).status(),
    );
    run(Command::new("git").args(["worktree", "add", "--force", "--detach"]).arg(&tree).arg(base))?;
    let target = std::env::current_dir().map_err(|error| error.to_string())?.join(OUT).join("base-target");
    let programs = build(&tree, Some(&target), &["--package", "tenancy-benches", "--bench", "paired"])?;
    find(&programs, "paired").map(Path::to_owned)
}

fn find<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path, String> {
    let is_it = |path: &&PathBuf| {
        path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| {
            stem == name || stem.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
        })
    };
    programs.iter().find(is_it).map(PathBuf::as_path).ok_or_else(|| format!("{name} was not built"))
}

fn revision() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unnamed".to_owned())
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
