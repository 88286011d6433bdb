//! What several topics need.

use std::io::Write;

use sqlx::{Connection, PgConnection};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the kit's URL can be connected to")
}

/// Runs statements, whatever they return.
pub(crate) async fn run(url: &str, statements: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statements).execute(&mut connection).await?;
    connection.close().await
}

/// Returns the SQLSTATE with which the server refuses, or `None` if it does not.
pub(crate) async fn refusal(url: &str, statements: &'static str) -> Option<String> {
    let error = run(url, statements).await.err()?;
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Returns whether a Docker daemon answers, and says so when it does not: a test that was not run must not look like
/// one that passed.
pub(crate) async fn docker_answers() -> bool {
    use testcontainers_modules::testcontainers::core::client::docker_client_instance;

    let asked = async { docker_client_instance().await.ok()?.version().await.ok() };
    let answers =
        tokio::time::timeout(std::time::Duration::from_secs(5), asked).await.ok().flatten().is_some();
    if !answers {
        // Past the capture of passing tests' output.
        let _ = writeln!(std::io::stderr(), "not run: no Docker daemon answers");
    }
    answers
}
