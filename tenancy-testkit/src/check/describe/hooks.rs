//! What the search may do beside sending requests, as far as the description offers it.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::handler::BoxError;
use super::world::TenantHandle;
use crate::proxy::PgProxy;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
pub(crate) type Hook<A, T> = Arc<dyn Fn(A) -> Later<T> + Send + Sync>;

/// How the database tells one tenant's rows from another's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rows {
    /// By this column, in every table that has one of this name.
    Column(String),
    /// By the schema: the tenant's is named by the function that
    /// [`Service::with_schemas`](super::Service::with_schemas) was given.
    Schema,
}

#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) rows: Rows,
    /// The value of the tenant column, or the name of the schema.
    pub(crate) of: Arc<dyn Fn(&TenantHandle) -> String + Send + Sync>,
}

/// Everything optional of a description.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) database: Option<Database>,
    pub(crate) seed: Option<Hook<TenantHandle, ()>>,
    pub(crate) suspend: Option<Hook<TenantHandle, ()>>,
    pub(crate) delete: Option<Hook<TenantHandle, ()>>,
    pub(crate) onboard: Option<Hook<TenantHandle, ()>>,
    pub(crate) jobs: Option<Hook<(), ()>>,
    pub(crate) connection: Option<Hook<(), BTreeMap<String, String>>>,
    pub(crate) cache: Option<Hook<TenantHandle, Vec<String>>>,
    pub(crate) texts: Vec<(String, Hook<(), String>)>,
    pub(crate) logs: Option<Hook<(), String>>,
    pub(crate) app_url: Option<String>,
    pub(crate) proxy: Option<Arc<PgProxy>>,
    pub(crate) bound: Duration,
    pub(crate) guards: Vec<Arc<dyn Any + Send + Sync>>,
}

pub(crate) fn hook<A, T, F, Fut, E>(call: F) -> Hook<A, T>
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    E: Into<BoxError>,
{
    Arc::new(move |argument| {
        let future = call(argument);
        Box::pin(async move { future.await.map_err(Into::into) })
    })
}
