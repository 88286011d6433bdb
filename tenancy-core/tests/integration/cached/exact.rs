//! What is known byte for byte is answered from memory, by the same rules as everything else, or not at all.

use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{ExactName, TenantCatalog};

use super::{acme, bench, host, id, slug};

const SLUG: ExactName<'_> = ExactName::Slug(b"acme");
const DOMAIN: ExactName<'_> = ExactName::Domain(b"acme.example");

fn acme_with_a_domain() -> tenancy_core::TenantBuilder {
    acme().with_domain("acme.example".parse().unwrap())
}

#[tokio::test]
async fn a_name_is_known_exactly_once_it_was_loaded() {
    let bench = bench(|cache| cache);
    bench.store.put(acme_with_a_domain());
    assert!(bench.cache.find_exact(SLUG).is_none());
    assert_eq!(bench.store.loads(), 0, "nothing is loaded for a glance");
    let found = bench.found(&slug("acme")).await;
    assert!(Arc::ptr_eq(&bench.cache.find_exact(SLUG).expect("it is at hand"), &found));
    assert!(bench.cache.find_exact(DOMAIN).is_none(), "nobody has asked for the domain");
    bench.found(&host("acme.example")).await;
    assert!(bench.cache.find_exact(DOMAIN).is_some());
    let stats = bench.cache.stats();
    assert_eq!((stats.hits, stats.misses), (2, 2), "what is not at hand is counted where it is looked up");
}

/// A slug is no domain, and what is only alike is nothing.
#[tokio::test]
async fn a_name_of_another_kind_or_spelling_is_not_known() {
    let bench = bench(|cache| cache);
    bench.store.put(acme_with_a_domain());
    bench.found(&slug("acme")).await;
    bench.found(&host("acme.example")).await;
    for name in [
        ExactName::Domain(b"acme"),
        ExactName::Slug(b"acme.example"),
        ExactName::Slug(b"ACME"),
        ExactName::Slug(b"acme\0"),
        ExactName::Domain(b"acme.example."),
        ExactName::Domain(b"\xFFacme.example"),
        ExactName::Slug(b""),
    ] {
        assert!(bench.cache.find_exact(name).is_none(), "{name:?}");
    }
}

/// DIR-01, DIR-02, DIR-04: what is too old, announced to be, or forgotten, is not at hand.
#[tokio::test]
async fn an_old_record_is_not_known_exactly() {
    let bench = bench(|cache| cache.with_ttl(Duration::from_secs(60)));
    bench.found(&slug("acme")).await;
    bench.clock.advance(Duration::from_nanos(59_999_999_999));
    assert!(bench.cache.find_exact(SLUG).is_some());
    bench.clock.advance(Duration::from_nanos(1));
    assert!(bench.cache.find_exact(SLUG).is_none(), "its time is over");
    bench.found(&slug("acme")).await;
    bench.cache.invalidate(&id(1), 1);
    assert!(bench.cache.find_exact(SLUG).is_some(), "it is of that version");
    bench.cache.invalidate(&id(1), 2);
    assert!(bench.cache.find_exact(SLUG).is_none(), "a newer one is announced");
    bench.store.put(acme().with_version(2));
    bench.found(&slug("acme")).await;
    assert_eq!(bench.cache.find_exact(SLUG).map(|tenant| tenant.version()), Some(2));
    bench.cache.forget(&slug("acme"));
    assert!(bench.cache.find_exact(SLUG).is_none());
    bench.found(&slug("acme")).await;
    bench.cache.flush();
    assert!(bench.cache.find_exact(SLUG).is_none());
}

/// DIR-05: a name that is remembered to be nobody's is not anybody's at a glance.
#[tokio::test]
async fn nobodys_name_is_not_known_exactly() {
    let bench = bench(|cache| cache);
    assert!(bench.find(&slug("nobody")).await.unwrap().is_none());
    assert!(bench.cache.find_exact(ExactName::Slug(b"nobody")).is_none());
}
