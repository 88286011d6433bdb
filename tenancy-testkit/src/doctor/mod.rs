//! Examines a live PostgreSQL for what keeps tenants less apart than it should.
//!
//! The doctor asks the server's catalogue, in one read-only transaction, about the application's role, the declared
//! tables with their policies, keys and privileges, and what lies beside them: views, functions, partitions, settings,
//! the server's version, a pooler in front. Each [`Finding`] has a stable code, a severity, the object, why it matters,
//! and the SQL that mends it. [`rules`] lists what is looked for.
//!
//! ```no_run
//! use tenancy_testkit::doctor::{self, Declarations};
//!
//! # async fn example(database_url: &str) {
//! // In a test, with the URL that the application connects with:
//! let declared = Declarations::new().owned("orders").owned("customers").global("countries");
//! doctor::assert_healthy(database_url, &declared).await;
//! # }
//! ```
//!
//! With feature `seaorm` a `tenancy_seaorm::Policy` takes the place of the declarations.
//!
//! # Who is examined
//!
//! The role that the URL logs in as, which is to be the application's. A connection whose role bypasses row-level
//! security is refused, because everything about it would be as true as it is useless; from there, say with
//! [`Doctor::with_role`] whom to examine.
//!
//! # What is a finding and what is a failure
//!
//! [`Severity::Error`] and [`Severity::Warning`] fail; a [`Severity::Note`] is shown. A [`Baseline`] holds findings that
//! are known: they do not fail, and those that are gone are reported, so that the baseline only shrinks.
//!
//! # What it does not see
//!
//! Rows; what a client sets after it has connected; the bodies of functions beyond a few words. It reads the catalogue of
//! one database, with the privileges of the role that connects.

mod baseline;
mod declared;
mod diagnosis;
mod error;
mod facts;
mod rules;
mod sarif;
mod text;

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use self::facts::Facts;
pub use self::{
    baseline::{Baseline, Known},
    declared::Declarations,
    diagnosis::Diagnosis,
    error::{Error, ErrorKind},
    rules::{Rule, rules},
};
pub use crate::finding::{Finding, Mend, Severity};

/// An examination to be made.
#[derive(Clone, Debug)]
pub struct Doctor {
    declared: Declarations,
    role: Option<String>,
    baseline: Baseline,
}

/// Something with a database that can be examined as the application sees it.
pub trait Examined: sealed::Sealed {
    /// Returns the URL with which the application connects.
    fn application_url(&self) -> &str;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl<T: Sealed + ?Sized> Sealed for &T {}
    #[cfg(feature = "servers")]
    impl Sealed for crate::TestDatabase {}
}

impl Examined for str {
    fn application_url(&self) -> &str {
        self
    }
}

impl Examined for String {
    fn application_url(&self) -> &str {
        self
    }
}

impl<T: Examined + ?Sized> Examined for &T {
    fn application_url(&self) -> &str {
        T::application_url(self)
    }
}

#[cfg(feature = "servers")]
impl Examined for crate::TestDatabase {
    fn application_url(&self) -> &str {
        self.app_url()
    }
}

impl Doctor {
    /// Prepares an examination of what `declared` declares, by the role that connects.
    pub fn new(declared: impl Into<Declarations>) -> Self {
        Self { declared: declared.into(), role: None, baseline: Baseline::default() }
    }

    /// Examines `role`, whoever connects.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Takes `baseline`'s findings as known.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Baseline) -> Self {
        self.baseline = baseline;
        self
    }

    /// Examines the database that `examined` names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PowerfulRole`] if the connection's role bypasses row-level security and no role was named;
    /// [`ErrorKind::Declarations`] if nothing is declared, or a table twice; [`ErrorKind::Connection`],
    /// [`ErrorKind::UnknownRole`] and [`ErrorKind::Server`] as they say.
    pub async fn examine(&self, examined: &(impl Examined + ?Sized)) -> Result<Diagnosis, Error> {
        let declared = self.declared.clone().checked()?;
        let options: PgConnectOptions = examined
            .application_url()
            .parse()
            .map_err(|_| Error::new(ErrorKind::Connection, "the URL is not a PostgreSQL URL"))?;
        // Poolers refuse parameters that they do not know.
        let options = options.extra_float_digits(None).disable_statement_logging();
        let (mut connection, pooled) = rules::connect(&options).await?;
        let findings = self.ask(&mut connection, &declared, pooled).await;
        // What was to be known is known; how the connection ends does not matter.
        let _ = connection.close().await;
        let (facts, findings) = findings?;
        Ok(Diagnosis::new(&facts, findings, &self.baseline))
    }

    async fn ask(
        &self,
        connection: &mut PgConnection,
        declared: &Declarations,
        pooled: bool,
    ) -> Result<(Facts, Vec<Finding>), Error> {
        let failed = |error| Error::server("a read-only transaction could not begin", error);
        // The path makes the server print every other name in full, and lets no function stand in for a built-in one.
        // The rules' own literals have to mean what they say whatever the role's settings are.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL standard_conforming_strings = on; \
                     SET LOCAL search_path = pg_catalog";
        sqlx::raw_sql(begin).execute(&mut *connection).await.map_err(failed)?;
        let facts = Facts::gather(connection, declared, self.role.as_deref(), pooled).await?;
        let findings = rules::examine(&facts, connection).await?;
        // Nothing was changed; the connection ends next.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
        Ok((facts, findings))
    }
}

/// Examines the database that `examined` names, as a test's last line.
///
/// `examined` is the URL with which the application connects, or a `TestDatabase`.
///
/// # Panics
///
/// Panics with the findings as text if there is an error or a warning among them, and with the reason if the database
/// could not be examined.
pub async fn assert_healthy(examined: &(impl Examined + ?Sized), declared: impl Into<Declarations>) {
    match Doctor::new(declared).examine(examined).await {
        Ok(diagnosis) => {
            assert!(diagnosis.is_healthy(), "the database is not healthy\n\n{}", diagnosis.to_text());
        }
        Err(error) => panic!("the database could not be examined: {error:?}"),
    }
}
