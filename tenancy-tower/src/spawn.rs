//! Tasks that belong to the tenant of whoever starts them.

use std::future::Future;

use tenancy_core::{Error, Scoped, TenantContext};
use tokio::task::JoinHandle;

/// Spawns a task in the scope of the present tenant, and carries nothing else into it (CORE-12).
///
/// A plain `tokio::spawn` leaves the scope behind, and what asks for the tenant there fails (CORE-11).
///
/// # Errors
///
/// Returns [`ErrorKind::NoTenantInScope`](tenancy_core::ErrorKind::NoTenantInScope) outside every scope: nothing is
/// spawned.
///
/// # Panics
///
/// Panics outside of a tokio runtime.
pub fn spawn<F>(future: F) -> Result<JoinHandle<F::Output>, Error>
where
    F: Future<Output: Send> + Send + 'static,
    Scoped<F>: Future<Output = F::Output>,
{
    Ok(tokio::spawn(TenantContext::current()?.scope(future)))
}

/// Runs `f` on the pool for blocking work, in the scope of the present tenant.
///
/// # Errors
///
/// Returns [`ErrorKind::NoTenantInScope`](tenancy_core::ErrorKind::NoTenantInScope) outside every scope: nothing is run.
///
/// # Panics
///
/// Panics outside of a tokio runtime.
pub fn spawn_blocking<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let context = TenantContext::current()?;
    Ok(tokio::task::spawn_blocking(move || context.sync_scope(f)))
}
