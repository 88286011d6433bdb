//! The renameable name of a tenant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::reserved::{is_reserved_label, is_reserved_word};
use crate::octets::{others, seek};
use crate::{Error, ErrorKind};

/// The name of a tenant in URLs: one lower-case DNS label, which may be renamed.
///
/// 1 to 63 bytes of `a-z 0-9 -`, first and last a letter or digit, at least one letter, no `--` at the third place
/// (RFC 5890, section 2.3.1: such labels are reserved, `xn--` among them), and none of the names that a platform needs
/// for itself (`www`, `api`, `admin` …).
///
/// A slug is compared as it is written. Text from a request is never folded into one: an upper-case slug in a path is
/// refused, so that one tenant has one spelling in caches, logs and limits.
///
/// # Examples
///
/// ```
/// use tenancy_core::TenantSlug;
///
/// assert_eq!(TenantSlug::new("acme")?.as_str(), "acme");
/// assert!(TenantSlug::new("www").is_err());
/// assert!(TenantSlug::new("Acme").is_err());
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(into = "SmolStr", try_from = "SmolStr")]
pub struct TenantSlug(SmolStr);

impl TenantSlug {
    /// The longest slug, in bytes (RFC 1035, section 2.3.4).
    pub const MAX_LEN: usize = 63;

    /// Returns the slug that is `text`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidSlug`] if `text` breaks the grammar of this type or is reserved.
    pub fn new(text: &str) -> Result<Self, Error> {
        check_slug(text).map_err(|reason| Error::new(ErrorKind::InvalidSlug, reason))?;
        Ok(Self(SmolStr::new(text)))
    }

    /// Returns the slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_slug(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > TenantSlug::MAX_LEN {
        return Err("a tenant slug has 1 to 63 bytes");
    }
    // No more than lower-case letters and digits, and a letter in front, as most slugs are: nothing is left to ask but
    // whether it is reserved.
    if bytes[0].is_ascii_lowercase() && seek(bytes, 0, others) == bytes.len() {
        return check_reserved(text);
    }
    let mut letter = false;
    for byte in bytes {
        match byte {
            b'a'..=b'z' => letter = true,
            b'0'..=b'9' | b'-' => {}
            _ => return Err("a tenant slug holds only lower-case letters, digits and '-'"),
        }
    }
    if !letter {
        return Err("a tenant slug holds at least one letter");
    }
    if bytes[0] == b'-' || bytes[bytes.len() - 1] == b'-' {
        return Err("a tenant slug begins and ends with a letter or digit");
    }
    if bytes.get(2..4) == Some(b"--") {
        return Err("a tenant slug has no '--' at its third place");
    }
    check_reserved(text)
}

fn check_reserved(text: &str) -> Result<(), &'static str> {
    if is_reserved_word(text) || is_reserved_label(text) {
        return Err("this tenant slug is reserved");
    }
    Ok(())
}

impl AsRef<str> for TenantSlug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for TenantSlug {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl TryFrom<SmolStr> for TenantSlug {
    type Error = Error;

    fn try_from(text: SmolStr) -> Result<Self, Error> {
        Self::new(&text)
    }
}

impl From<TenantSlug> for SmolStr {
    fn from(slug: TenantSlug) -> Self {
        slug.0
    }
}
