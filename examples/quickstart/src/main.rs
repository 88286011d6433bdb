//! A small multi-tenant service: the tour of the tenancy crates.
//!
//! `cargo run -p quickstart` serves it on an embedded SQLite; `DATABASE_URL` puts it on PostgreSQL; `--check` lets it
//! try its own examples over HTTP.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use quickstart::{probe, server};

/// A deployments API for several tenants.
#[derive(Debug, Parser)]
struct Options {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Where the rows live: `sqlite::memory:`, `sqlite://file.db?mode=rwc` or `postgres://…`.
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite::memory:", hide_env_values = true)]
    database_url: String,
    /// Runs the printed examples against the service itself and exits non-zero if one answers otherwise.
    #[arg(long)]
    check: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn std::error::Error + Send + Sync>> {
    let port = if options.check { 0 } else { options.port };
    let service = server::prepare(&options.database_url, server::policy()?).await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let probes = probe::all(&service.facts);
    if !options.check {
        say(&probe::introduction(address, service.backend, &probes));
        server::serve(service.router, listener, server::interrupted()).await?;
        say("\nAll requests are answered. Goodbye.");
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("Checking the deployments API on {} at http://{address}\n", service.backend));
    let (table, failures) = probe::check(service.router, listener, &probes).await?;
    say(&table);
    let stats = service.app.answers().stats();
    say(&format!(
        "answers from the cache: {} of {} ({:.0} %)",
        stats.hits,
        stats.hits + stats.loads,
        100.0 * stats.hit_rate().unwrap_or(0.0)
    ));
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line. A reader that went away is no reason to stop serving.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
