//! The one error of this crate.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong, as a closed question a program can ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A text is no [`TenantId`](crate::TenantId).
    InvalidId,
    /// A text is no [`TenantSlug`](crate::TenantSlug).
    InvalidSlug,
    /// A text is no [`Domain`](crate::Domain).
    InvalidDomain,
    /// The parts of a [`Tenant`](crate::Tenant) do not fit together.
    InvalidTenant,
    /// A resolver or one of its strategies was configured with something that cannot work.
    InvalidConfiguration,
    /// Code that needs a tenant ran outside every tenant's scope.
    NoTenantInScope,
    /// The tenant is known and not active, so that nothing may run for it.
    TenantNotActive,
    /// An id, slug or domain already belongs to another tenant.
    AlreadyTaken,
    /// A change is older than what the catalog holds.
    Stale,
    /// Nobody has proven that a domain belongs to the tenant.
    NotProven,
    /// The catalog knows no such tenant.
    UnknownTenant,
    /// The catalog did not answer; resolution then fails closed.
    CatalogUnavailable,
    /// A path or link would leave what belongs to the tenant.
    InvalidName,
    /// A store of named values did not answer.
    StoreUnavailable,
    /// A store answered with a value of another name: its connection is out of step and must be dropped.
    ForeignValue,
    /// A key that is to verify tokens is unreadable, too weak, or not for its algorithm.
    InvalidKey,
    /// The claims of a token are not what the service expects.
    InvalidClaims,
    /// The keys of an issuer of tokens could not be fetched.
    KeysUnavailable,
}

/// An error of the tenancy crates' vocabulary: illegal names, missing scope, an unreachable catalog.
///
/// The message says which rule was broken. It never repeats the offending value and never names a tenant, so it
/// can be shown to a caller.
///
/// A clone shares the source: those who wait for one load all get its error.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    reason: Cow<'static, str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Returns an error of `kind`: for catalogs and strategies of your own.
    ///
    /// `reason` says which rule was broken, in lower case and without a period, and names no value and no tenant.
    pub fn new(kind: ErrorKind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, reason: reason.into(), source: None }
    }

    #[cfg(any(feature = "jwt", feature = "redis"))]
    pub(crate) fn with_source(
        kind: ErrorKind,
        reason: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, reason: Cow::Borrowed(reason), source: Some(Arc::from(source.into())) }
    }

    /// Returns the error that a [`TenantCatalog`](crate::TenantCatalog) answers with when its store did not answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{Error, ErrorKind};
    ///
    /// let error = Error::catalog_unavailable(std::io::Error::other("connection refused"));
    /// assert_eq!(error.kind(), ErrorKind::CatalogUnavailable);
    /// assert_eq!(error.to_string(), "tenant catalog did not answer");
    /// ```
    pub fn catalog_unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: ErrorKind::CatalogUnavailable,
            reason: Cow::Borrowed("tenant catalog did not answer"),
            source: Some(Arc::from(source.into())),
        }
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
