//! Finding the token in a request.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::TokenError;

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
        let mut lines = headers.get_all(self.name()).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            // TWR-46: whichever of the two were picked, somebody else picks the other.
            return Err(TokenError::Repeated);
        }
        let value = line.as_bytes();
        if matches!(self, Self::Whole(_)) {
            return Ok(Some(value));
        }
        match value.split_at_checked(b"bearer ".len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(Some(token)),
            _ => check_other_scheme(value).map(|()| None),
        }
    }
}

/// Whether `token` consists of what a compact token may consist of: the rest of the header's syntax.
pub(super) fn is_compact(token: &[u8]) -> bool {
    !token.is_empty()
        && token.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Accepts credentials of another scheme as no token of ours, if that is what they certainly are.
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
