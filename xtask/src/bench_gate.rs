//! The benchmark gate: measures, and compares with the budgets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::built::{as_tested, build_with, find};
use crate::step::{Outcome, program, run};
use crate::tools;

const BENCHES: &[&str] = &["--package", "tenancy-benches", "--features", "statements"];
const GATE: &[&str] = &[
    "--package",
    "tenancy-testkit",
    "--no-default-features",
    "--features",
    "gate-cli",
    "--bin",
    "tenancy-gate",
];
const OUT: &str = "target/tenancy-gate";
/// Below it, gungraun keeps what it counts.
const GUNGRAUN: &str = "target/gungraun/tenancy-benches";
/// As many as `benches/benches/instructions.rs` makes.
const CALLS: &str = "100";

/// Why the gate did not say yes.
pub(crate) enum No {
    /// A budget is broken.
    Over,
    /// The figures are too coarse on this machine, now.
    TooCoarse,
    /// Something cannot be built, does not run, or is not measured although its budget asks for it.
    Failed(String),
}

impl No {
    /// Returns the exit code: 1 over a budget, 2 where nothing was measured that tells.
    pub(crate) fn code(&self) -> u8 {
        if matches!(self, Self::Over) { 1 } else { 2 }
    }
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Over => "over a budget",
            Self::TooCoarse => {
                "could not measure: the machine is too busy, or too uneven, for some of the figures"
            }
            Self::Failed(reason) => reason,
        })
    }
}

impl From<String> for No {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The step of CI: compares this working tree with its budgets, and with the revision that `BENCH_GATE_BASE` names, if it
/// does. A broken budget stops a change, and so does a bench that does not build or run; that the machine is too busy to
/// tell is said.
pub(crate) fn check() -> Outcome {
    let base = std::env::var("BENCH_GATE_BASE").ok().filter(|base| !base.is_empty());
    match against(base.as_deref()) {
        Ok(()) => Ok(()),
        Err(no @ No::TooCoarse) => {
            println!("bench-gate: NOT CHECKED, {no}");
            Ok(())
        }
        Err(no) => Err(no.to_string()),
    }
}

/// Compares this working tree with its budgets, and with the revision `base`.
pub(crate) fn against(base: Option<&str>) -> Result<(), No> {
    let here = Path::new(".");
    let programs = build(here, None, &[BENCHES, &["--bench", "paired", "--bench", "counts"]].concat())?;
    let gate = build(here, None, GATE)?;
    let counts = format!("{OUT}/counts.json");
    run(Command::new(find(&programs, "counts")?).args(["--bench", "--out", &counts]))?;
    let mut check = on_postgres()?;
    check.arg(find(&gate, "tenancy-gate")?).arg("check").args(["--out", OUT, "--run", &counts]);
    check.args(["--history", "target/tenancy-gate-history.jsonl", "--revision", &revision()]);
    check.arg("--program").arg(find(&programs, "paired")?);
    if count_instructions()? {
        check.args(["--gungraun", GUNGRAUN, "--gungraun-calls", CALLS]);
    }
    if let Some(base) = base {
        check.arg("--base").arg(build_base(base)?);
    }
    judged(&mut check)
}

/// Where the results stand, and what they stand between.
const README: &str = "benches/README.md";
const MARKS: [&str; 2] = ["<!-- what the last run printed -->\n", "<!-- end of what it printed -->\n"];

/// Puts the tables of the last run between the marks of `benches/README.md`, with what they were measured with.
pub(crate) fn write() -> Result<(), String> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|no| format!("{}: {no}", path.display()));
    let readme = read(Path::new(README))?;
    let results = read(&Path::new(OUT).join("results.md"))?;
    let [from, to] = MARKS.map(|mark| readme.find(mark).ok_or_else(|| format!("{README} has no {mark:?}")));
    let (from, to) = (from? + MARKS[0].len(), to?);
    let load = read(Path::new("/proc/loadavg")).unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown").to_owned();
    let with = format!(
        "Revision {}, {}; load over the last five minutes {load}.",
        revision(),
        output("rustc", "--version")
    );
    let page = format!("{}\n{with}\n\n{results}\n{}", &readme[..from], &readme[to..]);
    std::fs::write(README, page).map_err(|no| format!("{README}: {no}"))
}

fn output(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output.map_or_else(
        |_| program.to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Returns a command that runs what follows with a fresh PostgreSQL, whose URL the benches of statements read.
fn on_postgres() -> Result<Command, String> {
    let mut command = Command::new(find(&as_tested()?, "with-postgres")?);
    command.args(["sh", "-c", "STATEMENT_BENCH_POSTGRES=\"$DATABASE_URL\" exec \"$@\"", "sh"]);
    Ok(command)
}

/// Runs the gate, and reads from its report what its exit code alone does not tell.
fn judged(check: &mut Command) -> Result<(), No> {
    let report = Path::new(OUT).join("report.json");
    drop(std::fs::remove_file(&report));
    let status = check.status().map_err(|error| format!("the gate could not be started: {error}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) if report.exists() => Err(No::Over),
        Some(2) if report.exists() => {
            let text = std::fs::read(&report).map_err(|error| error.to_string())?;
            let report: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let findings = report["findings"].as_array().into_iter().flatten();
            let unmeasured = findings.filter(|it| it["verdict"] == "unclear" && it["value"].is_null());
            match unmeasured.filter_map(|it| it["bench"].as_str()).next() {
                Some(bench) => Err(No::Failed(format!("a budget asks for {bench}, which is not measured"))),
                None => Err(No::TooCoarse),
            }
        }
        _ => Err(No::Failed(format!("the gate ended with {status}"))),
    }
}

/// Counts instructions, where valgrind and the harness's runner are there; says so where they are not.
fn count_instructions() -> Result<bool, String> {
    let missing = ["valgrind", "gungraun-runner"].into_iter().find(|program| tools::find(program).is_none());
    if let Some(missing) = missing {
        println!("instructions: NOT RUN, {missing} is not there");
        return Ok(false);
    }
    let bench = ["bench", "--quiet", "--package", "tenancy-benches", "--bench", "instructions"];
    run(Command::new(program()).env("PATH", tools::path()).args(bench).args([
        "--features",
        "statements",
        "--",
        "--save-summary=json",
    ]))?;
    Ok(true)
}

/// Builds optimized programs of the workspace in `tree`, into `target` if one is given, and returns where they are.
fn build(tree: &Path, target: Option<&Path>, what: &[&str]) -> Result<Vec<PathBuf>, String> {
    build_with(&["build", "--profile", "bench"], tree, target, what)
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
    let programs = build(&tree, Some(&target), &[BENCHES, &["--bench", "paired"]].concat())?;
    find(&programs, "paired").map(Path::to_owned)
}

fn revision() -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unnamed".to_owned())
}
