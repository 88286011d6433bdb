//! What a tenant is called: by its permanent id, by its renameable slug, by a request.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use crate::{Error, ErrorKind};

/// Names that databases, formats and languages give a meaning of their own. No tenant may be called so: a missing
/// value that was printed must never become somebody (CORE-05).
fn is_reserved_word(text: &str) -> bool {
    matches!(
        text,
        "default"
            | "false"
            | "global"
            | "information_schema"
            | "mysql"
            | "nan"
            | "nil"
            | "none"
            | "null"
            | "performance_schema"
            | "public"
            | "sys"
            | "template0"
            | "template1"
            | "true"
            | "undefined"
    )
}

/// Labels that a platform needs for itself (TWR-14).
fn is_reserved_label(text: &str) -> bool {
    matches!(
        text,
        "admin"
            | "api"
            | "app"
            | "assets"
            | "autoconfig"
            | "autodiscover"
            | "cdn"
            | "imap"
            | "localhost"
            | "mail"
            | "ns"
            | "pop"
            | "smtp"
            | "static"
            | "status"
            | "wpad"
            | "www"
    )
}

/// The permanent identity of a tenant: a positive integer, a UUID, or a text.
///
/// Each id has exactly one text form, so that equal ids are equal as text and the reverse (CORE-06):
///
/// | kind | canonical text | refused |
/// |---|---|---|
/// | integer | decimal digits, 1 to 2⁶³ − 1 | `0`, `007`, `-1`, `+1` |
/// | UUID | 36 characters, lower case, hyphenated (RFC 9562) | upper case, braces, 32 digits without hyphens |
/// | text | 1 to 255 bytes of `A-Z a-z 0-9 _ . -`, first and last a letter or digit, no `..` | what reads as one of the above; `null`, `public`, `pg_…` and the like |
///
/// Text ids are case-sensitive, as PostgreSQL and SQLite compare them. On MySQL give the tenant column a binary
/// collation.
///
/// The `serde` form is the canonical text, also for integers, because many JSON readers lose digits above 2⁵³.
///
/// # Examples
///
/// ```
/// use tenancy_core::TenantId;
///
/// let id: TenantId = "42".parse()?;
/// assert_eq!(id, TenantId::integer(42)?);
/// assert!("042".parse::<TenantId>().is_err());
/// assert!("../acme".parse::<TenantId>().is_err());
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "SmolStr")]
pub struct TenantId(Repr);

#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
enum Repr {
    Integer(i64),
    Uuid(Uuid),
    Text(SmolStr),
}

/// A [`TenantId`], opened: what a database column or a metric needs to know of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum TenantIdRef<'a> {
    /// A positive integer.
    Integer(i64),
    /// A UUID.
    Uuid(Uuid),
    /// A text of at most [`TenantId::MAX_TEXT_LEN`] bytes.
    Text(&'a str),
}

impl TenantId {
    /// The longest text id, in bytes.
    pub const MAX_TEXT_LEN: usize = 255;

    /// Returns the id that is the integer `value`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidId`] if `value` is zero or negative: sequences start at 1, and 0 is what an unset
    /// variable holds.
    pub fn integer(value: i64) -> Result<Self, Error> {
        if value > 0 {
            Ok(Self(Repr::Integer(value)))
        } else {
            Err(invalid("an integer tenant id is positive"))
        }
    }

    /// Returns the id that is `uuid`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidId`] for the nil and the max UUID (RFC 9562, sections 5.9 and 5.10), which stand
    /// for "none" and "all".
    pub fn uuid(uuid: Uuid) -> Result<Self, Error> {
        if uuid.is_nil() || uuid.is_max() {
            return Err(invalid("the nil and the max UUID are no tenant ids"));
        }
        Ok(Self(Repr::Uuid(uuid)))
    }

    /// Returns the id that is the text `text`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidId`] if `text` breaks the grammar of this type, is reserved, or reads as an
    /// integer or UUID.
    pub fn text(text: &str) -> Result<Self, Error> {
        check_text(text)?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid("a text tenant id does not read as an integer"));
        }
        if Uuid::try_parse(text).is_ok() {
            return Err(invalid("a text tenant id does not read as a UUID"));
        }
        Ok(Self(Repr::Text(SmolStr::new(text))))
    }

    /// Returns what kind of id this is, with its value.
    #[must_use]
    pub fn as_ref(&self) -> TenantIdRef<'_> {
        match &self.0 {
            Repr::Integer(value) => TenantIdRef::Integer(*value),
            Repr::Uuid(uuid) => TenantIdRef::Uuid(*uuid),
            Repr::Text(text) => TenantIdRef::Text(text),
        }
    }
}

impl FromStr for TenantId {
    type Err = Error;

    /// Reads the canonical text of an id.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidId`] for everything that is not canonical: nothing is trimmed, folded or padded.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
            if bytes[0] == b'0' {
                return Err(invalid("an integer tenant id has no leading zero"));
            }
            return match text.parse() {
                Ok(value) => Self::integer(value),
                Err(_) => Err(invalid("an integer tenant id is below 2^63")),
            };
        }
        if bytes.len() == 36
            && bytes[8] == b'-'
            && !bytes.iter().any(u8::is_ascii_uppercase)
            && let Ok(uuid) = Uuid::try_parse(text)
        {
            return Self::uuid(uuid);
        }
        Self::text(text)
    }
}

impl TryFrom<&str> for TenantId {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<SmolStr> for TenantId {
    type Error = Error;

    fn try_from(text: SmolStr) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<i64> for TenantId {
    type Error = Error;

    fn try_from(value: i64) -> Result<Self, Error> {
        Self::integer(value)
    }
}

impl TryFrom<Uuid> for TenantId {
    type Error = Error;

    fn try_from(uuid: Uuid) -> Result<Self, Error> {
        Self::uuid(uuid)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Integer(value) => fmt::Display::fmt(value, f),
            Repr::Uuid(uuid) => fmt::Display::fmt(uuid, f),
            Repr::Text(text) => f.pad(text),
        }
    }
}

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidId, reason)
}

fn check_text(text: &str) -> Result<(), Error> {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Err(invalid("a tenant id is not empty"));
    };
    if bytes.len() > TenantId::MAX_TEXT_LEN {
        return Err(invalid("a tenant id has at most 255 bytes"));
    }
    if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
        return Err(invalid("a tenant id holds only letters, digits, '_', '.' and '-'"));
    }
    if !first.is_ascii_alphanumeric() || !last.is_ascii_alphanumeric() || text.contains("..") {
        return Err(invalid("a tenant id begins and ends with a letter or digit and holds no '..'"));
    }
    if is_reserved(text) {
        return Err(invalid("this tenant id is reserved"));
    }
    Ok(())
}

fn is_reserved(text: &str) -> bool {
    // Nothing reserved is longer: ordinary long ids skip the copy.
    if text.len() > 24 {
        return text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("pg_"));
    }
    let starts =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    starts("pg_") || starts("sqlite_") || is_reserved_word(&text.to_ascii_lowercase())
}

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
