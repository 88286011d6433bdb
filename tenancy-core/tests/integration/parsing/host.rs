//! The host of a request: one name, or a refusal (TWR-01 to TWR-18, TWR-21).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue, Uri, Version};
use proptest::prelude::*;
use tenancy_core::{Domain, ForwardedHeader, ForwardedHost, HostError, RequestHost, TrustedProxies};

use super::config;

const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

fn by_header(host: &[u8]) -> Option<Result<Option<String>, HostError>> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_bytes(host).ok()?);
    Some(read(&Uri::from_static("/"), &headers, None))
}

fn read(
    uri: &Uri,
    headers: &HeaderMap,
    forwarded: Option<&ForwardedHost>,
) -> Result<Option<String>, HostError> {
    let host = RequestHost::read(Version::HTTP_11, uri, headers, PEER, forwarded)?;
    Ok(host.name().map(str::to_owned))
}

fn forwarded(lines: &[&[u8]], hops: usize) -> Option<Result<Option<String>, HostError>> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("forwarded", HeaderValue::from_bytes(line).ok()?);
    }
    let rule = ForwardedHost::new(ForwardedHeader::Forwarded, TrustedProxies::loopback()).with_hops(hops);
    Some(read(&Uri::from_static("/"), &headers, Some(&rule)))
}

fn host_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[a-zA-Z0-9.:@\\[\\]%/,_ -]{0,40}".prop_map(String::into_bytes),
        "[a-zA-Z0-9-]{1,10}(\\.[a-zA-Z0-9-]{1,10}){0,4}\\.?(:[0-9]{0,6})?".prop_map(String::into_bytes),
        "(xn--[a-z0-9-]{0,10}\\.){1,2}[a-z]{1,3}".prop_map(String::into_bytes),
        "\\[[0-9a-f:.%]{0,20}\\](:[0-9]{1,5})?".prop_map(String::into_bytes),
        any::<Ipv4Addr>().prop_map(|address| address.to_string().into_bytes()),
        any::<Ipv6Addr>().prop_map(|address| format!("[{address}]:80").into_bytes()),
    ]
}

/// What every reader of hosts must agree on, in the plainest words: the oracle for the byte-by-byte one.
fn plainly(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    if port.is_some_and(|port| {
        port.is_empty()
            || port.len() > 5
            || !port.bytes().all(|b| b.is_ascii_digit())
            || port.parse::<u16>().is_err()
    }) {
        return None;
    }
    if !name.is_ascii() {
        return None;
    }
    // `Domain` reads Unicode and goes by IDNA's own tables; what it accepts of ASCII is a host name.
    Domain::new(name)
        .ok()
        .filter(|domain| *domain.as_str() == *name.to_ascii_lowercase().trim_end_matches('.'))
        .map(|domain| domain.as_str().to_owned())
}

proptest! {
    #![proptest_config(config())]

    /// The strict reader and the plain description find the same name, or none.
    #[test]
    fn a_host_names_what_its_domain_would_be(bytes in host_bytes()) {
        if let Some(host) = by_header(&bytes) {
            prop_assert_eq!(host.unwrap_or(None), plainly(&bytes));
        }
    }

    /// A name that was read is canonical, and reads as itself wherever it stands.
    #[test]
    fn a_name_that_was_read_is_canonical_everywhere(bytes in host_bytes(), port in 0_u16..) {
        let Some(Ok(Some(name))) = by_header(&bytes) else { return Ok(()) };
        let domain = Domain::new(&name).unwrap();
        prop_assert_eq!(domain.as_str(), &name);
        for again in [name.clone(), format!("{name}."), name.to_ascii_uppercase(), format!("{name}:{port}")] {
            prop_assert_eq!(by_header(again.as_bytes()).unwrap().unwrap().unwrap(), name.clone());
        }
        let target = format!("http://{name}:{port}/x").parse::<Uri>().unwrap();
        prop_assert_eq!(read(&target, &HeaderMap::new(), None).unwrap().unwrap(), name.clone());
        let quoted = format!("for=x;host=\"{name}:{port}\"");
        prop_assert_eq!(forwarded(&[quoted.as_bytes()], 1).unwrap().unwrap().unwrap(), name);
    }

    /// No two names from one request: two places that say different things are refused (TWR-02, TWR-03).
    #[test]
    fn target_and_header_agree_or_nothing_is_read(a in "[a-z]{1,3}\\.example", b in "[a-z]{1,3}\\.example") {
        let uri = format!("http://{a}/").parse::<Uri>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(&b).unwrap());
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
            let host = RequestHost::read(version, &uri, &headers, None, None);
            if a == b {
                let host = host.unwrap();
                prop_assert_eq!(host.name(), Some(&*a));
            } else {
                prop_assert_eq!(host.err(), Some(HostError::Mismatch));
            }
        }
        headers.append("host", HeaderValue::from_str(&b).unwrap());
        prop_assert_eq!(read(&uri, &headers, None), Err(HostError::Repeated));
    }

    /// TWR-21: an element that was written by the rules is read back, whatever stands in the others; counted from the
    /// right.
    #[test]
    fn the_forwarded_host_is_the_one_that_the_last_proxies_wrote(
        theirs in proptest::collection::vec("(host=[a-z]{1,4}\\.evil|for=\"[ -!#-\\[\\]-~]{0,8}\"|proto=https)", 0..3),
        ours in proptest::collection::vec("[a-z]{1,4}\\.example", 1..3),
        split in any::<bool>(),
    ) {
        let mut elements = theirs;
        elements.extend(ours.iter().map(|host| format!("for=10.0.0.1;HOST=\"{host}\";proto=https")));
        let lines: Vec<String> = if split { elements } else { vec![elements.join(", ")] };
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let found = forwarded(&lines, ours.len()).unwrap().unwrap().unwrap();
        prop_assert_eq!(&found, &ours[0]);
    }

    /// From anything else there comes a refusal or a canonical name, and no panic.
    #[test]
    fn any_forwarded_line_is_a_canonical_name_or_a_refusal(
        line in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "([a-z]{1,4}|host|HOST)?=?(\"?[a-z.:\\\\ ]{0,10}\"?)?([;,] ?(host=[a-z.]{1,9}|[a-z\"=;, ]{0,9})){0,4}"
                .prop_map(String::into_bytes),
        ],
        hops in 1_usize..4,
    ) {
        match forwarded(&[&line], hops) {
            Some(Ok(Some(name))) => {
                let domain = Domain::new(&name).unwrap();
                prop_assert_eq!(domain.as_str(), &name);
                let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
                prop_assert!(text.contains("host=") && text.contains(&name), "{} from {}", name, text);
            }
            Some(Err(error)) => prop_assert_eq!(error, HostError::Forwarded),
            // An address, or bytes that are no header.
            Some(Ok(None)) | None => {}
        }
    }
}
