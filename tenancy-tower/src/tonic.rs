//! gRPC with tonic: the tenant of a request, and the status of a refusal.

use tenancy_core::{RejectionReason, TenantContext};
use tonic::{Code, Request, Status};

use crate::resolve::grpc_code;

/// The tenant of a [`tonic::Request`].
///
/// # Examples
///
/// ```
/// use tenancy_tower::RequestExt;
/// use tonic::{Request, Response, Status};
///
/// async fn greet(request: Request<String>) -> Result<Response<String>, Status> {
///     let tenant = request.tenant()?;
///     Ok(Response::new(format!("Hello, {} of {}!", request.get_ref(), tenant.slug())))
/// }
/// ```
pub trait RequestExt: sealed::Sealed {
    /// Returns the tenant that the request belongs to.
    ///
    /// # Errors
    ///
    /// Returns `INTERNAL` where the service lies outside of [`ResolveTenantLayer`](crate::ResolveTenantLayer), or on a
    /// public route: a mistake in the service. There is no optional form (TWR-51).
    // A status is what a tonic handler returns; boxing it would cost every caller a conversion.
    #[allow(clippy::result_large_err)]
    fn tenant(&self) -> Result<&TenantContext, Status>;
}

impl<T> RequestExt for Request<T> {
    fn tenant(&self) -> Result<&TenantContext, Status> {
        self.extensions().get().ok_or_else(|| Status::internal("this method has no tenant"))
    }
}

/// Returns the status by which a client learns of `reason`: for interceptors and services that resolve by themselves.
///
/// The message says no more than the code does.
///
/// # Examples
///
/// ```
/// use tenancy_core::RejectionReason;
/// use tenancy_tower::status;
///
/// assert_eq!(status(RejectionReason::UnknownTenant).code(), tonic::Code::NotFound);
/// assert_eq!(status(RejectionReason::NotAMember).message(), status(RejectionReason::UnknownTenant).message());
/// ```
#[must_use]
pub fn status(reason: RejectionReason) -> Status {
    let code = Code::from_i32(grpc_code(reason).into());
    Status::new(code, crate::resolve::grpc_message(reason))
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for tonic::Request<T> {}
}
