//! [`DatabaseSource`]: how a configured name becomes options to connect with.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use sea_orm::ConnectOptions;

use super::target::Target;

/// What a [`DatabaseSource`] answers, later.
pub type OptionsFuture<'a> = Pin<
    Box<dyn Future<Output = Result<Option<ConnectOptions>, Box<dyn StdError + Send + Sync>>> + Send + 'a>,
>;

/// Tells how to connect to a database of the service's configuration.
///
/// A tenant's record names a database and holds no password; this is where the password comes from. The source is asked
/// before each connection, so that a rotated password counts for the next one; what it says is not kept.
///
/// A closure from a [`Target`] to options is a source. Implement the trait for one that has to wait, such as for a
/// vault.
///
/// # Examples
///
/// ```
/// use sea_orm::ConnectOptions;
/// use tenancy_seaorm::{PoolRegistry, Role, Target, TargetKind};
///
/// let registry = PoolRegistry::builder(|target: &Target| {
///     let host = match (target.kind(), target.name(), target.role()) {
///         (TargetKind::Own, "big-customer", Role::Primary) => "big.db.internal",
///         (TargetKind::Shard, "eu-1", Role::Primary) => "eu-1.db.internal",
///         (TargetKind::Shard, "eu-1", Role::Replica) => "eu-1-read.db.internal",
///         _ => return None, // unknown: refused, not sent somewhere else
///     };
///     Some(ConnectOptions::new(format!("postgres://app:{}@{host}/shop", "from-the-environment")))
/// })
/// .with_budget(50)
/// .build()?;
/// # Ok::<_, tenancy_seaorm::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell how to connect to a database",
    note = "pass a closure `|target: &Target| -> Option<ConnectOptions>`, or implement `DatabaseSource`"
)]
pub trait DatabaseSource: Send + Sync + 'static {
    /// Returns how to connect to `target`, or `None` if there is no such database.
    ///
    /// The registry decides about the number of connections and their life; such options are overridden.
    ///
    /// # Errors
    ///
    /// Any error makes the connection fail. Its text may hold a password, and is not passed on.
    fn options<'a>(&'a self, target: &'a Target) -> OptionsFuture<'a>;
}

impl<F> DatabaseSource for F
where
    F: Fn(&Target) -> Option<ConnectOptions> + Send + Sync + 'static,
{
    fn options<'a>(&'a self, target: &'a Target) -> OptionsFuture<'a> {
        let options = self(target);
        Box::pin(async move { Ok(options) })
    }
}
