//! Host names: the canonical [`Domain`], and the one strict reading of a request's host.

mod authority;
mod forwarded;
mod request;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use unicode_security::MixedScript;

pub(crate) use authority::{Host, canonical_name, is_plain_name};
pub use forwarded::{ForwardedHeader, ForwardedHost, TrustedProxies};
pub use request::{HostError, RequestHost};
pub(crate) use request::{Repeated, first_host_line, said_once, single};

use crate::{Error, ErrorKind};

/// A host name in its one canonical form: ASCII (IDNA, UTS #46), lower case, no trailing dot, no port.
///
/// 1 to 253 bytes, labels of 1 to 63 bytes of `a-z 0-9 -` that neither begin nor end with a hyphen (RFC 1123,
/// section 2.1); punycode labels decode and encode back to themselves. IP addresses are no domains.
///
/// # Examples
///
/// ```
/// use tenancy_core::Domain;
///
/// assert_eq!(Domain::new("Shop.Bücher.example.")?.as_str(), "shop.xn--bcher-kva.example");
/// assert!(Domain::new("127.0.0.1").is_err());
/// assert!(Domain::new("acme.example:443").is_err());
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(into = "SmolStr", try_from = "SmolStr")]
pub struct Domain(SmolStr);

impl Domain {
    /// The longest domain, in bytes, without the trailing dot (RFC 1035, section 2.3.4).
    pub const MAX_LEN: usize = 253;

    /// Returns the domain that `text` spells, which may be Unicode, of any case, with one trailing dot.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidDomain`] if `text` is not a host name.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| Error::new(ErrorKind::InvalidDomain, "a domain is a host name"))?;
        match canonical_name(ascii.as_bytes()) {
            Ok(Host::Name(name)) => Ok(Self(SmolStr::new(name.as_str()))),
            Ok(Host::Address(_)) => Err(Error::new(ErrorKind::InvalidDomain, "an IP address is no domain")),
            Err(_) => Err(Error::new(ErrorKind::InvalidDomain, "a domain is a host name")),
        }
    }

    /// Returns the domain as ASCII text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the domain as people read it, with its punycode labels decoded.
    #[must_use]
    pub fn to_unicode(&self) -> Cow<'_, str> {
        Uts46::new().to_unicode(self.0.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast).0
    }

    /// Returns whether the name can only mean something inside somebody's own network: `localhost`, single labels,
    /// and the special-use names of RFC 6761, RFC 6762, RFC 8375 and ICANN's `.internal`.
    ///
    /// Proxies send such names when they rewrite `Host`, so no tenant may own one (TWR-22).
    #[must_use]
    pub fn is_internal(&self) -> bool {
        let name = self.as_str();
        let top = name.rsplit('.').next().unwrap_or(name);
        top == name || matches!(top, "localhost" | "local" | "internal" | "arpa" | "lan" | "corp" | "home")
    }

    /// Returns whether one of the labels mixes scripts, such as a Cyrillic `а` among Latin letters (UTS #39,
    /// section 5.1): the usual way to imitate another name.
    #[must_use]
    pub fn is_mixed_script(&self) -> bool {
        self.to_unicode().split('.').any(|label| !label.is_single_script())
    }

    /// Returns whether this domain is `base` itself or below it, comparing whole labels.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::Domain;
    ///
    /// let base = Domain::new("ex.com")?;
    /// assert!(Domain::new("a.ex.com")?.is_within(&base));
    /// assert!(!Domain::new("evilex.com")?.is_within(&base));
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    #[must_use]
    pub fn is_within(&self, base: &Domain) -> bool {
        self == base || labels_below(self.as_str(), base.as_str()).is_some()
    }
}

/// Returns what stands before `.base` in `name`, if `name` is below `base`.
pub(crate) fn labels_below<'a>(name: &'a str, base: &str) -> Option<&'a str> {
    name.strip_suffix(base)?.strip_suffix('.').filter(|labels| !labels.is_empty())
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Domain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<SmolStr> for Domain {
    type Error = Error;

    fn try_from(text: SmolStr) -> Result<Self, Error> {
        Self::new(&text)
    }
}

impl From<Domain> for SmolStr {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}
