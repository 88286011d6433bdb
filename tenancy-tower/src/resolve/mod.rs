//! Middleware that resolves a request's tenant before the inner service sees the request.
//!
//! # When a request passes
//!
//! - The resolver names one active tenant, and the caller is entitled to it.
//! - The method and path are declared public ([`ResolveTenantLayer::with_public_route`]): it then has no tenant, and
//!   code that asks for one fails.
//!
//! # When it is refused
//!
//! | reason | HTTP | gRPC |
//! |---|---|---|
//! | host or signal unreadable, repeated, contradicting itself; no tenant named | 400 | `INVALID_ARGUMENT` |
//! | token not valid | 401 | `UNAUTHENTICATED` |
//! | signals name different tenants; suspended, told to its own members | 403 | `PERMISSION_DENIED` |
//! | unknown tenant, not the caller's, or inactive: these look the same | 404 | `NOT_FOUND` |
//! | host has moved | 308 | `FAILED_PRECONDITION` |
//! | maintenance or provisioning, told to its own members; catalog or keys down | 503 | `UNAVAILABLE` |
//!
//! An answer whose tenant is suspended while it streams is cut off; to a gRPC client it ends with `NOT_FOUND`, which is
//! what the next call would get.
//!
//! # Deployment caveats
//!
//! - Behind a proxy the connection's address is the proxy's. Name it in the strategies that trust one, and let the
//!   proxy set or remove those headers on every request.
//! - Put the layer outside of the router, so that its 404 and its nested routers lie inside. Inside of a nested router
//!   a path strategy would see the path without its prefix.
//! - The layer answers an `OPTIONS` preflight like any request. Put CORS outside of it.

mod body;
mod future;
mod layer;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
mod open;
mod rare;
mod rejection;
mod service;

pub use body::{ResponseBody, TenantGone};
pub use future::ResponseFuture;
pub use layer::{OriginalUri, PeerAddr, ResolveTenantLayer};
#[cfg(feature = "tonic")]
pub(crate) use rejection::grpc_message;
pub use rejection::{grpc_code, http_status};
pub use service::ResolveTenant;
