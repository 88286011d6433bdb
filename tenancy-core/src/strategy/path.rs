//! The tenant in the path: `/t/{tenant}/…` or `/{tenant}/…`.

use super::{NamedBy, RequestHead, Signal, SignalError, SignalKind, Strategy, Trust, parse_key};
use crate::octets::{any_of, any_pair, seek};
use crate::{Error, ErrorKind};

/// Reads the tenant from the first path segment, or from the one behind a fixed prefix.
///
/// Percent encoding in the tenant's segment, dot segments and empty segments anywhere in the path are refused, encoded
/// or not: a proxy and a router may read them as different tenants (TWR-30 to TWR-35).
///
/// # Examples
///
/// ```
/// use tenancy_core::PathStrategy;
///
/// let below_prefix = PathStrategy::new("/t")?; // /t/acme/orders
/// let at_root = PathStrategy::new("/")?; // /acme/orders
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathStrategy {
    /// Without the slash at its end.
    prefix: Box<str>,
    named_by: NamedBy,
}

impl PathStrategy {
    /// Returns a strategy that reads the segment behind `prefix` as a slug.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if `prefix` does not begin with a slash or is no plain path.
    pub fn new(prefix: &str) -> Result<Self, Error> {
        let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
        let plain = trimmed.is_empty() || trimmed.starts_with('/');
        if prefix.is_empty() || !plain || trimmed.contains(['%', '?', '#']) || !is_plain(trimmed) {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a path prefix is a plain absolute path",
            ));
        }
        Ok(Self { prefix: trimmed.into(), named_by: NamedBy::Slug })
    }

    /// Sets whether the segment holds the tenant's slug (default) or its id.
    #[must_use]
    pub fn with_named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = named_by;
        self
    }

    pub(crate) fn names_slugs(&self) -> bool {
        self.named_by == NamedBy::Slug
    }

    /// Returns where the tenant's segment stands in `path`, or `None` if the path is not below the prefix.
    ///
    /// # Errors
    ///
    /// Returns [`SignalError::Malformed`] if the path is below the prefix and no tenant can be read from it.
    #[inline]
    pub fn locate<'p>(&self, path: &'p str) -> Result<Option<TenantPath<'p>>, SignalError> {
        let malformed = Err(SignalError::Malformed(SignalKind::Path));
        if !is_plain(path) {
            // Which prefix such a path is below depends on who resolves it.
            return malformed;
        }
        let Some(rest) = self.below_prefix(path).and_then(|rest| rest.strip_prefix('/')) else {
            // To a reader that decodes first, `/%74/acme` is below `/t`.
            return if self.is_below_once_decoded(path) { malformed } else { Ok(None) };
        };
        let (segment, _) = rest.split_at(seek(rest.as_bytes(), 0, |word| any_of(word, *b"/")));
        if segment.is_empty() {
            return if self.prefix.is_empty() { Ok(None) } else { malformed };
        }
        let rest_at = self.prefix.len() + 1 + segment.len();
        Ok(Some(TenantPath { segment, rest: &path[rest_at..], rest_at }))
    }

    /// Returns what follows the prefix. One by one: most prefixes are so short that a call would be more work.
    #[inline]
    fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let (prefix, rest) = path.split_at_checked(self.prefix.len())?;
        prefix.bytes().zip(self.prefix.bytes()).all(|(a, b)| a == b).then_some(rest)
    }

    /// Returns the segment that [`PathStrategy::locate`] finds, where the path is plain at a glance.
    #[inline]
    pub(crate) fn segment_at_a_glance<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let (prefix, rest) = path.split_at_checked(self.prefix.len())?;
        let is_below = prefix.iter().zip(self.prefix.as_bytes()).all(|(a, b)| a == b);
        let rest = rest.strip_prefix(b"/").filter(|_| is_below && is_plain_at_a_glance(path))?;
        let end = seek(rest, 0, |word| any_of(word, *b"/"));
        if end > 0 { Some(&rest[..end]) } else { None }
    }

    fn is_below_once_decoded(&self, path: &str) -> bool {
        path.contains('%') && {
            let mut decoded = percent_encoding::percent_decode_str(path);
            self.prefix.bytes().chain([b'/']).all(|byte| decoded.next() == Some(byte))
        }
    }
}

/// A path with its tenant's segment found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TenantPath<'p> {
    /// The segment that names the tenant.
    pub segment: &'p str,
    /// What follows it: empty, or beginning with a slash.
    pub rest: &'p str,
    /// Where `rest` begins, in bytes.
    pub rest_at: usize,
}

impl Strategy for PathStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(found) = self.locate(head.uri.path())? else { return Ok(None) };
        let key = parse_key(SignalKind::Path, self.named_by, found.segment)?;
        Ok(Some(Signal { kind: SignalKind::Path, key, trust: Trust::Strong }))
    }
}

/// Whether every reader of `path` sees the same segments: no empty one but the last, no dot segment, and no encoded
/// slash, backslash, dot or NUL that some would decode first.
fn is_plain(path: &str) -> bool {
    is_plain_at_a_glance(path.as_bytes()) || is_plain_looked_at(path.as_bytes())
}

/// Whether the path holds no escape and no backslash, and neither a slash nor a dot behind a slash: so do most. Where it
/// says no, it may be wrong.
fn is_plain_at_a_glance(bytes: &[u8]) -> bool {
    let odd = |before, byte| {
        ((byte == b'%') | (byte == b'\\')) | ((before == b'/') & ((byte == b'/') | (byte == b'.')))
    };
    !any_pair(0, bytes, odd)
}

#[cold]
fn is_plain_looked_at(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| matches!(byte, b'/' | b'%' | b'\\')) {
        let here = at + offset;
        let ok = match bytes[here] {
            b'/' => !starts_with_odd_segment(&bytes[here + 1..]),
            b'%' => bytes.get(here + 1..here + 3).is_some_and(is_harmless_escape),
            _ => false,
        };
        if !ok {
            return false;
        }
        at = here + 1;
    }
    true
}

fn starts_with_odd_segment(rest: &[u8]) -> bool {
    match rest {
        [b'/', ..] => true,
        [b'.', after @ ..] => matches!(after, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]),
        _ => false,
    }
}

fn is_harmless_escape(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
        && !matches!(
            [digits[0].to_ascii_lowercase(), digits[1].to_ascii_lowercase()],
            [b'2', b'e' | b'f'] | [b'5', b'c'] | [b'0', b'0']
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        /// TWR-30 to TWR-35: the glance lets through nothing that a close look refuses.
        #[test]
        fn what_is_plain_at_a_glance_is_plain(path in "[ab/.%\\\\$]{0,20}") {
            prop_assert!(!is_plain_at_a_glance(path.as_bytes()) || is_plain_looked_at(path.as_bytes()));
        }

        #[test]
        fn ordinary_paths_are_plain_at_a_glance(path in "(/[a-z0-9_-][a-z0-9._-]{0,12}){1,6}") {
            prop_assert!(is_plain_at_a_glance(path.as_bytes()));
        }
    }
}
