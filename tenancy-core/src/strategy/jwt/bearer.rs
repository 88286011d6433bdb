//! Finding the token in a request.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::TokenError;
use crate::host::{Repeated, single};

/// Which header carries the token, and how.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// `Authorization: Bearer <token>` (RFC 6750, section 2.1).
    Bearer,
    /// A header whose whole value is the token.
    Whole(HeaderName),
}

impl Carrier {
    pub(super) fn name(&self) -> &HeaderName {
        match self {
            Self::Bearer => &AUTHORIZATION,
            Self::Whole(name) => name,
        }
    }

    /// Returns the token's bytes, unchecked but for where they stand, or `None` if the request carries no token.
    ///
    /// What tries to be a bearer token and is none is malformed and never absent (TWR-59).
    #[inline]
    pub(super) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h [u8]>, TokenError> {
        // TWR-46: whichever of two were picked, somebody else picks the other.
        let line = single(headers, self.name()).map_err(|Repeated| TokenError::Repeated)?;
        let Some(line) = line else { return Ok(None) };
        let value = line.as_bytes();
        if matches!(self, Self::Whole(_)) {
            return Ok(Some(value));
        }
        match after_bearer(value) {
            Some(token) => Ok(Some(token)),
            None => check_other_scheme(value).map(|()| None),
        }
    }
}

/// Returns what follows the scheme `Bearer` and a blank, if it is not empty. Schemes know no capitals (RFC 9110, section
/// 11.1).
#[inline(always)]
fn after_bearer(value: &[u8]) -> Option<&[u8]> {
    // Eight bytes in one step, of which the last is the token's.
    const SCHEME: u64 = u64::from_be_bytes(*b"bearer \0");
    const CASE: u64 = u64::from_be_bytes([0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0, 0]);
    let first = u64::from_be_bytes(*value.first_chunk()?);
    ((first | CASE) >> 8 == SCHEME >> 8).then(|| &value[b"bearer ".len()..])
}

/// Whether `token` consists of what a compact token may consist of: the rest of the header's syntax.
pub(super) fn is_compact(token: &[u8]) -> bool {
    !token.is_empty()
        && token.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Accepts credentials of another scheme as no token of ours, if that is what they certainly are.
#[cold]
fn check_other_scheme(value: &[u8]) -> Result<(), TokenError> {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let plain = !scheme.is_empty() && scheme.iter().all(is_tchar);
    let printable = rest.iter().all(|byte| matches!(byte, b' '..=b'~'));
    // Proxies join two header lines with a comma: `Basic …, Bearer …`.
    let hides_bearer = rest.split(|byte| *byte == b',').any(|part| begins_with_bearer(part.trim_ascii()));
    if plain && printable && !begins_with_bearer(scheme) && !hides_bearer {
        Ok(())
    } else {
        Err(TokenError::MalformedHeader)
    }
}

fn begins_with_bearer(text: &[u8]) -> bool {
    text.get(..b"bearer".len()).is_some_and(|head| head.eq_ignore_ascii_case(b"bearer"))
}

/// RFC 9110, section 5.6.2.
fn is_tchar(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
