//! Runs a program with `DATABASE_URL` set to a fresh PostgreSQL database, and takes the database away afterwards.
//!
//! `cargo run -p tenancy-testkit --example with-postgres -- cargo run -p quickstart -- --check`

use std::process::ExitCode;

use tenancy_testkit::TestDatabase;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("with-postgres: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<u8, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("which program?")?;
    let db = TestDatabase::create().await?;
    let mut command = tokio::process::Command::new(program);
    let status = command.args(arguments).env("DATABASE_URL", db.owner_url()).status().await?;
    db.close().await?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
