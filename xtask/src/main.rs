//! The workspace's chores: what CI runs, anyone can run.
//!
//! `cargo xtask test` passes the tests: it brings what is missing and runs every step. `cargo xtask run fmt clippy` runs
//! single ones.

mod bench;
mod bench_gate;
mod built;
mod deny;
mod features;
mod guards;
mod msrv;
mod smoke;
mod step;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use step::{Step, cargo};

#[derive(Debug, Parser)]
#[command(about = "The workspace's chores")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings what is missing, then runs every step.
    Test {
        /// A step to leave out; may be repeated.
        #[arg(long)]
        skip: Vec<String>,
    },
    /// Runs the named steps alone, in the order of the list.
    Run {
        /// The steps.
        #[arg(required = true)]
        steps: Vec<String>,
    },
    /// Measures, and compares with `benches/budgets.toml`.
    BenchGate {
        /// A revision to compare with too, such as `main`: both take turns.
        #[arg(long)]
        base: Option<String>,
        /// Puts what was measured into `benches/README.md`.
        #[arg(long)]
        write: bool,
    },
    /// Takes guards away from the quickstart's own tests, one at a time: they have to notice. Takes some minutes.
    Guards {
        /// Puts the table into `examples/quickstart/tests/guards.txt`.
        #[arg(long)]
        write: bool,
    },
    /// Lists the steps.
    List,
}

/// Every step, in the order in which `test` runs them: what fails fast stands first.
const STEPS: &[Step] = &[
    Step { name: "tools", about: "finds or installs servers and programs", run: tools::install },
    Step { name: "fmt", about: "the format", run: || cargo(&["fmt", "--all", "--check"]) },
    Step { name: "msrv", about: "declared Rust versions are what dependencies need", run: msrv::check },
    Step { name: "clippy", about: "lints, all targets, all features", run: clippy },
    Step { name: "doc", about: "documentation without warnings", run: doc },
    Step {
        name: "features",
        about: "each crate with each feature alone, and with none",
        run: features::check,
    },
    Step { name: "test", about: "all tests and doctests", run: test },
    Step { name: "smoke", about: "each example checks itself", run: smoke::run },
    Step { name: "bench", about: "each benchmark runs once", run: bench::run },
    Step {
        name: "bench-gate",
        about: "performance within the budgets of benches/budgets.toml",
        run: bench_gate::check,
    },
    Step { name: "deny", about: "licences, duplicates, sources, advisories", run: deny::check },
];

/// Twice as many tests at a time as there are cores, unless somebody has said how many: they wait for servers about as
/// often as they work.
fn test() -> step::Outcome {
    let threads = std::env::var("RUST_TEST_THREADS").unwrap_or_else(|_| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (2 * cores).to_string()
    });
    step::cargo_with(
        &["test", "--workspace", "--all-features", "--no-fail-fast"],
        &[("RUST_TEST_THREADS", threads.as_str())],
    )
}

fn clippy() -> step::Outcome {
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
}

fn doc() -> step::Outcome {
    step::cargo_with(
        &["doc", "--workspace", "--all-features", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::List => {
            STEPS.iter().for_each(|step| println!("{:<10} {}", step.name, step.about));
            ExitCode::SUCCESS
        }
        Command::BenchGate { base, write } => {
            let judged = bench_gate::against(base.as_deref());
            let written = if write { bench_gate::write() } else { Ok(()) };
            match judged.and(written.map_err(Into::into)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(no) => {
                    eprintln!("xtask: {no}");
                    ExitCode::from(no.code())
                }
            }
        }
        Command::Guards { write } => match guards::run(write) {
            Ok(()) => ExitCode::SUCCESS,
            Err(no) => {
                eprintln!("xtask: {no}");
                ExitCode::FAILURE
            }
        },
        Command::Test { skip } => {
            step::run_all(STEPS, |step| !skip.iter().any(|name| name == step.name), &skip)
        }
        Command::Run { steps } => {
            step::run_all(STEPS, |step| steps.iter().any(|name| name == step.name), &steps)
        }
    }
}
