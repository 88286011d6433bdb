//! What a tenant is called: by its permanent id, by its renameable slug, by a request.

mod key;
mod reserved;
mod slug;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

pub use key::TenantKey;
pub use slug::TenantSlug;

use crate::{Error, ErrorKind};
use reserved::is_reserved;

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
/// Text ids are case-sensitive, as PostgreSQL and SQLite compare them. On MySQL, whose usual collations are not, use
/// small letters or give the tenant column a binary collation.
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

#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
enum Repr {
    Integer(i64),
    Uuid(Uuid),
    Text(SmolStr),
}

/// Without the kind, which a look-up by id would pay for: ids of different kinds hardly ever have one hash, and are told
/// apart by [`Eq`].
impl Hash for Repr {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Integer(value) => value.hash(state),
            Self::Uuid(uuid) => uuid.hash(state),
            Self::Text(text) => text.hash(state),
        }
    }
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

    /// Returns the id that `bytes` spell, if they are up to 18 digits, without a leading zero: what most ids in requests
    /// are. Of everything else it says nothing.
    #[inline]
    pub(crate) fn from_short_integer(bytes: &[u8]) -> Option<Self> {
        if !(1..=18).contains(&bytes.len()) || bytes[0] == b'0' {
            return None;
        }
        let mut value = 0;
        for byte in bytes {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        Some(Self(Repr::Integer(value)))
    }

    /// Returns the id whose canonical text is `bytes`, if they are one.
    #[inline]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_short_integer(bytes).or_else(|| std::str::from_utf8(bytes).ok()?.parse().ok())
    }

    /// Returns what kind of id this is, with its value.
    #[must_use]
    #[inline]
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
        if let Some(id) = Self::from_short_integer(bytes) {
            return Ok(id);
        }
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
