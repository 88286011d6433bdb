//! A tower layer that finds out which tenant a request belongs to, or refuses it.
//!
//! ```
//! use std::sync::Arc;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Empty;
//! use tenancy_core::{Domain, MemoryCatalog, Resolver, SubdomainStrategy, Tenant, TenantContext, TenantId};
//! use tenancy_tower::ResolveTenantLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let catalog = Arc::new(MemoryCatalog::new());
//! catalog.insert(Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?)?;
//! let resolver = Resolver::builder(catalog)
//!     .with_strategy(SubdomainStrategy::new([Domain::new("app.example")?]))
//!     .build()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(ResolveTenantLayer::new(resolver))
//!     .service_fn(async |_: Request<Empty<bytes::Bytes>>| {
//!         assert_eq!(TenantContext::current()?.slug().as_str(), "acme");
//!         Ok::<_, tenancy_core::Error>(Response::new(Empty::<bytes::Bytes>::new()))
//!     });
//!
//! let known = Request::builder().header("host", "acme.app.example").body(Empty::new())?;
//! assert_eq!(service.clone().oneshot(known).await?.status(), StatusCode::OK);
//! let unknown = Request::builder().header("host", "evil.app.example").body(Empty::new())?;
//! assert_eq!(service.oneshot(unknown).await?.status(), StatusCode::NOT_FOUND);
//! # Ok(())
//! # }
//! ```
//!
//! # How the pieces fit
//!
//! [`ResolveTenantLayer`] asks a [`TenantResolver`](tenancy_core::TenantResolver). A request that it refuses never
//! reaches the inner service: the client gets a problem document (RFC 9457), or a gRPC status. A request that it
//! resolves runs in the scope of its tenant, with the [`TenantContext`](tenancy_core::TenantContext) in its extensions;
//! the body of the answer is produced in the same scope, and ends when the tenant is suspended meanwhile.
//!
//! # Crate features
//!
//! - `axum`: [`CurrentTenant`], an extractor.
//! - `broken-on-purpose-for-tests-only`: lets a test run do without the layer's refusals, to show that the tests notice; see
//!   `tenancy_core::Guard`. Never for production.
//! - `metrics`: counts refused requests by reason, through the `metrics` facade.
//! - `tokio`: [`spawn`](fn@spawn) and [`spawn_blocking`], which carry the tenant into a task.
//! - `tonic`: [`RequestExt`], the tenant of a `tonic::Request`, and [`status`](fn@status), a refusal as a `tonic::Status`.
//! - `tracing`: records `tenant.id` in the current span, and an event for each refused request.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
mod propagate;
pub mod resolve;
#[cfg(feature = "tokio")]
mod spawn;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "axum")]
pub use self::axum::CurrentTenant;
#[cfg(feature = "tonic")]
pub use self::tonic::{RequestExt, status};
pub use propagate::{PropagateFuture, PropagateTenant, PropagateTenantLayer};
pub use resolve::{OriginalUri, PeerAddr, ResolveTenant, ResolveTenantLayer};
#[cfg(feature = "tokio")]
pub use spawn::{spawn, spawn_blocking};
