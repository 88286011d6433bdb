//! The host of a request: a canonical name, an address, or a refusal.

#![no_main]

use http::{HeaderMap, HeaderValue, Uri, Version};
use libfuzzer_sys::fuzz_target;
use tenancy_core::{Domain, HostError, RequestHost};

fuzz_target!(|input: (&[u8], &[u8], bool)| {
    let (host, target, http2) = input;
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(host) {
        headers.insert("host", value);
    }
    let Ok(uri) = Uri::try_from(target) else { return };
    let version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    if let Ok(host) = RequestHost::read(version, &uri, &headers, None, None)
        && let Some(name) = host.name()
    {
        assert_eq!(Domain::new(name).expect(name).as_str(), name);
        // What was read from one place reads the same from the other.
        let authority = Uri::try_from(format!("http://{name}:80/")).expect(name);
        let nothing = HeaderMap::new();
        let again = RequestHost::read(version, &authority, &nothing, None, None).expect(name);
        assert_eq!(again.name(), Some(name));
    }
    headers.append("host", HeaderValue::from_static("acme.example"));
    if headers.get_all("host").iter().count() > 1 {
        assert_eq!(RequestHost::read(version, &uri, &headers, None, None).err(), Some(HostError::Repeated));
    }
});
