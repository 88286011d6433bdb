//! [`Credential`]: everything in a request by which it names its tenant, part by part, so that each can be broken.

use http::{HeaderName, HeaderValue};

/// What a request of one tenant carries and another tenant's does not: a host, a token, a header, a part of the path.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::check::{Credential, TenantHandle};
///
/// fn token(tenant: &TenantHandle) -> Credential {
///     Credential::new().with_host(format!("{}.shop.test", tenant.slug())).with_bearer(format!("key-{}", tenant.id()))
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Credential {
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) prefix: Option<String>,
    pub(crate) query: Option<(String, String)>,
}

impl Credential {
    /// Returns a credential that names nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the tenant by the request's host.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Names the tenant by a header.
    ///
    /// # Panics
    ///
    /// Panics if `name` or `value` cannot stand in a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let name = HeaderName::try_from(name).expect("a credential's header has a valid name");
        let value = HeaderValue::from_str(value.as_ref()).expect("a credential's header has a valid value");
        self.headers.push((name, value));
        self
    }

    /// Names the tenant by a token in `Authorization: Bearer`.
    ///
    /// # Panics
    ///
    /// Panics if `token` cannot stand in a header.
    #[must_use]
    pub fn with_bearer(self, token: impl AsRef<str>) -> Self {
        self.with_header("authorization", format!("Bearer {}", token.as_ref()))
    }

    /// Names the tenant by what stands before an operation's path, such as `/t/acme`.
    #[must_use]
    pub fn with_path_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Names the tenant by a parameter after the question mark.
    #[must_use]
    pub fn with_query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query = Some((name.into(), value.into()));
        self
    }

    /// Both at once: what the other has is put beside or, where a request has one place for it, in place of what this has.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.host = other.host.or(self.host);
        self.prefix = other.prefix.or(self.prefix);
        self.query = other.query.or(self.query);
        self.headers.extend(other.headers);
        self
    }
}
