//! From the tenant that a request names to whether it is served.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::Uri;

use super::agreement::Signals;
use super::{Rejection, RejectionReason, Resolution};
use crate::catalog::BoxFuture;
use crate::{
    Domain, DomainState, Error, Provenance, RequestHead, SignalKind, Tenant, TenantContext, TenantId,
    TenantStatus,
};

/// What a request gets whose host is nobody's domain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum UnknownHost {
    /// It is refused.
    #[default]
    Refuse,
    /// It is served as this tenant, if that one is active and the request says nothing else about a tenant.
    Tenant(TenantId),
    /// It is sent to this address with 308.
    Redirect(Uri),
}

/// Whether a caller is a member of a tenant: at once where it is at hand, else later.
#[must_use]
pub enum MembershipAnswer {
    /// The caller belongs to the tenant.
    Member,
    /// The caller does not: for it, there is no such tenant.
    Stranger,
    /// Somebody has to be asked. An error refuses the request.
    Later(BoxFuture<Result<bool, Error>>),
}

impl fmt::Debug for MembershipAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Member => "Member",
            Self::Stranger => "Stranger",
            Self::Later(_) => "Later(..)",
        })
    }
}

/// Says whether the caller of a request is a member of the tenant that the request names.
///
/// Selecting a tenant is one step, being entitled to it another. Put authentication outside of the tenant layer, let it
/// leave its result in the request's extensions, and read it here.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Membership, MembershipAnswer, RequestHead, Tenant};
///
/// #[derive(Clone)]
/// struct User { tenants: Vec<String> }
///
/// #[derive(Debug)]
/// struct ByUser;
///
/// impl Membership for ByUser {
///     fn check(&self, tenant: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer {
///         match head.extensions.get::<User>() {
///             Some(user) if user.tenants.contains(&tenant.id().to_string()) => MembershipAnswer::Member,
///             _ => MembershipAnswer::Stranger,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` does not know the members of tenants")]
pub trait Membership: fmt::Debug + Send + Sync + 'static {
    /// Returns whether the caller is a member of `tenant`.
    fn check(&self, tenant: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer;
}

#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) membership: Option<Arc<dyn Membership>>,
    pub(super) public_status: bool,
}

impl Policy {
    pub(super) fn decide(
        &self,
        tenant: Arc<Tenant>,
        signals: &Signals<'_>,
        head: &RequestHead<'_>,
    ) -> Result<Resolution, Rejection> {
        let active = tenant.status().is_active();
        if let Some(name) = signals.domain() {
            check_domain(&tenant, name, head.uri)?;
        }
        // An inactive tenant is looked at before the signals are compared: a stranger must not be able to tell it from
        // an unknown one by adding a header that disagrees (TWR-48).
        let agreed = signals.agree_on(&tenant);
        if active {
            agreed.as_ref().map_err(|rejection| Rejection::new(rejection.reason()))?;
        }
        let entitled = self.public_status || signals.name(&tenant, SignalKind::Token);
        let answer = match &self.membership {
            Some(membership) => membership.check(&tenant, head),
            None if active || entitled => MembershipAnswer::Member,
            None => MembershipAnswer::Stranger,
        };
        let outcome = Outcome { tenant, agreed, has_membership: self.membership.is_some() };
        Ok(match answer {
            MembershipAnswer::Member => Resolution::Ready(outcome.of(true)),
            MembershipAnswer::Stranger => Resolution::Ready(outcome.of(false)),
            MembershipAnswer::Later(answer) => {
                Resolution::Later(Box::pin(async move { outcome.of(answer.await?) }))
            }
        })
    }
}

/// What is left to say once it is known whether the caller belongs to the tenant.
struct Outcome {
    tenant: Arc<Tenant>,
    agreed: Result<Provenance, Rejection>,
    has_membership: bool,
}

impl Outcome {
    fn of(self, member: bool) -> Result<TenantContext, Rejection> {
        match (self.tenant.status(), member) {
            (TenantStatus::Active, true) => Ok(TenantContext::resolved(self.tenant, self.agreed?)),
            (TenantStatus::Active, false) if self.has_membership => Err(RejectionReason::NotAMember.into()),
            (_, false) | (TenantStatus::Cancelled, _) => Err(RejectionReason::UnknownTenant.into()),
            (status, true) => Err(Rejection::inactive(status, self.tenant.retry_after())),
        }
    }
}

/// Refuses a domain that is not proven, and redirects one that was left.
fn check_domain(tenant: &Tenant, name: &str, uri: &Uri) -> Result<(), Rejection> {
    match tenant.domain(name).map(|domain| &domain.state) {
        // Another signal was looked up, and this domain is not this tenant's: a conflict, found later.
        None | Some(DomainState::Verified) => Ok(()),
        Some(DomainState::Pending) => Err(RejectionReason::UnknownTenant.into()),
        Some(DomainState::Moved { to, until }) => {
            let over = until.is_some_and(|until| until <= SystemTime::now());
            if over || !tenant.status().is_active() {
                return Err(RejectionReason::UnknownTenant.into());
            }
            Err(Rejection::redirect(moved_uri(to, uri)))
        }
    }
}

/// The same path and query on the new domain. Always https: a custom domain without it could not be trusted anyway.
fn moved_uri(to: &Domain, uri: &Uri) -> Uri {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = Uri::builder().scheme("https").authority(to.as_str()).path_and_query(path);
    target.build().expect("a domain and the path of a request form a URI")
}
