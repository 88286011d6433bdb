//! Tokens among the other signals of a request.

use std::sync::Arc;

use http::Request;
use serde_json::json;
use tenancy_core::jwt::{JwtStrategy, TokenVerifier};
use tenancy_core::{
    Domain, HeaderStrategy, Membership, MembershipAnswer, MemoryCatalog, RejectionReason, RequestHead,
    Resolution, ResolveInput, Resolver, ResolverBuilder, SignalError, SignalKind, SubdomainStrategy, Tenant,
    TenantResolver, TenantStatus, TrustedProxies,
};

use super::jwks::NeverAnswers;
use super::{TestClock, builder, claims, good_claims, hs256, id, issuer, simple};

pub(super) fn catalog() -> Arc<MemoryCatalog> {
    let catalog = MemoryCatalog::new();
    for (number, slug) in [(1, "acme"), (2, "globex")] {
        catalog.insert(Tenant::builder(id(number), slug.parse().unwrap()).build().unwrap()).unwrap();
    }
    Arc::new(catalog)
}

fn base() -> SubdomainStrategy {
    SubdomainStrategy::new([Domain::new("app.example").unwrap()])
}

fn trusted_header() -> HeaderStrategy {
    HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback())
}

fn strategy() -> JwtStrategy {
    JwtStrategy::new(simple(&TestClock::new()))
}

fn agreeing() -> Resolver {
    let builder = Resolver::builder(catalog()).with_strategy(strategy());
    builder.with_strategy(trusted_header()).with_strategy(base()).build().unwrap()
}

fn ordered() -> Resolver {
    Resolver::builder(catalog()).with_usual_order(strategy(), trusted_header(), base()).build().unwrap()
}

fn bearer(tenant: &str) -> String {
    format!("Bearer {}", hs256(&claims(json!({"tenant_id": tenant}))))
}

/// What a request with these headers, from a trusted proxy, comes to: a tenant's slug, or why not.
pub(super) fn resolve(resolver: &Resolver, headers: &[(&str, &[u8])]) -> Result<String, RejectionReason> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    match resolver.resolve(ResolveInput::new(&request, Some("127.0.0.1".parse().unwrap()))) {
        Resolution::Ready(Ok(context)) => Ok(context.slug().to_string()),
        Resolution::Ready(Err(rejection)) => Err(rejection.reason()),
        Resolution::Later(_) => panic!("all is at hand"),
    }
}

pub(super) const ROOT: (&str, &[u8]) = ("host", b"app.example");
pub(super) const ACME: (&str, &[u8]) = ("host", b"acme.app.example");
const GLOBEX: (&str, &[u8]) = ("host", b"globex.app.example");

#[test]
fn a_token_alone_names_the_tenant() {
    for resolver in [agreeing(), ordered()] {
        assert_eq!(resolve(&resolver, &[ROOT, ("authorization", bearer("1").as_bytes())]).unwrap(), "acme");
        assert_eq!(resolve(&resolver, &[ROOT, ("authorization", bearer("2").as_bytes())]).unwrap(), "globex");
        let nobody = resolve(&resolver, &[ROOT, ("authorization", bearer("3").as_bytes())]);
        assert_eq!(nobody, Err(RejectionReason::UnknownTenant));
        assert_eq!(resolve(&resolver, &[ROOT]), Err(RejectionReason::NoTenant));
    }
}

#[test]
fn twr_27_a_header_that_contradicts_the_token_refuses_the_request() {
    let token = bearer("1");
    let with = |id: &'static [u8]| {
        resolve(&agreeing(), &[ROOT, ("authorization", token.as_bytes()), ("x-tenant-id", id)])
    };
    assert_eq!(with(b"1").unwrap(), "acme");
    assert_eq!(with(b"2"), Err(RejectionReason::Conflict));
    assert_eq!(with(b"77"), Err(RejectionReason::Conflict), "whether there is a 77 is not said");
}

#[test]
fn twr_28_twr_55_a_token_is_good_on_its_own_tenants_host_alone() {
    let token = bearer("1");
    let on = |host| resolve(&agreeing(), &[host, ("authorization", token.as_bytes())]);
    assert_eq!(on(ACME).unwrap(), "acme");
    assert_eq!(on(GLOBEX), Err(RejectionReason::Conflict));
    assert_eq!(on(("host", b"nobody.app.example")), Err(RejectionReason::Conflict));
}

/// M25: in the usual order a verified token decides, and no header beside it.
#[test]
fn the_usual_order_is_token_then_header_then_subdomain() {
    let token = bearer("1");
    let (token, header) = (("authorization", token.as_bytes()), ("x-tenant-id", &b"2"[..]));
    assert_eq!(resolve(&ordered(), &[GLOBEX, token, header]).unwrap(), "acme");
    assert_eq!(resolve(&ordered(), &[ACME, header]).unwrap(), "globex");
    assert_eq!(resolve(&ordered(), &[ACME]).unwrap(), "acme");
    // The header still needs a proxy that vouches for it.
    let request =
        Request::builder().header("host", "acme.app.example").header("x-tenant-id", "2").body(()).unwrap();
    let Resolution::Ready(Err(rejection)) = ordered().resolve(ResolveInput::new(&request, None)) else {
        panic!("refused at once")
    };
    assert_eq!(rejection.reason(), RejectionReason::UntrustedSignal);
}

#[test]
fn twr_46_two_tokens_are_none() {
    let (one, two) = (bearer("1"), bearer("2"));
    let repeated = Err(RejectionReason::Signal(SignalError::Repeated(SignalKind::Token)));
    for resolver in [agreeing(), ordered()] {
        for second in [&two, &one, &"Basic eDp5".to_owned()] {
            let headers = [ACME, ("authorization", one.as_bytes()), ("authorization", second.as_bytes())];
            assert_eq!(resolve(&resolver, &headers), repeated);
        }
        assert!(resolve(&resolver, &[ACME, ("authorization", one.as_bytes())]).is_ok());
    }
}

#[test]
fn twr_59_a_malformed_bearer_is_never_absent() {
    let good = hs256(&good_claims());
    let malformed: &[&[u8]] = &[
        b"",
        b"Bearer",
        b"Bearer ",
        b"bearer",
        b"Bearertoken",
        b"Bearer\ttoken",
        b"Bearer  two.blanks.here",
        b"Bearer a b",
        b"Bearer token=",
        b"Bearer \xE9.b.c",
        b"Bearer a.b.c, Bearer d.e.f",
        b"Basic eDp5, Bearer a.b.c",
        b"Digest username=\"x\",bearer a.b.c",
        b"Basic \x80",
        b", Bearer a.b.c",
        b"\"Bearer\" a.b.c",
    ];
    let invalid: &[&[u8]] = &[b"Bearer a", b"Bearer a.b.c", b"Bearer ...", b"bEARER none"];
    for resolver in [agreeing(), ordered()] {
        for value in malformed {
            let outcome = resolve(&resolver, &[ACME, ("authorization", value), ("x-tenant-id", b"1")]);
            let expected = RejectionReason::Signal(SignalError::Malformed(SignalKind::Token));
            assert_eq!(outcome, Err(expected), "{}", String::from_utf8_lossy(value));
        }
        for value in invalid {
            let outcome = resolve(&resolver, &[ACME, ("authorization", value), ("x-tenant-id", b"1")]);
            assert_eq!(outcome, Err(RejectionReason::Signal(SignalError::InvalidToken)));
        }
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let value = format!("{scheme} {good}");
            assert_eq!(resolve(&resolver, &[ROOT, ("authorization", value.as_bytes())]).unwrap(), "acme");
        }
    }
}

#[test]
fn credentials_of_another_scheme_are_no_token() {
    for value in ["Basic eDp5", "Digest username=\"x\", realm=\"y\"", "Negotiate abc==", "DPoP a.b.c"] {
        let outcome = resolve(&agreeing(), &[ACME, ("authorization", value.as_bytes())]);
        assert_eq!(outcome.unwrap(), "acme", "{value}");
        let alone = resolve(&agreeing(), &[ROOT, ("authorization", value.as_bytes())]);
        assert_eq!(alone, Err(RejectionReason::NoTenant), "{value}");
    }
}

#[test]
fn every_invalid_token_looks_the_same() {
    let wrong = [
        json!({"exp": 1}),
        json!({"aud": "other"}),
        json!({"iss": "https://other.example"}),
        json!({"tenant_id": 5}),
        json!({"tenant_id": ["1", "2"]}),
    ];
    for changes in wrong {
        let value = format!("Bearer {}", hs256(&claims(changes)));
        let outcome = resolve(&agreeing(), &[ROOT, ("authorization", value.as_bytes())]);
        assert_eq!(outcome, Err(RejectionReason::Signal(SignalError::InvalidToken)));
    }
}

#[test]
fn keys_that_are_not_at_hand_are_worth_another_try() {
    let verifier =
        builder(&TestClock::new()).with_issuer(issuer().with_jwks_source(NeverAnswers)).build().unwrap();
    let resolver = Resolver::builder(catalog()).with_strategy(JwtStrategy::new(verifier)).build().unwrap();
    let request = Request::builder().header("authorization", bearer("1")).body(()).unwrap();
    let Resolution::Ready(Err(rejection)) = resolver.resolve(ResolveInput::new(&request, None)) else {
        panic!("refused at once")
    };
    assert_eq!(rejection.reason(), RejectionReason::Signal(SignalError::KeysUnavailable));
    assert!(rejection.retry_after().is_some());
}

#[test]
fn a_gateways_own_header_carries_the_whole_token() {
    let verifier = builder(&TestClock::new())
        .with_header("x-assertion".parse().unwrap())
        .with_issuer(issuer().with_key(super::secret_key()))
        .build()
        .unwrap();
    let resolver = Resolver::builder(catalog()).with_strategy(JwtStrategy::new(verifier)).build().unwrap();
    let token = hs256(&good_claims());
    assert_eq!(resolve(&resolver, &[("x-assertion", token.as_bytes())]).unwrap(), "acme");
    assert_eq!(resolver.vary(), ["x-assertion"]);
    let elsewhere = resolve(&resolver, &[("authorization", bearer("1").as_bytes())]);
    assert_eq!(elsewhere, Err(RejectionReason::NoTenant));
    let prefixed = resolve(&resolver, &[("x-assertion", bearer("1").as_bytes())]);
    assert_eq!(prefixed, Err(RejectionReason::Signal(SignalError::Malformed(SignalKind::Token))));
}

/// Only who holds a token of the tenant learns that it is suspended.
#[test]
fn twr_48_a_tokens_holder_learns_that_his_tenant_is_suspended() {
    let catalog = catalog();
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    let resolver =
        Resolver::builder(catalog).with_strategy(strategy()).with_strategy(base()).build().unwrap();
    let holder = resolve(&resolver, &[ACME, ("authorization", bearer("1").as_bytes())]);
    assert_eq!(holder, Err(RejectionReason::Inactive(TenantStatus::Suspended)));
    assert_eq!(resolve(&resolver, &[ACME]), Err(RejectionReason::UnknownTenant));
}

#[derive(Debug)]
struct ByScope(TokenVerifier);

impl Membership for ByScope {
    fn check(&self, _: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer {
        match self.0.verify_request(head.headers) {
            Ok(Some(token)) if token.has_scope("orders") => MembershipAnswer::Member,
            _ => MembershipAnswer::Stranger,
        }
    }
}

#[test]
fn a_membership_check_sees_the_token_that_named_the_tenant() {
    let verifier = simple(&TestClock::new());
    let builder: ResolverBuilder =
        Resolver::builder(catalog()).with_strategy(JwtStrategy::new(verifier.clone()));
    let resolver = builder.with_membership(ByScope(verifier.clone())).build().unwrap();
    let token = |scope: &str| format!("Bearer {}", hs256(&claims(json!({"scope": scope}))));
    let member = resolve(&resolver, &[ROOT, ("authorization", token("orders").as_bytes())]);
    assert_eq!(member.unwrap(), "acme");
    let stranger = resolve(&resolver, &[ROOT, ("authorization", token("profile").as_bytes())]);
    assert_eq!(stranger, Err(RejectionReason::NotAMember));
    assert_eq!(verifier.cached_tokens(), 2);
}
