//! A long run of the differential oracle over the rewriter of `tenancy-seaorm`, or over whole connections of it.
//!
//! ```text
//! cargo run --release -p tenancy-testkit --features seaorm --example oracle -- --statements 1000000
//! cargo run --release -p tenancy-testkit --features seaorm --example oracle -- --replay 5f1c0a9e-17
//! cargo run --release -p tenancy-testkit --features seaorm --example oracle -- --model schema --pooler
//! cargo run --release -p tenancy-testkit --features seaorm --example oracle -- --sqlite
//! ```
//!
//! With `--model` statements run through a `TenantConnection` that is placed in shared tables (`row`), in shared tables
//! behind row-level security (`walled`), in a schema (`schema`) or in a database (`database`) of the tenant's own; with
//! `--pooler` that goes through PgBouncer in transaction mode.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tenancy_seaorm::LeakyPredicates;
use tenancy_testkit::Error;
use tenancy_testkit::oracle::{Connections, Interceptor, Model, Oracle, Report, RowSecurity};

/// Compares scoped statements with the same statements on databases that hold one tenant's rows alone.
#[derive(Debug, Parser)]
struct Args {
    /// How many statements are generated.
    #[arg(long, default_value_t = 5_000)]
    statements: u64,
    /// From which everything follows.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many statements one schema with its rows serves.
    #[arg(long, default_value_t = 250)]
    per_world: u64,
    /// How many statements run at the same time.
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Row-level security runs one statement of so many; zero for none.
    #[arg(long, default_value_t = 8)]
    calibrate: u64,
    /// After so many differences the run stops.
    #[arg(long, default_value_t = 3)]
    differences: usize,
    /// After so many minutes the run stops, and reports how far it came.
    #[arg(long)]
    minutes: Option<u64>,
    /// Refuses predicates that may fail on other tenants' rows, instead of fencing them.
    #[arg(long)]
    no_fence: bool,
    /// Tests row-level security alone instead.
    #[arg(long)]
    row_security: bool,
    /// Runs the one statement that a report printed this seed for.
    #[arg(long)]
    replay: Option<String>,
    /// Tests whole connections to tenants that are placed so: row, walled, schema, database, or all of them in turn.
    #[arg(long, value_parser = models)]
    model: Option<Models>,
    /// Tests whole connections to shared tables on SQLite.
    #[arg(long, conflicts_with = "model")]
    sqlite: bool,
    /// Lets these connections go through PgBouncer in transaction mode.
    #[arg(long, requires = "model")]
    pooler: bool,
}

#[derive(Clone, Debug)]
struct Models(Vec<Model>);

fn models(name: &str) -> Result<Models, Error> {
    Ok(Models(if name == "all" { Model::ALL.to_vec() } else { vec![name.parse()?] }))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let args = Args::parse();
    let mut passed = true;
    if args.sqlite {
        passed &= shown(&connected(&args, Connections::sqlite()).await?);
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    match &args.model {
        None => {
            let oracle = statements(&args);
            let report = match &args.replay {
                Some(seed) => oracle.replay(seed).await?,
                None => oracle.run().await?,
            };
            passed &= shown(&report);
        }
        Some(Models(models)) => {
            for model in models {
                let oracle = Connections::postgres().with_model(*model);
                passed &= shown(&connected(&args, oracle).await?);
            }
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn statements(args: &Args) -> Oracle {
    let leaky = if args.no_fence { LeakyPredicates::Refuse } else { LeakyPredicates::Fence };
    let interceptor = Interceptor::new().with_policy(move |policy| policy.leaky_predicates(leaky));
    let oracle =
        if args.row_security { Oracle::new(RowSecurity::default()) } else { Oracle::new(interceptor) };
    let oracle = oracle
        .with_seed(args.seed)
        .with_statements(args.statements)
        .with_statements_per_world(args.per_world)
        .with_workers(args.workers)
        .with_calibration(args.calibrate)
        .with_max_differences(args.differences);
    match args.minutes {
        Some(minutes) => oracle.with_time_limit(Duration::from_secs(60 * minutes)),
        None => oracle,
    }
}

async fn connected(args: &Args, oracle: Connections) -> Result<Report, Error> {
    let oracle = oracle
        .with_seed(args.seed)
        .with_statements(args.statements)
        .with_statements_per_world(args.per_world)
        .with_workers(args.workers as u64)
        .with_max_differences(args.differences);
    let oracle = match args.no_fence {
        true => oracle.with_policy(|policy| policy.leaky_predicates(LeakyPredicates::Refuse)),
        false => oracle.with_policy(|policy| policy.leaky_predicates(LeakyPredicates::Fence)),
    };
    let oracle = if args.pooler { oracle.with_pooler() } else { oracle };
    let oracle = match args.minutes {
        Some(minutes) => oracle.with_time_limit(Duration::from_secs(60 * minutes)),
        None => oracle,
    };
    println!("{oracle:?}");
    match &args.replay {
        Some(seed) => oracle.replay(seed).await,
        None => oracle.run().await,
    }
}

fn shown(report: &Report) -> bool {
    println!("{report}");
    report.differences.is_empty() && report.miscalibrations.is_empty()
}
