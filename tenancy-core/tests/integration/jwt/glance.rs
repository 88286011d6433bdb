//! A token that was verified before is no more than a glance, and means what it meant.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use proptest::prelude::*;
use serde_json::json;
use tenancy_core::jwt::{JwtStrategy, TokenVerifier};
use tenancy_core::{
    HostError, NamedBy, RejectionReason, ResolveInput, Resolver, SignalError, TenantCatalog, TenantResolver,
    TenantStatus,
};

use super::resolution::{ACME, ROOT, catalog, resolve};
use super::{NOW, TestClock, builder, claims, hs256, id, issuer, secret_key, simple};
use crate::glance::{Wrong, cached, known, requests, same};

/// One that takes the claim for what `named_by` says.
fn verifier(named_by: NamedBy) -> TokenVerifier {
    let issuer = issuer().with_key(secret_key());
    let builder = builder(&TestClock::new()).with_tenant_claim("tenant_id", named_by);
    builder.with_optional_tenant_claim().with_issuer(issuer).build().unwrap()
}

fn plain_request() -> Request<()> {
    Request::builder().header("host", "app.example").body(()).unwrap()
}

/// What may stand in `Authorization`: good tokens of tenants that are served or not, and what is none.
fn credentials() -> impl Strategy<Value = String> {
    let tenants = ["1", "2", "5", "7", "acme", "late", "nobody", "ACME"];
    let mut tokens: Vec<_> = tenants.iter().map(|name| hs256(&claims(json!({"tenant_id": name})))).collect();
    tokens.push(hs256(&claims(json!({"tenant_id": null}))));
    tokens.push(hs256(&claims(json!({"exp": NOW - 1}))));
    tokens.push("e.e.e".to_owned());
    tokens.push(String::new());
    let schemes = prop::sample::select(vec!["Bearer ", "Bearer ", "bearer ", "Bearer", "Bearer  ", "Basic "]);
    (schemes, prop::sample::select(tokens)).prop_map(|(scheme, token)| format!("{scheme}{token}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::parsing::config().cases / 2, ..crate::parsing::config() })]

    /// TWR-01 to TWR-17, TWR-46, TWR-59: remembered or not, it names whom a close look finds, at the same hosts.
    #[test]
    fn at_a_glance_a_token_names_whom_a_close_look_finds(
        mut request in prop_oneof![requests(), Just(plain_request())],
        lines in prop::collection::vec(credentials(), 0..3),
    ) {
        for line in lines {
            request.headers_mut().append("authorization", line.parse().unwrap());
        }
        let wrong: Arc<dyn TenantCatalog> = Arc::new(Wrong(known()));
        for catalog in [known() as Arc<dyn TenantCatalog>, cached(), wrong] {
            for named_by in [NamedBy::Id, NamedBy::Slug] {
                let strategy = JwtStrategy::new(verifier(named_by));
                for _ in 0..2 {
                    same(&catalog, strategy.clone(), &request);
                }
            }
        }
    }
}

/// A resolver of tokens alone, by a clock of its own, and a request with a good one that it has seen.
fn seen() -> (Resolver, TokenVerifier, TestClock, String) {
    let clock = TestClock::new();
    let verifier = simple(&clock);
    let tokens = Resolver::builder(catalog()).with_strategy(JwtStrategy::new(verifier.clone()));
    let (resolver, token) = (tokens.build().unwrap(), hs256(&claims(json!({}))));
    let value = format!("Bearer {token}");
    for _ in 0..2 {
        assert_eq!(resolve(&resolver, &[ROOT, ("authorization", value.as_bytes())]).as_deref(), Ok("acme"));
    }
    assert_eq!(verifier.cached_tokens(), 1);
    (resolver, verifier, clock, value)
}

#[test]
fn a_token_that_was_seen_ends_when_it_expires() {
    let (resolver, _, clock, value) = seen();
    let resolve = || resolve(&resolver, &[ROOT, ("authorization", value.as_bytes())]);
    clock.pass(Duration::from_secs(3599));
    assert_eq!(resolve().as_deref(), Ok("acme"));
    clock.pass(Duration::from_secs(1));
    assert_eq!(resolve(), Err(RejectionReason::Signal(SignalError::InvalidToken)));
}

#[test]
fn a_token_that_was_seen_ends_when_it_is_revoked() {
    let (resolver, verifier, _, value) = seen();
    verifier
        .revoke_tenant(&tenancy_core::TenantKey::Id(id(1)), std::time::UNIX_EPOCH + Duration::from_secs(NOW));
    let outcome = resolve(&resolver, &[ROOT, ("authorization", value.as_bytes())]);
    assert_eq!(outcome, Err(RejectionReason::Signal(SignalError::InvalidToken)));
}

/// TWR-01 to TWR-05: a token does not excuse a host that nobody can read.
#[test]
fn a_token_that_was_seen_counts_at_a_readable_host_alone() {
    let (resolver, _, _, value) = seen();
    let token = ("authorization", value.as_bytes());
    assert_eq!(resolve(&resolver, &[ACME, token]).as_deref(), Ok("acme"));
    for host in ["a b", "app.example,acme.app.example", "user@app.example", "app.example:", ""] {
        let outcome = resolve(&resolver, &[("host", host.as_bytes()), token]);
        assert_eq!(outcome, Err(RejectionReason::Host(HostError::Malformed)), "{host:?}");
    }
    assert!(resolve(&resolver, &[ROOT, ACME, token]).is_err());
    assert!(resolve(&resolver, &[ROOT, token, token]).is_err());
}

/// TWR-48, DIR-01.
#[test]
fn a_token_that_was_seen_opens_no_suspended_tenant() {
    let catalog = catalog();
    let strategy = JwtStrategy::new(simple(&TestClock::new()));
    let resolver = Resolver::builder(Arc::clone(&catalog) as _).with_strategy(strategy).build().unwrap();
    let value = format!("Bearer {}", hs256(&claims(json!({}))));
    let mut request = plain_request();
    request.headers_mut().insert("authorization", value.parse().unwrap());
    let is_served = || match resolver.resolve(ResolveInput::new(&request, None)) {
        tenancy_core::Resolution::Ready(answer) => answer.is_ok(),
        tenancy_core::Resolution::Later(_) => panic!("all is at hand"),
    };
    assert!(is_served() && is_served());
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    assert!(!is_served());
    catalog.set_status(&id(1), TenantStatus::Active).unwrap();
    assert!(is_served());
}
