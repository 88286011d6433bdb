//! All groups, measured in alternation for the gate.

use std::process::ExitCode;

use tenancy_testkit::gate::BenchProgram;

fn main() -> ExitCode {
    BenchProgram::new(tenancy_benches::suite()).main()
}
