//! The way around: access to more than one tenant's rows. Nothing outside of this module offers it.
//!
//! It takes a [`Capability`], which only whoever makes the [`Tenancy`] can hand out, and a reason. Each
//! use emits an audit event: a `tracing` event at level `WARN` with the target `tenancy::audit`.

mod each;
#[cfg(feature = "postgres")]
mod session;
#[cfg(feature = "postgres")]
mod transaction;

use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

use sea_orm::DatabaseConnection;

pub use self::each::{ForEach, OfTenant, for_each_tenant};
#[cfg(feature = "postgres")]
pub use self::session::{UnscopedSession, unscoped_session};
#[cfg(feature = "postgres")]
pub use self::transaction::{UnscopedTransaction, unscoped_transaction};
use crate::error::{Error, ErrorKind};
use crate::tenancy::Tenancy;

/// The right to go around isolation on one [`Tenancy`].
///
/// [`Tenancy::with_capability`] makes it, once, together with the tenancy. Hold it where administrators' code is wired
/// up; do not put it into the state that request handlers share.
pub struct Capability {
    pub(crate) seal: Arc<()>,
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capability")
    }
}

/// A connection that sees every tenant's rows.
///
/// It dereferences to sea-orm's own connection. Do not keep it longer than the work that its reason names.
pub struct Unscoped {
    db: DatabaseConnection,
}

impl Deref for Unscoped {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.db
    }
}

impl fmt::Debug for Unscoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unscoped")
    }
}

/// Returns the connection without any scope, for what `reason` says.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`] if `capability` is another tenancy's, or if `reason` is empty, and
/// [`ErrorKind::Connection`] behind a stated pooler in transaction mode: sea-orm prepares statements by name, and there
/// such a name may be another client's (SCH-11). Begin an `unscoped_transaction` there.
///
/// # Examples
///
/// ```
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use sea_orm::ConnectionTrait;
/// use tenancy_seaorm::{Policy, Tenancy, danger};
///
/// let (tenancy, capability) = Tenancy::with_capability(db, Policy::builder().build()?)?;
/// let all = danger::unscoped(&tenancy, &capability, "nightly billing roll-up")?;
/// all.execute_unprepared("DELETE FROM expired_sessions").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn unscoped(tenancy: &Tenancy, capability: &Capability, reason: &'static str) -> Result<Unscoped, Error> {
    audit(tenancy, capability, "unscoped", reason)?;
    if tenancy.is_behind_transaction_pooler() {
        let hint = "it prepares by name, and a pooler in transaction mode is in front of the server; \
                    use danger::unscoped_transaction";
        return Err(Error::new(ErrorKind::Connection, "sea-orm's own connection", hint));
    }
    Ok(Unscoped { db: tenancy.db().clone() })
}

#[track_caller]
fn audit(
    tenancy: &Tenancy,
    capability: &Capability,
    what: &'static str,
    reason: &'static str,
) -> Result<(), Error> {
    if !tenancy.granted(capability) {
        let hint = "use the capability that was made with this tenancy";
        return Err(Error::new(ErrorKind::Unscoped, "a capability of another tenancy", hint));
    }
    if reason.trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Unscoped,
            "no reason",
            "say why more than one tenant's rows are needed",
        ));
    }
    let place = Location::caller();
    tracing::warn!(target: "tenancy::audit", access = what, reason, file = place.file(), line = place.line(), "unscoped access");
    Ok(())
}
