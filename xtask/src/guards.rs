//! The quickstart's own tests without each guard.

use std::fs;
use std::process::{Command, Stdio};

use crate::step::{Outcome, program};

/// What was noticed when it was last written.
const TABLE: &str = "examples/quickstart/tests/guards.txt";
/// How long each search of the suite looks: a guard that is missing shows itself at once.
const BUDGET: &str = "5s";

/// Runs `tenancy-guards` over the quickstart's tests, shows its table, and writes it down if told to.
pub(crate) fn run(write: bool) -> Outcome {
    let kit = ["run", "--quiet", "--package", "tenancy-testkit", "--features", "guards-cli"];
    let mut command = Command::new(program());
    command.args(kit).args(["--bin", "tenancy-guards", "--"]).arg("--").arg(program());
    command.args(["test", "--package", "quickstart", "--test", "integration"]);
    command.env("PATH", crate::tools::path()).env("TENANCY_BUDGET", BUDGET);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    let table = String::from_utf8_lossy(&output.stdout);
    print!("{table}");
    if !output.status.success() {
        return Err(format!("tenancy-guards ended with {}", output.status));
    }
    match write {
        true => fs::write(TABLE, &*table).map_err(|error| format!("{TABLE} could not be written: {error}")),
        false => Ok(()),
    }
}
