//! How many of the leaky variants the search catches, and whether it is silent on the others.
//!
//! ```sh
//! cargo run --profile score -p tenancy-mutants --all-features --example score -- --budget 30 --write
//! cargo run --profile score -p tenancy-mutants --all-features --example score -- --seeds 50 --budget 4 --write Correct B01
//! cargo run --profile score -p tenancy-mutants --all-features --example score -- --throughput 10
//! ```

mod describe;
mod table;
mod throughput;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use tenancy_mutants::{Isolation, Variant};
use tenancy_testkit::check::{Check, Verdict};
use tenancy_testkit::{Error, ErrorKind};

use table::{Line, Outcome, Table};

#[derive(Parser)]
struct Arguments {
    /// Seconds that the search has for each variant and seed.
    #[arg(long, default_value_t = 30)]
    budget: u64,
    /// The variants, such as `M01 B03`; all of them if there is none.
    variants: Vec<String>,
    /// The seed of the programs, in hexadecimal digits.
    #[arg(long, default_value = "1ea45eed")]
    seed: String,
    /// How many seeds each variant gets, one after the other; a leak ends them.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// How often each catch is replayed.
    #[arg(long, default_value_t = 0)]
    replays: usize,
    /// Builds the variants with a schema for each tenant, also those that have shared tables.
    #[arg(long)]
    schemas: bool,
    /// Puts a proxy before the database, so that programs break connections too.
    #[arg(long)]
    faults: bool,
    /// Writes the lines of these variants into `SCORE.md` beside this crate's manifest.
    #[arg(long)]
    write: bool,
    /// Prints each leak, and what was doubted.
    #[arg(long)]
    verbose: bool,
    /// Prints how many requests there are in a second, measured for so many seconds each, and nothing else.
    #[arg(long)]
    throughput: Option<u64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    if let Some(seconds) = arguments.throughput {
        return throughput::measure(seconds);
    }
    let seed = u64::from_str_radix(&arguments.seed, 16)?;
    let chosen = |variant: &&Variant| {
        arguments.variants.is_empty() || arguments.variants.iter().any(|name| name == variant.name())
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SCORE.md");
    for variant in Variant::ALL.iter().filter(chosen) {
        let line = examine(*variant, &arguments, seed);
        println!("{line}");
        if arguments.write {
            // After each one: hours of work are not lost with the last line.
            let mut table = Table::read(&std::fs::read_to_string(path).unwrap_or_default());
            table.add(&line);
            std::fs::write(path, table.to_string())?;
        }
    }
    Ok(())
}

/// Searches the variant with one seed after the other, until a leak is found.
fn examine(variant: Variant, arguments: &Arguments, seed: u64) -> Line {
    let (mut programs, mut requests, mut gaps) = (0, 0, Vec::new());
    let name =
        if arguments.schemas { format!("{} (schemas)", variant.name()) } else { variant.name().into() };
    let name = if arguments.faults { format!("{name} (faults)") } else { name };
    let mut line =
        Line { name, budget: arguments.budget, seeds: 0, outcome: Outcome::Void { why: String::new() } };
    for i in 0..arguments.seeds.max(1) {
        line.seeds += 1;
        match search(variant, arguments, seed.wrapping_add(i)) {
            Ok(verdict) => {
                programs += verdict.programs;
                requests += verdict.requests;
                gaps = verdict.not_exercised;
            }
            Err(outcome) => {
                line.outcome = outcome;
                return line;
            }
        }
    }
    line.outcome = Outcome::Silent { programs, requests, gaps };
    line
}

/// The verdict of a search that was silent.
fn search(variant: Variant, arguments: &Arguments, seed: u64) -> Result<Verdict, Outcome> {
    let isolation = if arguments.schemas { Isolation::Schema } else { variant.isolation() };
    let faults = arguments.faults;
    let check =
        || Check::new(move |world| describe::start(variant, isolation, faults, world)).with_seed(seed);
    let verdict = check().with_budget(Duration::from_secs(arguments.budget)).with_partial_coverage().run();
    let powerful = |error: &Error| error.kind() == ErrorKind::PowerfulRole;
    let verdict = verdict.map_err(|error| match error.kind() {
        ErrorKind::PowerfulRole => Outcome::Caught {
            detector: "role".into(),
            after: Duration::ZERO,
            steps: 0,
            replayed: replayed(arguments.replays, || check().run().is_err_and(|error| powerful(&error))),
            operation: String::new(),
        },
        _ => Outcome::Void { why: format!("{error:?}") },
    })?;
    if arguments.verbose {
        println!("{}: {:.1?}, the search itself {:.1?}", variant.name(), verdict.spent, verdict.spent.own());
        verdict.doubtful.iter().for_each(|doubt| println!("{}, doubted: {doubt}", variant.name()));
    }
    let Some(leak) = &verdict.leak else { return Ok(verdict) };
    if arguments.verbose {
        println!("{}: {leak}", variant.name());
    }
    let again = || matches!(check().replay(&leak.seed), Ok(Some(_)));
    Err(Outcome::Caught {
        detector: leak.detector.to_string(),
        after: leak.after,
        steps: leak.steps,
        replayed: replayed(arguments.replays, again),
        operation: leak.operation.clone(),
    })
}

/// How often `again` is true of so many tries. Two are under way for each core: most of a replay is time that passes on
/// purpose.
fn replayed(tries: usize, again: impl Fn() -> bool + Sync) -> (usize, usize) {
    let (next, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lanes = 2 * thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..lanes.min(tries) {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < tries {
                    seen.fetch_add(usize::from(again()), Ordering::Relaxed);
                }
            });
        }
    });
    (seen.into_inner(), tries)
}
