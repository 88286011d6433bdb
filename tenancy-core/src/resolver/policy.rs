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
    /// It is served as this tenant, if that one is active, the caller may act for it, and the request says nothing
    /// else about a tenant. The domain of a tenant that is not served is refused, and so can be told from an unknown one.
    Tenant(TenantId),
    /// It is sent to this address with 308, and so are the domains of tenants that the caller may not know of.
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
    /// Returns whether `tenant` is served to everybody who names it.
    #[inline]
    pub(super) fn asks_nothing_of(&self, tenant: &Tenant) -> bool {
        tenant.status().is_active() && self.membership.is_none()
    }

    #[inline]
    pub(super) fn decide(
        &self,
        tenant: Arc<Tenant>,
        signals: &Signals<'_>,
        head: &RequestHead<'_>,
    ) -> Result<Resolution, Rejection> {
        let agreed = signals.agree_on(&tenant, |domain| check_domain(&tenant, domain, head.uri))?;
        let by_token = signals.name(&tenant, SignalKind::Token);
        Ok(self.admit(tenant, agreed, by_token, head))
    }

    /// Asks whether the caller is a member before anything is said of the tenant. The signals are compared last: a
    /// stranger must not be able to tell a tenant from an unknown one by adding a header that disagrees (TWR-48).
    #[inline]
    pub(super) fn admit(
        &self,
        tenant: Arc<Tenant>,
        agreed: Result<Provenance, Rejection>,
        by_token: bool,
        head: &RequestHead<'_>,
    ) -> Resolution {
        let active = tenant.status().is_active();
        if active && self.membership.is_none() {
            return Resolution::Ready(agreed.map(|by| TenantContext::resolved(tenant, by)));
        }
        let answer = match &self.membership {
            _ if !active && self.public_status => MembershipAnswer::Member,
            Some(membership) => membership.check(&tenant, head),
            None if by_token => MembershipAnswer::Member,
            None => MembershipAnswer::Stranger,
        };
        let outcome = Outcome { tenant, agreed };
        match answer {
            MembershipAnswer::Member => Resolution::Ready(outcome.of(true)),
            MembershipAnswer::Stranger => Resolution::Ready(outcome.of(false)),
            MembershipAnswer::Later(answer) => Resolution::Later(Box::pin(async move {
                let member = answer.await?;
                // The tenant may have been suspended while somebody was asked.
                if outcome.tenant.status().is_active() && !outcome.tenant.is_still_active() {
                    return Err(RejectionReason::UnknownTenant.into());
                }
                outcome.of(member)
            })),
        }
    }
}

/// What is left to say once it is known whether the caller belongs to the tenant.
struct Outcome {
    tenant: Arc<Tenant>,
    agreed: Result<Provenance, Rejection>,
}

impl Outcome {
    fn of(self, member: bool) -> Result<TenantContext, Rejection> {
        match (self.tenant.status(), member) {
            (TenantStatus::Active, true) => Ok(TenantContext::resolved(self.tenant, self.agreed?)),
            (TenantStatus::Active, false) => Err(RejectionReason::NotAMember.into()),
            (_, false) | (TenantStatus::Cancelled, _) => Err(RejectionReason::UnknownTenant.into()),
            (status, true) => Err(Rejection::inactive(status, self.tenant.retry_after())),
        }
    }
}

/// Refuses a domain that is not proven, and redirects one that was left.
#[inline]
fn check_domain(tenant: &Tenant, state: &DomainState, uri: &Uri) -> Result<(), Rejection> {
    match state {
        DomainState::Verified => Ok(()),
        DomainState::Pending => Err(RejectionReason::UnknownTenant.into()),
        DomainState::Moved(moved) => {
            let over = moved.until.is_some_and(|until| until <= SystemTime::now());
            if over || !tenant.status().is_active() {
                return Err(RejectionReason::UnknownTenant.into());
            }
            Err(moved_uri(&moved.to, uri)
                .map_or_else(|| RejectionReason::UnknownTenant.into(), Rejection::redirect))
        }
    }
}

/// The same path and query on the new domain. Always https: a custom domain without it could not be trusted anyway.
///
/// Nothing comes of it where the two together are longer than a URI may be.
fn moved_uri(to: &Domain, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = Uri::builder().scheme("https").authority(to.as_str()).path_and_query(path);
    target.build().ok()
}
