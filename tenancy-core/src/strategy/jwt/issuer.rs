//! Who issues tokens, for whom, with which keys.

use std::sync::Arc;

use super::jwks::{JwkSet, JwksSource};
use super::key::VerificationKey;
use crate::strategy::NamedBy;
use crate::{Error, ErrorKind, TenantId, TenantKey, TenantSlug};

/// An issuer of tokens: its name, the audience that its tokens are for, and its keys.
///
/// Keys belong to their issuer: a token's key is found by `iss` and `kid` together, so that a key of one issuer, or of
/// one tenant, never verifies what another seems to have said (TWR-42).
///
/// # Examples
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_core::jwt::{Algorithm, Issuer, VerificationKey};
///
/// // The platform's own identity provider signs for all tenants; this tenant brings its own.
/// let platform = Issuer::new("https://id.app.example", "orders-api")
///     .with_key(VerificationKey::from_secret(Algorithm::Hs256, &[7; 32])?);
/// let acme = Issuer::new("https://acme.idp.example", "orders-api")
///     .with_tenant_id(TenantId::integer(42)?)
///     .with_key(VerificationKey::from_secret(Algorithm::Hs256, &[9; 32])?);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Issuer {
    pub(super) name: Arc<str>,
    pub(super) audiences: Vec<Box<str>>,
    pub(super) any_audience: bool,
    /// The one type that is accepted, or `None` for the usual ones.
    pub(super) token_type: Option<Box<str>>,
    pub(super) keys: Vec<VerificationKey>,
    pub(super) source: Option<Arc<dyn JwksSource>>,
    pub(super) tenant: Option<TenantKey<'static>>,
}

impl Issuer {
    /// Returns the issuer whose tokens say `iss: name` and are meant for `audience`.
    pub fn new(name: &str, audience: &str) -> Self {
        Self {
            name: name.into(),
            audiences: vec![audience.into()],
            any_audience: false,
            token_type: None,
            keys: Vec::new(),
            source: None,
            tenant: None,
        }
    }

    /// Accepts another audience too.
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts tokens for any audience or none.
    ///
    /// Tokens that the issuer gave to a user for another service are then good here. Only for issuers that serve no
    /// other.
    pub fn with_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Accepts only tokens of this type, such as `at+jwt` (RFC 9068), and none without a type.
    ///
    /// By default a token has no type, or `JWT`, or `at+jwt`. Others, such as logout tokens, are signed by the same keys
    /// and mean something else (RFC 8725, section 3.11).
    pub fn with_token_type(mut self, media_type: &str) -> Self {
        let name = media_type.to_ascii_lowercase();
        self.token_type = Some(name.strip_prefix("application/").unwrap_or(&name).into());
        self
    }

    /// Adds a key.
    pub fn with_key(mut self, key: VerificationKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds the keys of a key set that does not change.
    pub fn with_jwks(mut self, set: JwkSet) -> Self {
        self.keys.extend(set.into_keys());
        self
    }

    /// Takes keys from a key set that is fetched, and fetched again: see
    /// [`TokenVerifier::keep_fresh`](super::TokenVerifier::keep_fresh).
    pub fn with_jwks_source(mut self, source: impl JwksSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Makes all keys of the issuer keys of one tenant, named by id.
    pub fn with_tenant_id(mut self, id: TenantId) -> Self {
        self.tenant = Some(TenantKey::Id(id));
        self
    }

    /// Makes all keys of the issuer keys of one tenant, named by slug.
    pub fn with_tenant_slug(mut self, slug: TenantSlug) -> Self {
        self.tenant = Some(TenantKey::Slug(slug));
        self
    }

    /// Returns the issuer with its tenant written to every key, or what does not fit together.
    pub(super) fn checked(mut self, named_by: NamedBy) -> Result<Self, Error> {
        let wrong = |reason| Err(Error::new(ErrorKind::InvalidConfiguration, reason));
        if self.name.is_empty() {
            return wrong("an issuer has a name");
        }
        if self.audiences.iter().any(|audience| audience.is_empty()) {
            return wrong("an audience is not empty");
        }
        if self.keys.is_empty() && self.source.is_none() {
            return wrong("an issuer has a key or a source of keys");
        }
        if let Some(tenant) = &self.tenant {
            check_binding(tenant, named_by)?;
            self.keys.iter_mut().try_for_each(|key| key.bind(tenant))?;
        }
        for key in &self.keys {
            key.tenant().map_or(Ok(()), |tenant| check_binding(tenant, named_by))?;
        }
        let mut ids: Vec<_> = self.keys.iter().map(VerificationKey::id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return wrong("two keys of an issuer have one name");
        }
        Ok(self)
    }

    pub(super) fn accepts_type(&self, token_type: Option<&str>) -> bool {
        match &self.token_type {
            Some(only) => token_type == Some(&**only),
            None => matches!(token_type, None | Some("jwt" | "at+jwt")),
        }
    }
}

/// A key that is bound to an id could never agree with claims that are slugs: better to say so at once.
pub(super) fn check_binding(tenant: &TenantKey<'_>, named_by: NamedBy) -> Result<(), Error> {
    match (tenant, named_by) {
        (TenantKey::Id(_), NamedBy::Id) | (TenantKey::Slug(_), NamedBy::Slug) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "keys are bound to tenants by the name that the tenant claim holds",
        )),
    }
}
