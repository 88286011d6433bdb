//! Each example checks itself: over real HTTP, against what it prints.

use std::process::Command;

use crate::built::{as_tested, find};
use crate::step::{Outcome, cargo, run as run_program};

/// The examples beside the quickstart.
const EXAMPLES: &[&str] =
    &["axum-domains", "hyper-plain", "tonic-tenants", "axum-schema-per-tenant", "hybrid-placement"];

/// Runs every example, and the quickstart as the README says and on every kind of PostgreSQL that this machine has.
pub(crate) fn run() -> Outcome {
    println!("\n--> quickstart");
    cargo(&["run", "--quiet", "--package", "quickstart", "--", "--check"])?;
    let programs = as_tested()?;
    for example in EXAMPLES {
        println!("\n--> {example}");
        run_program(Command::new(find(&programs, example)?).arg("--check"))?;
    }
    for rung in ["local", "container"] {
        println!("\n--> quickstart on PostgreSQL: {rung}");
        if rung == "container" && !docker_answers() {
            println!("no Docker daemon answers: the container was NOT tried");
            continue;
        }
        let mut command = Command::new(find(&programs, "with-postgres")?);
        command.arg(find(&programs, "quickstart")?).arg("--check").env("TENANCY_POSTGRES", rung);
        run_program(&mut command)?;
    }
    Ok(())
}

fn docker_answers() -> bool {
    use std::process::{Command, Stdio};
    let answer = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    answer.is_ok_and(|status| status.success())
}
