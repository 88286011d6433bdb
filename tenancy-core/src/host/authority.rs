//! `host[:port]`, read strictly, byte by byte.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::Domain;
use crate::octets::{are_plain_labels, others, seek};

/// Where a request is addressed to: a name in canonical form, or an IP address, which never names a tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Host<'r> {
    Name(HostName<'r>),
    /// Behind a pointer, so that a name is moved in few words.
    Address(Box<IpAddr>),
}

/// A host name in canonical form. Kept as bytes, which most requests only compare: of all bytes of a name it is known
/// that they are ASCII.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HostName<'r>(Cow<'r, [u8]>);

impl HostName<'_> {
    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a host name is ASCII")
    }
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
    /// Reads `host[:port]`, as [`Host::parse`] does.
    pub(crate) fn parse(bytes: &'r [u8]) -> Result<Self, Malformed> {
        let host = Host::parse(bytes)?;
        let after_name = bytes.iter().rposition(|byte| *byte == b']').map_or(bytes, |end| &bytes[end..]);
        let digits = after_name.split(|byte| *byte == b':').nth(1);
        Ok(Self { host, port: digits.map(parse_port).transpose()? })
    }
}

impl<'r> Host<'r> {
    /// Reads the host of `host[:port]`. User info, lists, blanks, percent encoding, an empty port and bytes above 0x7F
    /// are malformed: what a lenient parser drops, an attacker can use to make two parsers disagree.
    #[inline(always)]
    pub(crate) fn parse(bytes: &'r [u8]) -> Result<Self, Malformed> {
        if is_plain_name(bytes) {
            return Ok(Self::Name(HostName(Cow::Borrowed(bytes))));
        }
        Self::parse_looked_at(bytes)
    }

    fn parse_looked_at(bytes: &'r [u8]) -> Result<Self, Malformed> {
        if bytes.first() == Some(&b'[') {
            return Self::parse_ipv6(bytes);
        }
        let (shape, stop) = scan(bytes)?;
        if stop < bytes.len() {
            parse_port(&bytes[stop + 1..])?;
        }
        shape.canonical(bytes)
    }

    #[cold]
    fn parse_ipv6(bytes: &[u8]) -> Result<Self, Malformed> {
        let end = bytes.iter().position(|byte| *byte == b']').ok_or(Malformed)?;
        let address = std::str::from_utf8(&bytes[1..end]).map_err(|_| Malformed)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Malformed)?;
        match &bytes[end + 1..] {
            [] => {}
            [b':', digits @ ..] => drop(parse_port(digits)?),
            _ => return Err(Malformed),
        }
        Ok(Self::Address(Box::new(address.into())))
    }
}

/// Whether `bytes` are a host name in canonical form at a glance, as most are: where it says no, it may be wrong. No label
/// is longer than the whole, and the last is no number.
#[inline(never)]
pub(crate) fn is_plain_name(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_LABEL && are_plain_labels(bytes)
}

/// The longest label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

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
    /// Where the name ends, without the trailing dot.
    end: usize,
}

/// Reads a host name in any case, with at most one trailing dot, into canonical form; borrows where it already is.
pub(crate) fn canonical_name(bytes: &[u8]) -> Result<Host<'_>, Malformed> {
    let (shape, stop) = scan(bytes)?;
    if stop < bytes.len() {
        return Err(Malformed);
    }
    shape.canonical(bytes)
}

impl Shape {
    #[inline(always)]
    fn canonical<'r>(&self, bytes: &'r [u8]) -> Result<Host<'r>, Malformed> {
        let name = &bytes[..self.end];
        // "Ends in a number" (WHATWG URL, section 3.5): every such name is an IPv4 address or an error.
        if is_numeric(&name[self.last_label..]) {
            return parse_ipv4(name);
        }
        if self.upper || self.hyphens {
            return self.fold(name);
        }
        Ok(Host::Name(HostName(Cow::Borrowed(name))))
    }

    /// What few names need: letters brought to lower case, punycode looked at.
    #[cold]
    fn fold<'r>(&self, name: &'r [u8]) -> Result<Host<'r>, Malformed> {
        let name = HostName(if self.upper { name.to_ascii_lowercase().into() } else { name.into() });
        if self.hyphens && name.as_str().split('.').any(|label| label.starts_with("xn--")) {
            check_punycode(name.as_str())?;
        }
        Ok(Host::Name(name))
    }
}

#[cold]
fn parse_ipv4<'r>(name: &[u8]) -> Result<Host<'r>, Malformed> {
    let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
    let address = name.parse::<Ipv4Addr>().map_err(|_| Malformed)?;
    Ok(Host::Address(Box::new(address.into())))
}

/// Reads a name up to a colon or the end, and returns where it stopped. Every request pays for this loop: it passes
/// over what most bytes are, and looks closer at the others alone.
#[inline(always)]
fn scan(bytes: &[u8]) -> Result<(Shape, usize), Malformed> {
    let mut shape = Shape::default();
    let (mut at, mut label) = (0, 0);
    loop {
        at = seek(bytes, at, others);
        match bytes.get(at) {
            None | Some(b':') => break,
            Some(b'.') if is_whole_label(bytes, label, at) => {
                shape.last_label = label;
                label = at + 1;
            }
            Some(b'-') if at > label => shape.hyphens |= bytes[at - 1] == b'-',
            Some(b'A'..=b'Z') => shape.upper = true,
            _ => return Err(Malformed),
        }
        at += 1;
    }
    let has_trailing_dot = label == at && at > 0;
    if has_trailing_dot {
        shape.end = at - 1;
    } else if is_whole_label(bytes, label, at) {
        (shape.last_label, shape.end) = (label, at);
    } else {
        return Err(Malformed);
    }
    if shape.end > Domain::MAX_LEN { Err(Malformed) } else { Ok((shape, at)) }
}

/// Whether what the bytes of a label do not say by themselves is right: 1 to 63 of them, and no hyphen at the end.
#[inline]
fn is_whole_label(bytes: &[u8], from: usize, to: usize) -> bool {
    (1..=MAX_LABEL).contains(&(to - from)) && bytes[to - 1] != b'-'
}

#[inline]
fn is_numeric(digits: &[u8]) -> bool {
    // Both forms begin with a digit, which most labels do not.
    if !digits.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `host[:port]` by the book: split, then look at each part. What the one-pass reader must equal.
    fn by_the_book(text: &str) -> Option<(Option<String>, Option<u16>)> {
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => {
                let sound =
                    (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
                (name, Some(sound.then(|| digits.parse().ok()).flatten()?))
            }
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let sound = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(sound) {
            return None;
        }
        let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        let hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.parse::<Ipv4Addr>().ok().map(|_| (None, port));
        }
        Some((Some(name.to_ascii_lowercase()), port))
    }

    fn in_one_pass(text: &str) -> Option<(Option<String>, Option<u16>)> {
        let authority = Authority::parse(text.as_bytes()).ok()?;
        let name = match authority.host {
            Host::Name(name) => Some(name.as_str().to_owned()),
            Host::Address(_) => None,
        };
        Some((name, authority.port))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn one_pass_reads_what_the_book_says(text in "[a-cA-C0-2xX.:_ -]{0,14}") {
            prop_assert_eq!(in_one_pass(&text), by_the_book(&text));
        }

        #[test]
        fn at_a_glance_a_host_is_what_a_close_look_finds(text in "[a-c0-2xX.:-]{0,20}|[a-f][a-f0-9]{0,30}([.][a-fx][a-f0-9]{0,30}){0,3}") {
            prop_assert_eq!(Host::parse(text.as_bytes()), Host::parse_looked_at(text.as_bytes()));
        }

        #[test]
        fn one_pass_reads_long_names_as_the_book_says(labels in prop::collection::vec("[a-z0-9]{58,66}", 1..6)) {
            let text = labels.join(".");
            prop_assert_eq!(in_one_pass(&text), by_the_book(&text));
        }
    }

    #[test]
    fn lengths_are_met_to_the_byte() {
        let label = |len: usize| "a".repeat(len);
        let name = |last: usize| [label(63), label(63), label(63), label(last)].join(".");
        assert!(in_one_pass(&label(63)).is_some() && in_one_pass(&label(64)).is_none());
        assert!(in_one_pass(&name(61)).is_some() && in_one_pass(&name(62)).is_none());
        assert!(in_one_pass(&format!("{}.:443", name(61))).is_some());
    }

    #[test]
    fn no_byte_but_the_few_of_the_grammar_passes() {
        for byte in 0..=u8::MAX {
            let text = [b'a', byte, b'b'];
            let allowed = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            assert_eq!(Host::parse(&text).is_ok(), allowed, "{byte:#04x}");
        }
    }
}
