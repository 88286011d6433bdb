//! `cargo deny`: licences, duplicate versions, sources, and advisories where their database can be had.

use std::process::{Command, Stdio};

use crate::step::{Outcome, cargo};

/// Installs cargo-deny where it is missing, unoptimised, which is faster than building it well and running it once.
pub(crate) fn check() -> Outcome {
    let there =
        Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        println!("installing cargo-deny");
        cargo(&["install", "--quiet", "--locked", "--debug", "cargo-deny"])?;
    }
    cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"])?;
    // The advisories stand in a repository of their own, which not every machine can reach. Unreachable is said, not
    // passed over in silence; an advisory that was read fails the step.
    if cargo(&["deny", "--all-features", "fetch", "db"]).is_err() {
        println!("advisories: NOT CHECKED, their database cannot be reached");
        return Ok(());
    }
    cargo(&["deny", "--all-features", "check", "advisories"])
}
