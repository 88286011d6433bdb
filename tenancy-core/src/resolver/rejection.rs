//! Why a request is refused.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::Uri;

use crate::{Error, HostError, SignalError, TenantStatus};

/// Why a request is refused, for logs and metrics: what a client is told is less.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The host cannot be read.
    Host(HostError),
    /// A signal cannot be read.
    Signal(SignalError),
    /// The request names no tenant.
    NoTenant,
    /// The request names a tenant only by signals that anybody could send.
    UntrustedSignal,
    /// Two signals name different tenants.
    Conflict,
    /// There is no such tenant.
    UnknownTenant,
    /// The caller is not a member of the tenant.
    NotAMember,
    /// The tenant is not active, and the caller may know.
    Inactive(TenantStatus),
    /// The host has moved to another one.
    Moved,
    /// The catalog or the membership check did not answer.
    Unavailable,
}

impl RejectionReason {
    /// Returns a short name for metrics: there is one for each reason, and none contains anything from the request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host(HostError::Missing) => "host_missing",
            Self::Host(HostError::Repeated) => "host_repeated",
            Self::Host(HostError::Mismatch) => "host_mismatch",
            Self::Host(HostError::Malformed) => "host_malformed",
            Self::Host(HostError::Forwarded) => "host_forwarded",
            Self::Signal(SignalError::Malformed(_)) => "signal_malformed",
            Self::Signal(SignalError::Repeated(_)) => "signal_repeated",
            Self::Signal(SignalError::InvalidToken) => "token_invalid",
            Self::Signal(SignalError::KeysUnavailable) => "keys_unavailable",
            Self::NoTenant => "no_tenant",
            Self::UntrustedSignal => "untrusted_signal",
            Self::Conflict => "conflict",
            Self::UnknownTenant => "unknown_tenant",
            Self::NotAMember => "not_a_member",
            Self::Inactive(_) => "inactive",
            Self::Moved => "moved",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Signal(error) => error.fmt(f),
            Self::NoTenant => f.write_str("the request names no tenant"),
            Self::UntrustedSignal => f.write_str("nothing trusted names the tenant"),
            Self::Conflict => f.write_str("the request names different tenants"),
            Self::UnknownTenant => f.write_str("there is no such tenant"),
            Self::NotAMember => f.write_str("the caller is not a member of the tenant"),
            Self::Inactive(status) => write!(f, "the tenant is {status}"),
            Self::Moved => f.write_str("the host has moved"),
            Self::Unavailable => f.write_str("tenants cannot be looked up now"),
        }
    }
}

/// A refused request: the reason, and what an answer needs beside it.
#[derive(Debug)]
pub struct Rejection {
    reason: RejectionReason,
    detail: Option<Box<Detail>>,
}

#[derive(Debug)]
enum Detail {
    RetryAfter(Duration),
    Redirect(Uri),
    Source(Error),
}

impl Rejection {
    /// Returns a rejection for `reason`.
    #[must_use]
    pub fn new(reason: RejectionReason) -> Self {
        Self { reason, detail: None }
    }

    /// Returns a rejection that sends the client to `to`.
    #[must_use]
    pub fn redirect(to: Uri) -> Self {
        Self { reason: RejectionReason::Moved, detail: Some(Box::new(Detail::Redirect(to))) }
    }

    pub(crate) fn inactive(status: TenantStatus, retry_after: Option<Duration>) -> Self {
        let detail = retry_after.map(|after| Box::new(Detail::RetryAfter(after)));
        Self { reason: RejectionReason::Inactive(status), detail }
    }

    /// Returns why the request is refused.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        self.reason
    }

    /// Returns how long the client is asked to wait before it tries again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.detail.as_deref() {
            Some(Detail::RetryAfter(after)) => Some(*after),
            _ => None,
        }
    }

    /// Returns where the client is sent.
    #[must_use]
    pub fn redirect_to(&self) -> Option<&Uri> {
        match self.detail.as_deref() {
            Some(Detail::Redirect(to)) => Some(to),
            _ => None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.detail.as_deref() {
            Some(Detail::Source(source)) => Some(source),
            _ => None,
        }
    }
}

impl From<RejectionReason> for Rejection {
    fn from(reason: RejectionReason) -> Self {
        Self::new(reason)
    }
}

impl From<HostError> for Rejection {
    fn from(error: HostError) -> Self {
        Self::new(RejectionReason::Host(error))
    }
}

/// Keys that are not at hand are being fetched: trying again soon is worth while.
impl From<SignalError> for Rejection {
    fn from(error: SignalError) -> Self {
        let soon = Duration::from_secs(1);
        let detail = (error == SignalError::KeysUnavailable).then(|| Box::new(Detail::RetryAfter(soon)));
        Self { reason: RejectionReason::Signal(error), detail }
    }
}

/// A catalog that does not answer refuses the request, whatever its error says.
impl From<Error> for Rejection {
    fn from(source: Error) -> Self {
        Self { reason: RejectionReason::Unavailable, detail: Some(Box::new(Detail::Source(source))) }
    }
}
