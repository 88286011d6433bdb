//! Steps: named, timed, and all of them run even where one fails.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// What a step says of itself: nothing, or why it failed.
pub(crate) type Outcome = Result<(), String>;

/// One chore.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Outcome,
}

/// Runs the steps that `wanted` chooses and prints a table of them; every name in `named` must be a step.
///
/// A step that fails does not stop the others, except for the first: without tools, all would fail.
pub(crate) fn run_all(steps: &[Step], wanted: impl Fn(&Step) -> bool, named: &[String]) -> ExitCode {
    if let Some(unknown) = named.iter().find(|name| !steps.iter().any(|step| step.name == **name)) {
        eprintln!("xtask: there is no step {unknown:?}; `cargo xtask list` lists them");
        return ExitCode::from(2);
    }
    let mut results: Vec<(&str, Duration, Outcome)> = Vec::new();
    for step in steps.iter().filter(|step| wanted(step)) {
        println!("\n==> {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)();
        let failed_tools = step.name == "tools" && outcome.is_err();
        results.push((step.name, start.elapsed(), outcome));
        if failed_tools {
            break;
        }
    }
    report(&results)
}

fn report(results: &[(&str, Duration, Outcome)]) -> ExitCode {
    println!("\n{:<10} {:>8}  result", "step", "seconds");
    for (name, took, outcome) in results {
        let result = outcome.as_ref().err().map_or("ok", String::as_str);
        println!("{name:<10} {:>8.1}  {result}", took.as_secs_f64());
    }
    let failed = results.iter().filter(|(_, _, outcome)| outcome.is_err()).count();
    println!("\n{} passed, {failed} failed", results.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs cargo with `arguments`.
pub(crate) fn cargo(arguments: &[&str]) -> Outcome {
    cargo_with(arguments, &[])
}

/// Runs cargo with `arguments` and more environment variables; it finds the tools of this workspace.
pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(program());
    command.args(arguments).env("PATH", crate::tools::path()).envs(environment.iter().copied());
    run(&mut command)
}

/// Runs `command`, shows its output as it comes, and says how it failed.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program} could not be started: {error}")),
    }
}

/// The cargo that runs this.
pub(crate) fn program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
