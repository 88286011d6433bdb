//! Links that belong to one tenant.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::segment;
use crate::{Domain, DomainState, Error, ErrorKind, TenantContext};

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes the links of tenants: to their own domain for mails, to the CDN for assets.
///
/// The host comes from the tenant's record and from configuration, never from a request: a forged `Host` header does not
/// get into the mail that resets a password.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Domain, Tenant, TenantContext, TenantId, TenantUrls};
///
/// let urls = TenantUrls::new(Domain::new("app.example")?).with_cdn("https://cdn.example/assets")?;
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let context = TenantContext::assertion(acme, "invitation mail")?;
///
/// let link = urls.page(&context, ["invites", "a/b"])?.with_query("lang", "de");
/// assert_eq!(link.as_str(), "https://acme.app.example/invites/a%2Fb?lang=de");
/// assert_eq!(urls.asset(&context, ["logo.png"])?.as_str(), "https://cdn.example/assets/1/logo.png");
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TenantUrls {
    scheme: &'static str,
    base: Domain,
    port: Option<u16>,
    cdn: Option<String>,
}

impl TenantUrls {
    /// Returns the links of tenants whose subdomains are below `base`.
    #[must_use]
    pub fn new(base: Domain) -> Self {
        Self { scheme: "https", base, port: None, cdn: None }
    }

    /// Makes links with `http` and a port: for development.
    #[must_use]
    pub fn with_plain_http(self, port: u16) -> Self {
        Self { scheme: "http", port: Some(port), ..self }
    }

    /// Sets where assets are served: an `https` or `http` URL without query and fragment.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if `base` is no such URL.
    pub fn with_cdn(self, base: &str) -> Result<Self, Error> {
        let invalid = || Error::new(ErrorKind::InvalidConfiguration, "the base of assets is no web address");
        let uri: http::Uri = base.parse().map_err(|_| invalid())?;
        let is_web = matches!(uri.scheme_str(), Some("https" | "http"));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if !is_web || !has_host || uri.query().is_some() || base.contains(['#', '@']) {
            return Err(invalid());
        }
        Ok(Self { cdn: Some(base.trim_end_matches('/').to_owned()), ..self })
    }

    /// Returns the link to the page at `path` on the tenant's own site: its first verified domain, else its subdomain.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidName`] if a segment of `path` is empty, `.` or `..`.
    pub fn page<S: AsRef<str>>(
        &self,
        context: &TenantContext,
        path: impl IntoIterator<Item = S>,
    ) -> Result<TenantUrl, Error> {
        let own = context.tenant().domains().iter().find(|domain| domain.state == DomainState::Verified);
        let mut url = match own {
            Some(own) => format!("{}://{}", self.scheme, own.domain.as_str()),
            None => format!("{}://{}.{}", self.scheme, context.slug(), self.base.as_str()),
        };
        if let Some(port) = self.port {
            url.push_str(&format!(":{port}"));
        }
        TenantUrl(url).with_path(path)
    }

    /// Returns the link to the asset at `path` among the tenant's own, where `TenantObjectStore` puts the object of this path.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidName`] if a segment of `path` is empty, `.` or `..`, and
    /// [`ErrorKind::InvalidConfiguration`] if no CDN is set.
    pub fn asset<S: AsRef<str>>(
        &self,
        context: &TenantContext,
        path: impl IntoIterator<Item = S>,
    ) -> Result<TenantUrl, Error> {
        let Some(cdn) = &self.cdn else {
            return Err(Error::new(ErrorKind::InvalidConfiguration, "no base of assets is set"));
        };
        let segment = segment::of(context.id());
        TenantUrl(format!("{cdn}/{}", utf8_percent_encode(&segment, ESCAPED))).with_path(path)
    }
}

/// A link into one tenant's pages or assets; made by [`TenantUrls`].
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct TenantUrl(String);

impl TenantUrl {
    /// Adds a parameter to the query.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        let (name, value) = (utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED));
        let mark = if self.0.contains('?') { '&' } else { '?' };
        self.0.push_str(&format!("{mark}{name}={value}"));
        self
    }

    /// Returns the link as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn with_path<S: AsRef<str>>(mut self, path: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let before = self.0.len();
        for segment in path {
            let segment = segment.as_ref();
            // Browsers take `%2E%2E` for `..` (WHATWG URL, section 4.1), so that escaping does not help.
            if matches!(segment, "" | "." | "..") {
                return Err(Error::new(ErrorKind::InvalidName, "a segment of a path is empty or dots alone"));
            }
            self.0.push('/');
            self.0.extend(utf8_percent_encode(segment, ESCAPED));
        }
        if self.0.len() == before {
            self.0.push('/');
        }
        Ok(self)
    }
}

impl fmt::Display for TenantUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for TenantUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<TenantUrl> for String {
    fn from(url: TenantUrl) -> Self {
        url.0
    }
}
