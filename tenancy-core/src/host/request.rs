//! The one strict reading of a request's host.

use std::fmt;
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::authority::{Authority, Host};
use super::forwarded::ForwardedHost;

/// Why a request has no readable host. Each of these is a 400 before any catalog is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum HostError {
    /// There is no `Host` and no authority; on HTTP/2 and later, no `:authority` (RFC 9113, section 8.3.1).
    Missing,
    /// `Host` stands there more than once (RFC 9112, section 3.2).
    Repeated,
    /// The request target and `Host` name different hosts or ports.
    Mismatch,
    /// What names the host is not `host[:port]`.
    Malformed,
    /// The proxy's header, which is to name the host, is missing or unreadable.
    Forwarded,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request names no host",
            Self::Repeated => "the request has more than one host header",
            Self::Mismatch => "the request target and the host header disagree",
            Self::Malformed => "the request's host is malformed",
            Self::Forwarded => "the forwarded host is missing or malformed",
        })
    }
}

impl std::error::Error for HostError {}

/// The host that a request is addressed to, in canonical form.
#[derive(Clone, Debug)]
pub struct RequestHost<'r>(Option<Host<'r>>);

impl<'r> RequestHost<'r> {
    /// Reads the host of a request, or of the proxy's header where `forwarded` says so.
    ///
    /// hyper and the frameworks above it hand through repeated, empty, contradicting and malformed hosts; this
    /// is the place that refuses them (TWR-01 to TWR-07, TWR-17).
    ///
    /// # Errors
    ///
    /// Returns [`HostError`] for everything but one host, said once or the same each time.
    pub fn read(
        version: Version,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        peer: Option<IpAddr>,
        forwarded: Option<&ForwardedHost>,
    ) -> Result<Self, HostError> {
        let mut host = Self::NONE;
        host.read_into(version, uri, headers, peer, forwarded)?;
        Ok(host)
    }

    pub(crate) const NONE: Self = Self(None);

    /// As [`RequestHost::read`], in place, and as a part of whoever calls it: every request passes here.
    #[inline(always)]
    pub(crate) fn read_into(
        &mut self,
        version: Version,
        uri: &'r Uri,
        headers: &'r HeaderMap,
        peer: Option<IpAddr>,
        forwarded: Option<&ForwardedHost>,
    ) -> Result<(), HostError> {
        let line = host_line(headers)?;
        if let Some(target) = uri.authority() {
            self.0 = read_target(target.as_str(), line)?;
        } else if let Some(line) = line {
            let Ok(host) = Host::parse(line.as_bytes()) else { return Err(HostError::Malformed) };
            // `host` alone must not win where `:authority` is the rule (TWR-03).
            if version >= Version::HTTP_2 {
                return Err(HostError::Missing);
            }
            self.0 = Some(host);
        }
        match forwarded {
            Some(rule) => self.read_forwarded(rule, headers, peer),
            None => Ok(()),
        }
    }

    /// Takes what the proxy's header says instead, where `rule` believes it.
    fn read_forwarded(
        &mut self,
        rule: &ForwardedHost,
        headers: &'r HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(), HostError> {
        match rule.read(headers, peer) {
            Some(Ok(authority)) => self.0 = Some(authority.host),
            Some(Err(_)) => return Err(HostError::Forwarded),
            None => {}
        }
        Ok(())
    }

    /// Returns the host name in canonical form, or `None` for an IP address, or where the request names no host.
    #[must_use]
    #[inline]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Some(Host::Name(name)) => Some(name.as_str()),
            _ => None,
        }
    }

    /// Returns whether the request names any host, be it an address.
    #[must_use]
    #[inline]
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }
}

/// A header stands there more than once.
pub(crate) struct Repeated;

/// Returns the only line of a header, if there is one.
pub(crate) fn single<'r>(
    headers: &'r HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'r HeaderValue>, Repeated> {
    // Where no header at all stands there twice, as in most requests, that need not be asked of this one.
    if headers.len() == headers.keys_len() {
        return Ok(if headers.len() <= FEW { sought_in_few(headers, name) } else { headers.get(name) });
    }
    let mut lines = headers.get_all(name).iter();
    let line = lines.next();
    if lines.next().is_some() { Err(Repeated) } else { Ok(line) }
}

/// So many lines are looked through in less work than a name is hashed.
const FEW: usize = 8;

#[inline(always)]
fn sought_in_few<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    headers.iter().find(|(known, _)| *known == name).map(|(_, line)| line)
}

/// Returns the one `Host`, if there is one.
#[inline]
fn host_line(headers: &HeaderMap) -> Result<Option<&HeaderValue>, HostError> {
    match first_host_line(headers) {
        Some(line) => Ok(Some(line)),
        None => single(headers, &HOST).map_err(|Repeated| HostError::Repeated),
    }
}

/// Returns the one `Host` where it is the first line, as in most requests (RFC 9110, section 7.2), and need not be
/// searched for.
#[inline]
pub(crate) fn first_host_line(headers: &HeaderMap) -> Option<&HeaderValue> {
    let (name, line) = headers.iter().next()?;
    (*name == HOST && headers.len() == headers.keys_len()).then_some(line)
}

/// Returns what names the host, unread, where the request says it in one way: as it is read by [`RequestHost::read`] if it
/// is a name in canonical form, and else perhaps refused.
#[inline]
pub(crate) fn said_once<'r>(version: Version, uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r [u8]> {
    let line = host_line(headers).ok()?.map(HeaderValue::as_bytes);
    match uri.authority() {
        None if version < Version::HTTP_2 => line,
        None => None,
        Some(target) => {
            let target = target.as_str().as_bytes();
            line.is_none_or(|line| line == target).then_some(target)
        }
    }
}

/// Reads the host from an authority in the request's target, with which a header must agree.
fn read_target<'r>(target: &'r str, line: Option<&'r HeaderValue>) -> Result<Option<Host<'r>>, HostError> {
    let parse = |bytes| Authority::parse(bytes).map_err(|_| HostError::Malformed);
    let header = line.map(|line| parse(line.as_bytes())).transpose()?;
    let target = parse(target.as_bytes())?;
    match header {
        Some(header) if !agree(&target, &header) => Err(HostError::Mismatch),
        _ => Ok(Some(target.host)),
    }
}

/// One side may leave out the port, as a default port is left out; two ports must be equal.
fn agree(target: &Authority<'_>, header: &Authority<'_>) -> bool {
    let ports = match (target.port, header.port) {
        (Some(target), Some(header)) => target == header,
        _ => true,
    };
    ports && target.host == header.host
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many lines there are, the way in which one is sought finds it, and sees that there are two.
    #[test]
    fn a_line_is_found_and_two_are_seen_among_few_and_among_many() {
        let name = HeaderName::from_static("x-tenant-id");
        let tenant = HeaderValue::from_static("acme");
        for others in 0..3 * FEW {
            let mut headers = HeaderMap::new();
            for other in 0..others {
                let other = HeaderName::try_from(format!("x-tenant-id{other}")).unwrap();
                headers.append(other, HeaderValue::from_static("globex"));
            }
            assert!(matches!(single(&headers, &name), Ok(None)), "{others}");
            headers.append(&name, tenant.clone());
            assert!(matches!(single(&headers, &name), Ok(Some(line)) if *line == tenant), "{others}");
            headers.append(&name, tenant.clone());
            assert!(single(&headers, &name).is_err(), "{others}");
        }
    }
}
