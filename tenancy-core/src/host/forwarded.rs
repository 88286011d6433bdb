//! What a proxy says the host was: believed from configured proxies alone, counted from the trusted side.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::authority::{Authority, Malformed};

static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The networks that a service's own proxies and gateways live in.
///
/// # Examples
///
/// ```
/// use tenancy_core::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// assert!(!proxies.contains("192.0.2.7".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

/// A network as its bits and which of them count: what a request's peer is compared with.
#[derive(Clone, Debug)]
enum Network {
    V4 { bits: u32, mask: u32 },
    V6 { bits: u128, mask: u128 },
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        match network {
            IpNet::V4(v4) => Self::V4 { bits: v4.network().to_bits(), mask: v4.netmask().to_bits() },
            IpNet::V6(v6) => Self::V6 { bits: v6.network().to_bits(), mask: v6.netmask().to_bits() },
        }
    }
}

impl Network {
    #[inline]
    fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { bits, mask }, IpAddr::V4(address)) => address.to_bits() & mask == *bits,
            (Self::V6 { bits, mask }, IpAddr::V6(address)) => address.to_bits() & mask == *bits,
            _ => false,
        }
    }
}

impl TrustedProxies {
    /// Returns the proxies that live in `networks`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().map(Network::from).collect())
    }

    /// Returns the proxies on this machine: `127.0.0.0/8` and `::1`.
    #[must_use]
    pub fn loopback() -> Self {
        let v4 = IpNet::new_assert(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), 8);
        let v6 = IpNet::new_assert(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128);
        Self::new([v4, v6])
    }

    /// Returns whether `peer` is one of the proxies. An IPv4 address inside an IPv6 one counts as the IPv4 address.
    #[must_use]
    #[inline]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(peer))
    }
}

/// The header in which the proxies hand over the host that the client asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `Forwarded: host=…` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-Host`, the older custom.
    XForwardedHost,
}

/// Reads the host from a proxy's header instead of `Host`.
///
/// A request from one of the proxies must carry the header: without it the request is refused, since the proxy's own
/// `Host` may be an internal name. From everybody else the header is ignored.
#[derive(Clone, Debug)]
pub struct ForwardedHost {
    proxies: TrustedProxies,
    header: ForwardedHeader,
    hops: usize,
}

impl ForwardedHost {
    /// Returns a rule that believes `header` when the peer is one of `proxies`.
    #[must_use]
    pub fn new(header: ForwardedHeader, proxies: TrustedProxies) -> Self {
        Self { proxies, header, hops: 1 }
    }

    /// Says how many of the service's own proxies each append one element to the header (default 1): the host is the
    /// `hops`-th element counted from the right, and what stands left of it came from the client.
    ///
    /// # Panics
    ///
    /// Panics if `hops` is 0.
    #[must_use]
    pub fn with_hops(mut self, hops: usize) -> Self {
        assert!(hops > 0, "at least one proxy appends to the header");
        self.hops = hops;
        self
    }

    /// Returns the header that is believed, for `Vary`: between the proxies and the service it names the tenant.
    pub(crate) fn header_name(&self) -> HeaderName {
        match self.header {
            ForwardedHeader::Forwarded => FORWARDED,
            ForwardedHeader::XForwardedHost => X_FORWARDED_HOST.clone(),
        }
    }

    /// Returns the authority that the proxies forwarded, or `None` if the peer is none of them.
    pub(crate) fn read<'r>(
        &self,
        headers: &'r HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<Result<Authority<'r>, Malformed>> {
        if !peer.is_some_and(|peer| self.proxies.contains(peer)) {
            return None;
        }
        Some(match self.header {
            ForwardedHeader::XForwardedHost => self.read_x_forwarded_host(headers),
            ForwardedHeader::Forwarded => self.read_forwarded(headers),
        })
    }

    fn read_x_forwarded_host<'r>(&self, headers: &'r HeaderMap) -> Result<Authority<'r>, Malformed> {
        let mut lines = headers.get_all(&X_FORWARDED_HOST).iter();
        // No standard says how lines of this header combine, so two of them are ambiguous.
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(Malformed) };
        let element = line.as_bytes().rsplit(|byte| *byte == b',').nth(self.hops - 1).ok_or(Malformed)?;
        Authority::parse(element.trim_ascii())
    }

    fn read_forwarded<'r>(&self, headers: &'r HeaderMap) -> Result<Authority<'r>, Malformed> {
        let mut hosts = Vec::new();
        for line in headers.get_all(FORWARDED) {
            parse_forwarded(line.as_bytes(), &mut hosts)?;
        }
        let at = hosts.len().checked_sub(self.hops).ok_or(Malformed)?;
        Authority::parse(hosts[at].ok_or(Malformed)?)
    }
}

/// Reads the elements of one `Forwarded` line (RFC 7239, section 4) and pushes the host of each.
///
/// Escapes inside quotes are refused rather than undone: no host needs one.
fn parse_forwarded<'r>(line: &'r [u8], hosts: &mut Vec<Option<&'r [u8]>>) -> Result<(), Malformed> {
    let mut rest = line.trim_ascii();
    loop {
        let mut host = None;
        loop {
            let (name, value, after) = parse_pair(rest)?;
            if name.eq_ignore_ascii_case(b"host") && host.replace(value).is_some() {
                return Err(Malformed);
            }
            rest = after;
            match rest {
                [b';', tail @ ..] => rest = tail,
                _ => break,
            }
        }
        hosts.push(host);
        match rest.trim_ascii_start() {
            [] => return Ok(()),
            [b',', tail @ ..] => rest = tail.trim_ascii_start(),
            _ => return Err(Malformed),
        }
    }
}

type Pair<'r> = (&'r [u8], &'r [u8], &'r [u8]);

fn parse_pair(text: &[u8]) -> Result<Pair<'_>, Malformed> {
    let equals = text.iter().position(|byte| !is_token(*byte)).ok_or(Malformed)?;
    let (name, value) = (&text[..equals], &text[equals..]);
    let [b'=', value @ ..] = value else { return Err(Malformed) };
    if name.is_empty() {
        return Err(Malformed);
    }
    if let [b'"', quoted @ ..] = value {
        let end = quoted.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(Malformed)?;
        return if quoted[end] == b'"' {
            Ok((name, &quoted[..end], &quoted[end + 1..]))
        } else {
            Err(Malformed)
        };
    }
    let end = value.iter().position(|byte| !is_token(*byte)).unwrap_or(value.len());
    if end == 0 { Err(Malformed) } else { Ok((name, &value[..end], &value[end..])) }
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Addresses near each other, so that many are in one network.
    fn addresses() -> impl Strategy<Value = IpAddr> {
        let v4 =
            (0_u32..8, any::<u32>()).prop_map(|(near, far)| Ipv4Addr::from_bits((near << 29) | (far & 7)));
        let v6 =
            (0_u128..8, any::<u128>()).prop_map(|(near, far)| Ipv6Addr::from_bits((near << 125) | (far & 7)));
        prop_oneof![
            v4.clone().prop_map(IpAddr::V4),
            v6.prop_map(IpAddr::V6),
            v4.prop_map(|v4| v4.to_ipv6_mapped().into())
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn a_proxy_is_in_a_network_where_the_network_says_so(at in addresses(), peer in addresses(), bits in 0_u8..=128) {
            let longest = if at.is_ipv4() { 32 } else { 128 };
            // Networks near the longest and the shortest, where it is near whether an address is inside.
            let bits = if bits > 120 { longest - (128 - bits) } else { bits % 4 };
            let network = IpNet::new(at, bits).unwrap();
            let proxies = TrustedProxies::new([network]);
            prop_assert_eq!(proxies.contains(peer), network.contains(&peer.to_canonical()), "{} in {}", peer, network);
        }
    }
}
