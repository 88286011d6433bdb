//! `host[:port]`, read strictly, byte by byte.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::Domain;

/// Where a request is addressed to: a name in canonical form, or an IP address, which never names a tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Host<'r> {
    Name(Cow<'r, str>),
    Address(IpAddr),
}

/// The text is no `host[:port]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// `host[:port]` (RFC 3986, section 3.2, without user info).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Authority<'r> {
    pub(crate) host: Host<'r>,
    pub(crate) port: Option<u16>,
}

impl<'r> Authority<'r> {
    /// Reads `host[:port]`. User info, lists, blanks, percent encoding, an empty port and bytes above 0x7F are
    /// malformed: what a lenient parser drops, an attacker can use to make two parsers disagree.
    pub(crate) fn parse(bytes: &'r [u8]) -> Result<Self, Malformed> {
        if bytes.first() == Some(&b'[') {
            return Self::parse_ipv6(bytes);
        }
        let (name, port) = match bytes.iter().rposition(|byte| *byte == b':') {
            Some(colon) => (&bytes[..colon], Some(parse_port(&bytes[colon + 1..])?)),
            None => (bytes, None),
        };
        Ok(Self { host: canonical_name(name)?, port })
    }

    fn parse_ipv6(bytes: &'r [u8]) -> Result<Self, Malformed> {
        let end = bytes.iter().position(|byte| *byte == b']').ok_or(Malformed)?;
        let address = std::str::from_utf8(&bytes[1..end]).map_err(|_| Malformed)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Malformed)?;
        let port = match &bytes[end + 1..] {
            [] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return Err(Malformed),
        };
        Ok(Self { host: Host::Address(address.into()), port })
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, Malformed> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// What one pass over the bytes of a name found.
#[derive(Default)]
struct Shape {
    upper: bool,
    hyphens: bool,
    last_label: usize,
}

/// Reads a host name in any case, with at most one trailing dot, into canonical form; borrows where it already is.
pub(crate) fn canonical_name(bytes: &[u8]) -> Result<Host<'_>, Malformed> {
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    let shape = scan(bytes)?;
    let name = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    // "Ends in a number" (WHATWG URL, section 3.5): every such name is an IPv4 address or an error.
    if is_numeric(&name[shape.last_label..]) {
        let address = name.parse::<Ipv4Addr>().map_err(|_| Malformed)?;
        return Ok(Host::Address(address.into()));
    }
    let name = if shape.upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) };
    if shape.hyphens && name.split('.').any(|label| label.starts_with("xn--")) {
        check_punycode(&name)?;
    }
    Ok(Host::Name(name))
}

fn scan(bytes: &[u8]) -> Result<Shape, Malformed> {
    if bytes.is_empty() || bytes.len() > Domain::MAX_LEN {
        return Err(Malformed);
    }
    let mut shape = Shape::default();
    let mut previous = b'.';
    for (at, byte) in bytes.iter().copied().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'A'..=b'Z' => shape.upper = true,
            b'-' if previous != b'.' => shape.hyphens |= previous == b'-',
            b'.' if previous != b'.' && previous != b'-' && at - shape.last_label <= 63 => {
                shape.last_label = at + 1;
            }
            _ => return Err(Malformed),
        }
        previous = byte;
    }
    let complete = previous != b'.' && previous != b'-' && bytes.len() - shape.last_label <= 63;
    if complete { Ok(shape) } else { Err(Malformed) }
}

fn is_numeric(label: &str) -> bool {
    let digits = label.as_bytes();
    digits.iter().all(u8::is_ascii_digit)
        || (digits.len() >= 2
            && digits[0] == b'0'
            && digits[1] | 0x20 == b'x'
            && digits[2..].iter().all(u8::is_ascii_hexdigit))
}

/// A punycode label must decode to a valid label and encode back to itself, else two texts could mean one name
/// (TWR-15, RUSTSEC-2024-0421). What it decodes to is encoded anew: a label that hides another punycode label inside is
/// valid to a decoder, and not to whoever reads what came out.
fn check_punycode(name: &str) -> Result<(), Malformed> {
    let uts46 = Uts46::new();
    let (unicode, valid) = uts46.to_unicode(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    valid.map_err(|_| Malformed)?;
    let ascii = uts46
        .to_ascii(unicode.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| Malformed)?;
    if ascii == name { Ok(()) } else { Err(Malformed) }
}
