//! What a request calls a tenant.

use std::borrow::Cow;

use super::{TenantId, TenantSlug};

/// What a request calls a tenant: a claim that nobody has checked yet.
///
/// A [`Strategy`](crate::Strategy) reads it, a [`TenantCatalog`](crate::TenantCatalog) says whose it is. Nothing that
/// reaches data takes one.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum TenantKey<'r> {
    /// By permanent id.
    Id(TenantId),
    /// By slug.
    Slug(TenantSlug),
    /// By one of the tenant's own domains, in canonical form.
    Domain(Cow<'r, str>),
}

impl TenantKey<'_> {
    /// Returns the key with nothing borrowed from the request.
    #[must_use]
    pub fn into_owned(self) -> TenantKey<'static> {
        match self {
            Self::Id(id) => TenantKey::Id(id),
            Self::Slug(slug) => TenantKey::Slug(slug),
            Self::Domain(name) => TenantKey::Domain(Cow::Owned(name.into_owned())),
        }
    }
}
