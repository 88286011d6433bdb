//! A storm: requests with conflicting signals from four threads over real sockets, while tenants are suspended, renamed,
//! and hand their names to each other.
//!
//! ```text
//! cargo run --release -p tenancy-tower --example storm -- --requests 1000000
//! ```
//!
//! Ends with 1 if a request was served for a tenant that it did not name, or for one that was not active at any moment
//! of the request, or was refused although nothing was wrong with it.

mod history;
mod storm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut requests = 100_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (&*argument, value) {
            ("--requests", Some(value)) => requests = value,
            _ => {
                eprintln!("usage: storm [--requests N]");
                return ExitCode::from(2);
            }
        }
    }
    let report = storm::run(requests);
    println!("{report}");
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
