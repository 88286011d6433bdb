//! What strategies read: exactly what was written, or a refusal (TWR-23 to TWR-35).

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use tenancy_core::{
    CookieStrategy, Domain, DomainStrategy, HeaderStrategy, NamedBy, PathStrategy, QueryStrategy,
    RequestHead, Signal, SignalError, Strategy as Reads, SubdomainStrategy, TenantKey, Trust, TrustedProxies,
};

use super::{asked, config, request};

/// Makes a weak signal count, so that the catalog is asked about it: for looking at what was read.
#[derive(Debug)]
struct Believed<S>(S);

impl<S: Reads> Reads for Believed<S> {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let signal = self.0.read(head)?;
        Ok(signal.map(|signal| Signal { trust: Trust::Strong, ..signal }))
    }
}

fn slug(key: Option<TenantKey<'static>>) -> Option<String> {
    match key? {
        TenantKey::Slug(slug) => Some(slug.as_str().to_owned()),
        _ => None,
    }
}

fn id(key: Option<TenantKey<'static>>) -> Option<String> {
    match key? {
        TenantKey::Id(id) => Some(id.to_string()),
        _ => None,
    }
}

fn path_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(/|//|\\.|\\.\\.|%2e|%2E|%2f|%5c|%00|%|%4|%61|t|acme|[a-z0-9-]{1,6}|;|\\\\){0,10}",
        "/t/[a-z0-9-]{1,10}(/[a-zA-Z0-9._~%-]{0,6}){0,4}",
        "/[!-~]{0,30}",
    ]
}

/// The segments that a reader sees which decodes and resolves before it splits, as some proxies do.
fn resolved(path: &str) -> Option<Vec<String>> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?.replace('\\', "/");
    let mut segments = Vec::new();
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other.to_owned()),
        }
    }
    Some(segments)
}

proptest! {
    #![proptest_config(config())]

    /// TWR-30 to TWR-35: a proxy that decodes and resolves paths sees the tenant that the strategy sees, or there is
    /// none; and a path that such a proxy takes for a tenant's is not passed over.
    #[test]
    fn a_path_has_the_same_tenant_for_every_reader(path in path_text()) {
        // No request has a path that begins otherwise.
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let strategy = PathStrategy::new("/t").unwrap();
        // Nor one with such a sign as `<`, which no target may have.
        let Some(request) = request(&path, &[]) else { return Ok(()) };
        let theirs = resolved(&path);
        match strategy.locate(&path) {
            Ok(Some(found)) => {
                let read = asked(strategy.clone(), &request);
                if let Some(slug) = slug(read) {
                    prop_assert_eq!(&slug, found.segment);
                    if let Some(theirs) = theirs {
                        prop_assert_eq!(&theirs[..2], &["t".to_owned(), slug], "{}", path);
                    }
                }
                prop_assert!(found.rest.is_empty() || found.rest.starts_with('/'));
                prop_assert_eq!(&path[found.rest_at..], found.rest);
            }
            Ok(None) => {
                let tenant = theirs.is_some_and(|theirs| theirs.len() > 1 && theirs[0] == "t");
                prop_assert!(!tenant, "{} was passed over", path);
            }
            Err(error) => prop_assert!(matches!(error, SignalError::Malformed(_))),
        }
    }

    #[test]
    fn a_tenant_that_was_put_into_a_path_is_read_back(name in "[a-z][a-z0-9]{1,9}", rest in "(/[a-z0-9.]{1,5}x){0,3}") {
        prop_assume!(tenancy_core::TenantSlug::new(&name).is_ok());
        for (prefix, strategy) in [("/t", "/t"), ("", "/"), ("/a/b", "/a/b/")] {
            let path = format!("{prefix}/{name}{rest}");
            let strategy = PathStrategy::new(strategy).unwrap();
            prop_assert_eq!(strategy.locate(&path).unwrap().unwrap().rest, &rest);
            prop_assert_eq!(slug(asked(strategy, &request(&path, &[]).unwrap())), Some(name.clone()));
        }
    }

    /// TWR-23 to TWR-26: the header's bytes are the id, or the request is refused.
    #[test]
    fn a_header_is_read_as_it_is_or_refused(
        value in prop_oneof![proptest::collection::vec(any::<u8>(), 0..20), "[a-zA-Z0-9._-]{1,12}".prop_map(String::into_bytes)],
    ) {
        let strategy = HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback());
        let Some(once) = request("/", &[("x-tenant-id", &value)]) else { return Ok(()) };
        let read = id(asked(strategy.clone(), &once));
        if let Some(read) = &read {
            prop_assert_eq!(read.as_bytes(), &*value);
        }
        let valid = std::str::from_utf8(&value).is_ok_and(|text| text.parse::<tenancy_core::TenantId>().is_ok());
        prop_assert_eq!(read.is_some(), valid);
        let twice = request("/", &[("x-tenant-id", &value), ("x-tenant-id", &value)]).unwrap();
        prop_assert_eq!(asked(strategy, &twice), None);
    }

    /// A query names a tenant as a form decoder would see it, or not at all: never one that the handler does not see.
    #[test]
    fn a_query_is_read_as_a_form_decoder_reads_it(query in "(tenant|te%6eant|%74enant|x|tenant\\+|Tenant|)(=[a-z0-9%+=]{0,5})?(&(tenant|ten%61nt|y)(=[a-z0-9]{0,4})?){0,2}") {
        let strategy = Believed(QueryStrategy::new("tenant").with_named_by(NamedBy::Slug));
        let read = slug(asked(strategy, &request(&format!("/?{query}"), &[]).unwrap()));
        let named: Vec<String> = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
            (decode(name) == "tenant").then(|| decode(value))
        }).collect();
        match read {
            Some(read) => prop_assert_eq!(named, [read]),
            // What the decoder finds is refused when it is repeated, encoded or no slug.
            None => prop_assert!(named.len() != 1 || query.contains(['%', '+']) || tenancy_core::TenantSlug::new(&named[0]).is_err()),
        }
    }

    /// A cookie that any reader could take for the tenant's is read or refused.
    #[test]
    fn a_cookie_is_read_by_its_exact_name_alone(line in "( ?(tenant|Tenant|xtenant|a)[ \t]?=?[ \t]?[a-z\"%]{0,5};?){0,4}") {
        let strategy = Believed(CookieStrategy::new("tenant").with_named_by(NamedBy::Slug));
        let Some(request) = request("/", &[("cookie", line.as_bytes())]) else { return Ok(()) };
        let named: Vec<&str> = line.split(';').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.trim() == "tenant").then(|| value.trim())
        }).collect();
        match slug(asked(strategy, &request)) {
            Some(read) => prop_assert_eq!(named, [read]),
            None => prop_assert!(named.len() != 1 || tenancy_core::TenantSlug::new(named[0]).is_err()),
        }
    }

    /// TWR-11 to TWR-14: one whole label below the base, or nobody.
    #[test]
    fn a_subdomain_is_one_whole_label(labels in proptest::collection::vec("[a-z0-9-]{1,6}", 0..4), glue in "[.]?") {
        let host = format!("{}{glue}app.example", labels.join("."));
        let Some(sent) = request("/", &[("host", host.as_bytes())]) else { return Ok(()) };
        let strategy = SubdomainStrategy::new([Domain::new("app.example").unwrap()]);
        if let Some(read) = slug(asked(strategy, &sent)) {
            prop_assert_eq!(host, format!("{read}.app.example"));
        }
        let domains = DomainStrategy::new().with_base_domains([Domain::new("app.example").unwrap()]);
        if let Some(TenantKey::Domain(read)) = asked(domains, &sent) {
            prop_assert!(!Domain::new(&read).unwrap().is_within(&Domain::new("app.example").unwrap()));
        }
    }
}
