//! How many of the leaky variants the search catches, and whether it is silent on the benign ones.
//!
//! ```sh
//! cargo run -p tenancy-mutants --example score -- --budget 30 --write
//! ```

mod describe;
mod table;

use std::time::Duration;

use clap::Parser;
use tenancy_mutants::Variant;
use tenancy_testkit::ErrorKind;
use tenancy_testkit::check::Check;

use table::{Line, Outcome, Table};

#[derive(Parser)]
struct Arguments {
    /// Seconds that the search has for each variant.
    #[arg(long, default_value_t = 30)]
    budget: u64,
    /// The variants, such as `M01 B03`; all of them if there is none.
    variants: Vec<String>,
    /// The seed of the programs, in hexadecimal digits.
    #[arg(long, default_value = "1ea45eed")]
    seed: String,
    /// How often each catch is replayed.
    #[arg(long, default_value_t = 0)]
    replays: usize,
    /// Writes the table to `SCORE.md` beside this crate's manifest.
    #[arg(long)]
    write: bool,
    /// Prints each leak.
    #[arg(long)]
    verbose: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let seed = u64::from_str_radix(&arguments.seed, 16)?;
    let chosen = |variant: &&Variant| {
        arguments.variants.is_empty() || arguments.variants.iter().any(|name| name == variant.name())
    };
    let mut table = Table::new(arguments.budget, seed);
    for variant in Variant::ALL.iter().filter(chosen) {
        let line = examine(*variant, &arguments, seed);
        println!("{line}");
        table.add(line);
    }
    println!("\n{}", table.summary());
    if arguments.write {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/SCORE.md"), table.to_string())?;
    }
    Ok(())
}

fn examine(variant: Variant, arguments: &Arguments, seed: u64) -> Line {
    let check = || Check::new(move |world| describe::start(variant, world)).with_seed(seed);
    let verdict = check().with_budget(Duration::from_secs(arguments.budget)).with_partial_coverage().run();
    let outcome = match verdict {
        Ok(verdict) => match verdict.leak {
            None => Outcome::Silent {
                programs: verdict.programs,
                requests: verdict.requests,
                gaps: verdict.not_exercised,
            },
            Some(leak) => {
                if arguments.verbose {
                    println!("{}: {leak}", variant.name());
                }
                let again = |_: &usize| matches!(check().replay(&leak.seed), Ok(Some(_)));
                let replayed = (0..arguments.replays).filter(again).count();
                Outcome::Caught {
                    detector: leak.detector.to_string(),
                    after: leak.after,
                    steps: leak.steps,
                    replayed: (replayed, arguments.replays),
                    operation: leak.operation,
                }
            }
        },
        Err(error) if error.kind() == ErrorKind::PowerfulRole => Outcome::Caught {
            detector: "role".into(),
            after: Duration::ZERO,
            steps: 0,
            replayed: (0, 0),
            operation: String::new(),
        },
        Err(error) => Outcome::Void { why: format!("{error:?}") },
    };
    Line { variant, outcome }
}
