//! What proxies say: a canonical name, an address, or a refusal; and never the client's part of the line.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue, Uri, Version};
use libfuzzer_sys::fuzz_target;
use tenancy_core::{Domain, ForwardedHeader, ForwardedHost, RequestHost, TrustedProxies};

fn read(name: &'static str, header: ForwardedHeader, lines: &[Vec<u8>], hops: usize) -> Option<String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).ok()?);
    }
    let rule = ForwardedHost::new(header, TrustedProxies::loopback()).with_hops(hops);
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let uri = Uri::from_static("/");
    let host = RequestHost::read(Version::HTTP_11, &uri, &headers, peer, Some(&rule)).ok()?;
    host.name().map(str::to_owned)
}

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (line, hops) = input;
    let hops = usize::from(hops % 4) + 1;
    for (name, header) in
        [("forwarded", ForwardedHeader::Forwarded), ("x-forwarded-host", ForwardedHeader::XForwardedHost)]
    {
        if let Some(found) = read(name, header, &[line.clone()], hops) {
            assert_eq!(Domain::new(&found).expect(&found).as_str(), found);
        }
    }
    // What our own proxy appends is what counts, whatever a client sent before it, unless that cannot be read.
    let ours = b"host=ours.example".to_vec();
    let found = read("forwarded", ForwardedHeader::Forwarded, &[line.clone(), ours], 1);
    assert!(found.is_none_or(|found| found == "ours.example"));
    let appended = [&line[..], b", ours.example"].concat();
    let found = read("x-forwarded-host", ForwardedHeader::XForwardedHost, &[appended], 1);
    assert!(found.is_none_or(|found| found == "ours.example"));
});
