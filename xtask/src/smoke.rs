//! Each example checks itself: over real HTTP, against what it prints.

use crate::step::{Outcome, cargo, cargo_with};

/// The examples, and what follows `--` for each.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("quickstart", &["--check"]),
    ("axum-domains", &["--check"]),
    ("hyper-plain", &["--check"]),
    ("tonic-tenants", &["--check"]),
    ("axum-schema-per-tenant", &["--check"]),
    ("hybrid-placement", &["--check"]),
];

/// Runs every example, and the quickstart on every kind of PostgreSQL that this machine has.
pub(crate) fn run() -> Outcome {
    for (package, arguments) in EXAMPLES {
        println!("\n--> {package}");
        let mut whole = vec!["run", "--quiet", "--package", package, "--"];
        whole.extend_from_slice(arguments);
        cargo(&whole)?;
    }
    let check = ["run", "--quiet", "--package", "tenancy-testkit", "--example", "with-postgres", "--"];
    let quickstart = ["cargo", "run", "--quiet", "--package", "quickstart", "--", "--check"];
    for rung in ["local", "container"] {
        println!("\n--> quickstart on PostgreSQL: {rung}");
        if rung == "container" && !docker_answers() {
            println!("no Docker daemon answers: the container was NOT tried");
            continue;
        }
        let whole: Vec<&str> = check.into_iter().chain(quickstart).collect();
        cargo_with(&whole, &[("TENANCY_POSTGRES", rung)])?;
    }
    Ok(())
}

fn docker_answers() -> bool {
    use std::process::{Command, Stdio};
    let answer = Command::new("docker").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    answer.is_ok_and(|status| status.success())
}
