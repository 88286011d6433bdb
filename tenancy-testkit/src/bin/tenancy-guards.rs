//! Takes guards away from a suite of tests: exits with 0 if it notices each, 1 if not, 2 if that could not be found out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{fs, iter};

use clap::Parser;
use tenancy_testkit::guards::{Guard, Guards, Roll};

/// Runs a suite of tests without each guard, and requires it to fail.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// A guard that the service does without; may be repeated.
    #[arg(long, value_name = "GUARD")]
    unused: Vec<Guard>,
    /// Takes away this guard alone; may be repeated.
    #[arg(long, value_name = "GUARD")]
    only: Vec<Guard>,
    /// Writes the table as JSON to a file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Lists the guards.
    #[arg(long)]
    list: bool,
    /// The command that runs the tests, after `--`.
    #[arg(last = true, required_unless_present = "list")]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        Guard::ALL.into_iter().for_each(|guard| println!("{guard:<10} {}", guard.without()));
        return ExitCode::SUCCESS;
    }
    match cli.run() {
        Ok(roll) => {
            print!("{roll}");
            ExitCode::from(roll.exit_code())
        }
        Err(error) => {
            let causes =
                iter::successors(Some(error.as_ref() as &dyn std::error::Error), |error| error.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::from(2)
        }
    }
}

impl Cli {
    fn run(&self) -> Result<Roll, Box<dyn std::error::Error>> {
        let (program, arguments) = self.command.split_first().ok_or("no command is given")?;
        let mut suite = Command::new(program);
        suite.args(arguments);
        let mut guards = Guards::new(suite);
        if !self.only.is_empty() {
            guards = guards.with_guards(self.only.iter().copied());
        }
        guards = self.unused.iter().fold(guards, |guards, unused| guards.with_unused(*unused));
        let roll = guards.run_and_tell(|tried| eprintln!("{tried} ({:.0} s)", tried.took.as_secs_f64()))?;
        if let Some(path) = &self.json {
            fs::write(path, roll.to_json() + "\n")?;
        }
        Ok(roll)
    }
}
