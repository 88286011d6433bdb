//! [`Service`]: the description of the service under test.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;

use super::credential::Credential;
use super::handler::{BoxError, Handler, InProcess, Remote};
use super::hooks::{Database, Hooks, Rows, hook};
use super::openapi;
use super::operation::Operation;
use super::world::TenantHandle;
use crate::check::detect::canary::Planted;
use crate::error::Error;
use crate::proxy::PgProxy;

type Mint = Arc<dyn Fn(&TenantHandle) -> Option<Credential> + Send + Sync>;

/// A started service, and what the search has to know about it.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use serde_json::json;
/// use tenancy_testkit::check::{Credential, Operation, Service};
///
/// let router = Router::new().route("/orders", get(|| async { "[]" }));
/// let service = Service::new(router)
///     .with_credential("host", |tenant| Credential::new().with_host(format!("{}.shop.test", tenant.slug())))
///     .with_operation(Operation::get("/orders"));
/// ```
#[derive(Clone)]
pub struct Service {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) credentials: Vec<(String, Mint)>,
    pub(crate) admin: Option<Credential>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) canary: Option<Arc<Planted>>,
    pub(crate) hooks: Hooks,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<String> = self.operations.iter().map(Operation::name).collect();
        f.debug_struct("Service").field("operations", &operations).finish_non_exhaustive()
    }
}

impl Service {
    /// Describes a service in this process: an axum router, tonic routes, or any tower service over `http`.
    #[must_use]
    pub fn new<S, B>(service: S) -> Self
    where
        S: tower_service::Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self::over(Arc::new(InProcess::new(service)))
    }

    /// Describes a server that already runs, at a URL that begins with `http://`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `url` is not such a URL.
    pub fn at(url: &str) -> Result<Self, Error> {
        Ok(Self::over(Arc::new(Remote::new(url)?)))
    }

    fn over(handler: Arc<dyn Handler>) -> Self {
        let hooks = Hooks { bound: Duration::from_secs(1), ..Hooks::default() };
        Self { handler, credentials: Vec::new(), admin: None, operations: Vec::new(), canary: None, hooks }
    }

    /// Says how a request names a tenant. Several ways (a host, a token) are also used against each other.
    ///
    /// `mint` is also asked for a tenant that does not exist; it may answer `None` where it cannot make a credential.
    #[must_use]
    pub fn with_credential<C: Into<Option<Credential>>>(
        mut self,
        name: impl Into<String>,
        mint: impl Fn(&TenantHandle) -> C + Send + Sync + 'static,
    ) -> Self {
        self.credentials.push((name.into(), Arc::new(move |tenant| mint(tenant).into())));
        self
    }

    /// Gives the credential of an administrator, for operations of [`Access::Admin`](super::Access::Admin).
    #[must_use]
    pub fn with_admin(mut self, credential: Credential) -> Self {
        self.admin = Some(credential);
        self
    }

    /// Adds an operation by hand. It replaces one of the same method and path.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.operations.retain(|known| known.name() != operation.name());
        self.operations.push(operation);
        self
    }

    /// Adds the operations of an OpenAPI document (JSON, version 3.0 or 3.1, as utoipa prints it).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the document cannot be read.
    pub fn with_openapi(mut self, document: &str) -> Result<Self, Error> {
        for operation in openapi::operations(document)? {
            self = self.with_operation(operation);
        }
        Ok(self)
    }

    /// Lets the search look at the rows of a PostgreSQL database whose tables have a tenant column: D4.
    ///
    /// `url` is of a role that sees every row, such as [`TestDatabase::admin_url`](crate::TestDatabase::admin_url);
    /// `value` is what the column holds for a tenant, as text.
    #[must_use]
    pub fn with_tenant_column(
        mut self,
        url: impl Into<String>,
        column: impl Into<String>,
        value: impl Fn(&TenantHandle) -> String + Send + Sync + 'static,
    ) -> Self {
        let rows = Rows::Column(column.into());
        self.hooks.database = Some(Database { url: url.into(), rows, of: Arc::new(value) });
        self
    }

    /// Lets the search look at the rows of a PostgreSQL database with a schema for each tenant: D4.
    #[must_use]
    pub fn with_schemas(
        mut self,
        url: impl Into<String>,
        name: impl Fn(&TenantHandle) -> String + Send + Sync + 'static,
    ) -> Self {
        self.hooks.database = Some(Database { url: url.into(), rows: Rows::Schema, of: Arc::new(name) });
        self
    }

    /// Gives the URL with which the service itself connects: the run refuses to start if that role may do more than an
    /// application may, since row-level security would then prove nothing (KIT-03).
    #[must_use]
    pub fn with_app_role(mut self, url: impl Into<String>) -> Self {
        self.hooks.app_url = Some(url.into());
        self
    }

    /// Lets programs break the way to the database in the middle of a request: the service's connections go through `proxy`,
    /// at [`PgProxy::url`].
    ///
    /// That a request fails then is no leak; what the next one is answered, and what its connection is left like, may be.
    #[must_use]
    pub fn with_faults(mut self, proxy: impl Into<Arc<PgProxy>>) -> Self {
        self.hooks.proxy = Some(proxy.into());
        self
    }

    /// Plants rows of a tenant which the service's own operations cannot make; put [`TenantHandle::canary`] into them.
    #[must_use]
    pub fn with_seed<F, Fut, E>(mut self, seed: F) -> Self
    where
        F: Fn(TenantHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.seed = Some(hook(seed));
        self
    }

    /// Names a text of at least ten characters that rows of a tenant hold from the start, where the service's own set-up
    /// plants them: in another tenant's answer it is a leak.
    #[must_use]
    pub fn with_canary(
        mut self,
        canary: impl Fn(&TenantHandle) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.canary = Some(Arc::new(canary));
        self
    }

    /// Suspends a tenant, as an administrator would; `bound` is how long the service may go on serving it: D9.
    #[must_use]
    pub fn with_suspend<F, Fut, E>(mut self, bound: Duration, suspend: F) -> Self
    where
        F: Fn(TenantHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.bound = bound;
        self.hooks.suspend = Some(hook(suspend));
        self
    }

    /// Deletes a tenant, as an administrator would: D9.
    #[must_use]
    pub fn with_delete<F, Fut, E>(mut self, delete: F) -> Self
    where
        F: Fn(TenantHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.delete = Some(hook(delete));
        self
    }

    /// Brings in a tenant that the service did not know before: requests for it must then be served.
    #[must_use]
    pub fn with_onboard<F, Fut, E>(mut self, onboard: F) -> Self
    where
        F: Fn(TenantHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.onboard = Some(hook(onboard));
        self
    }

    /// Runs the jobs that are waiting, to the last: D8.
    #[must_use]
    pub fn with_jobs<F, Fut, E>(mut self, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.jobs = Some(hook(move |()| run()));
        self
    }

    /// Reads the state of a connection that the service's pool hands out (path, role, settings): it must be the same
    /// after any request as before the first: D6.
    #[must_use]
    pub fn with_connection_state<F, Fut, E>(mut self, state: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<BTreeMap<String, String>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.connection = Some(hook(move |()| state()));
        self
    }

    /// Lists what a cache holds for a tenant: nothing another tenant does may take an entry away: D7.
    #[must_use]
    pub fn with_cache_entries<F, Fut, E>(mut self, entries: F) -> Self
    where
        F: Fn(TenantHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.cache = Some(hook(entries));
        self
    }

    /// Gives a text that no tenant's data may turn up in, such as the metrics' exposition: D2.
    #[must_use]
    pub fn with_text<F, Fut, E>(mut self, name: impl Into<String>, text: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.texts.push((name.into(), hook(move |()| text())));
        self
    }

    /// Gives all that the service has logged since its start, where it does not go to `tracing` on the threads that serve
    /// requests: D2.
    #[must_use]
    pub fn with_logs<F, Fut, E>(mut self, logs: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.hooks.logs = Some(hook(move |()| logs()));
        self
    }

    /// Keeps `value`, such as the test's database, for as long as the service.
    #[must_use]
    pub fn with_guard(mut self, value: impl Send + Sync + 'static) -> Self {
        self.hooks.guards.push(Arc::new(value));
        self
    }
}
