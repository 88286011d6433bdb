//! What several topics need.

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
