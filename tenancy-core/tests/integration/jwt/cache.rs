//! Remembered tokens: how many, and that what is taken back is gone at once.

use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, JwtStrategy, TokenError, TokenVerifier, VerificationKey};
use tenancy_core::{MemoryCatalog, Resolution, ResolveInput, Resolver, Tenant, TenantResolver};

use super::sign::Signer;
use super::{
    ISSUER, NOW, TestClock, at, builder, by_id, claims, good_claims, hs256, id, issuer, seconds, secret_key,
    simple,
};

fn with_key(clock: &TestClock, capacity: usize) -> TokenVerifier {
    builder(clock).with_cache_capacity(capacity).with_issuer(issuer().with_key(secret_key())).build().unwrap()
}

fn token(changes: Value) -> String {
    hs256(&claims(changes))
}

#[test]
fn a_token_is_verified_once() {
    let verifier = simple(&TestClock::new());
    let token = token(json!({}));
    assert_eq!(verifier.cached_tokens(), 0);
    let first = verifier.verify(&token).unwrap();
    assert_eq!(verifier.cached_tokens(), 1);
    let second = verifier.verify(&token).unwrap();
    assert!(std::ptr::eq(first.claims_json(), second.claims_json()));
    assert!(verifier.verify(&(token + "x")).is_err());
    assert_eq!(verifier.cached_tokens(), 1, "a token that is refused is not remembered");
}

#[test]
fn without_a_cache_all_is_the_same_but_for_the_time() {
    let verifier = with_key(&TestClock::new(), 0);
    let token = token(json!({}));
    for _ in 0..2 {
        assert_eq!(verifier.verify(&token).unwrap().tenant(), Some(&by_id(1)));
    }
    assert_eq!(verifier.cached_tokens(), 0);
    verifier.revoke_token(ISSUER, "t-1", at(NOW + 3600));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Revoked);
}

/// Verifies `dropped` and `kept`, lets `revoke` happen, and looks again: remembered and verified anew.
fn check_revocation(dropped: &Value, kept: &Value, revoke: impl Fn(&TokenVerifier)) {
    for capacity in [64, 0] {
        let verifier = with_key(&TestClock::new(), capacity);
        let (dropped, kept) = (hs256(dropped), hs256(kept));
        assert!(verifier.verify(&dropped).is_ok() && verifier.verify(&kept).is_ok());
        revoke(&verifier);
        assert_eq!(verifier.cached_tokens(), usize::from(capacity > 0));
        for _ in 0..2 {
            assert_eq!(verifier.verify(&dropped).unwrap_err(), TokenError::Revoked);
            assert!(verifier.verify(&kept).is_ok());
        }
    }
}

#[test]
fn a_revoked_token_is_gone_at_once() {
    let other = claims(json!({"jti": "t-2"}));
    check_revocation(&good_claims(), &other, |verifier| verifier.revoke_token(ISSUER, "t-1", at(NOW + 3600)));
    check_revocation(&good_claims(), &other, |verifier| {
        let token = verifier.verify(&hs256(&good_claims())).unwrap();
        verifier.revoke(&token);
    });
    let nameless = |subject: &str| claims(json!({"jti": null, "sub": subject}));
    check_revocation(&nameless("alice"), &nameless("bob"), |verifier| {
        let token = verifier.verify(&hs256(&nameless("alice"))).unwrap();
        verifier.revoke(&token);
    });
}

#[test]
fn a_revoked_subject_is_gone_with_all_tokens_up_to_then() {
    let subject = |issued: u64, name: &str| claims(json!({"iat": issued, "sub": name, "jti": name}));
    let revoke = |verifier: &TokenVerifier| verifier.revoke_subject(ISSUER, "alice", at(NOW - 10));
    check_revocation(&subject(NOW - 10, "alice"), &subject(NOW - 9, "alice"), revoke);
    check_revocation(&subject(NOW - 20, "alice"), &subject(NOW - 20, "bob"), revoke);
    check_revocation(&claims(json!({"iat": null})), &good_claims(), revoke);
    // A subject is the issuer's: another issuer's alice is somebody else.
    let verifier = simple(&TestClock::new());
    verifier.revoke_subject("https://other.example", "alice", at(NOW));
    assert!(verifier.verify(&hs256(&good_claims())).is_ok());
    // An earlier cutoff does not take a later one back.
    verifier.revoke_subject(ISSUER, "alice", at(NOW));
    verifier.revoke_subject(ISSUER, "alice", at(NOW - 100));
    assert_eq!(verifier.verify(&hs256(&good_claims())).unwrap_err(), TokenError::Revoked);
}

#[test]
fn a_revoked_tenant_is_gone_with_all_tokens_up_to_then() {
    let tenant = |issued: u64, id: &str| claims(json!({"iat": issued, "tenant_id": id}));
    let revoke = |verifier: &TokenVerifier| verifier.revoke_tenant(&by_id(1), at(NOW - 10));
    check_revocation(&tenant(NOW - 10, "1"), &tenant(NOW - 10, "2"), revoke);
    check_revocation(&tenant(NOW - 10, "1"), &tenant(NOW - 9, "1"), revoke);
}

#[test]
fn revocations_are_forgotten_when_their_tokens_have_expired() {
    let clock = TestClock::new();
    let verifier = builder(&clock)
        .with_max_age(seconds(600))
        .with_issuer(issuer().with_key(secret_key()))
        .build()
        .unwrap();
    for number in 0..10_000 {
        verifier.revoke_subject(ISSUER, &number.to_string(), at(NOW + number));
        verifier.revoke_token(ISSUER, &number.to_string(), at(NOW + number + 600));
        clock.pass(seconds(1));
        assert!(verifier.revocations() < 6_000, "{number}");
    }
    let late = claims(json!({"sub": "9999", "iat": NOW + 9_999, "exp": NOW + 20_000}));
    assert_eq!(verifier.verify(&hs256(&late)).unwrap_err(), TokenError::Revoked);
    let other = claims(json!({"sub": "x", "iat": NOW + 9_999, "exp": NOW + 20_000}));
    assert!(verifier.verify(&hs256(&other)).is_ok());
}

#[test]
fn a_flood_of_valid_tokens_is_bounded_and_leaves_a_hot_one_in_place() {
    let verifier = with_key(&TestClock::new(), 64);
    let hot = token(json!({"jti": "hot"}));
    let first = verifier.verify(&hot).unwrap();
    for number in 0..2_000 {
        assert!(verifier.verify(&token(json!({"jti": number.to_string()}))).is_ok());
        let again = verifier.verify(&hot).unwrap();
        assert!(std::ptr::eq(first.claims_json(), again.claims_json()), "dropped after {number}");
    }
    assert!(verifier.cached_tokens() <= 64);
    assert!(verifier.cached_tokens() > 32, "most places are in use");
}

#[test]
fn long_tokens_are_bounded_in_bytes_rather_than_number() {
    let verifier = with_key(&TestClock::new(), 64);
    for number in 0..200 {
        let long = token(json!({"jti": number.to_string(), "pad": "x".repeat(5_000)}));
        assert!(verifier.verify(&long).is_ok());
    }
    // 64 places of 4 KiB; each token with its claims takes 16 KiB and more.
    let kept = verifier.cached_tokens();
    assert!((8..=16).contains(&kept), "{kept}");
}

#[test]
fn two_tokens_are_never_confused() {
    let verifier = with_key(&TestClock::new(), 64);
    let tokens: Vec<_> = (1..=200)
        .map(|tenant| token(json!({"tenant_id": tenant.to_string(), "jti": tenant.to_string()})))
        .collect();
    for _ in 0..20 {
        for (tenant, token) in (1..=200).zip(&tokens) {
            assert_eq!(verifier.verify(token).unwrap().tenant(), Some(&by_id(tenant)));
        }
    }
}

/// The end of a token says where it is kept, and no more than that.
#[test]
fn a_remembered_token_lends_its_signature_to_no_other() {
    let verifier = with_key(&TestClock::new(), 64);
    let known = token(json!({}));
    verifier.verify(&known).unwrap();
    for at in 0..known.len() - 16 {
        let mut other = known.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(&String::from_utf8(other).unwrap()).is_err(), "{at}");
        assert!(verifier.verify(&known[at + 1..]).is_err(), "{at}");
    }
    assert!(verifier.verify(&known).is_ok());
}

/// The whole of resolution, for every kind of id that fits into a record.
#[test]
fn a_remembered_token_is_resolved_without_an_allocation() {
    let clock = TestClock::new();
    let catalog = MemoryCatalog::new();
    catalog.insert(Tenant::builder(id(1), "acme".parse().unwrap()).build().unwrap()).unwrap();
    let resolver = Resolver::builder(std::sync::Arc::new(catalog))
        .with_strategy(JwtStrategy::new(simple(&clock)))
        .build()
        .unwrap();
    let request = http::Request::builder()
        .header("host", "app.example")
        .header("authorization", format!("Bearer {}", token(json!({}))))
        .body(())
        .unwrap();
    let mut tenants = Vec::with_capacity(100);
    let mut resolve = || match resolver.resolve(ResolveInput::new(&request, None)) {
        Resolution::Ready(Ok(context)) => tenants.push(context),
        other => panic!("{other:?}"),
    };
    resolve();
    let counted = allocation_counter::measure(|| {
        for _ in 0..50 {
            resolve();
        }
    });
    assert_eq!(counted.count_total, 0);
    assert!(tenants.iter().all(|context| *context.id() == id(1)));
}

/// A signature of ECDSA can be written in a second way by whoever holds one: revocation must not depend on it.
#[test]
fn a_revoked_token_without_name_stays_revoked_under_its_other_signature() {
    let signer = Signer::new(Algorithm::Es256);
    let key = VerificationKey::from_pem(Algorithm::Es256, signer.pem().as_bytes()).unwrap();
    let verifier = builder(&TestClock::new()).with_issuer(issuer().with_key(key)).build().unwrap();
    let nameless = claims(json!({"jti": null}));
    // Two signatures of one text: those of ECDSA are random.
    let (one, two) = (signer.token(&json!({}), &nameless), signer.token(&json!({}), &nameless));
    assert_ne!(one, two);
    let first = verifier.verify(&one).unwrap();
    assert!(verifier.verify(&two).is_ok());
    verifier.revoke(&first);
    assert_eq!(verifier.verify(&one).unwrap_err(), TokenError::Revoked);
    assert_eq!(verifier.verify(&two).unwrap_err(), TokenError::Revoked);
    assert!(verifier.verify(&signer.token(&json!({}), &claims(json!({"jti": null, "sub": "bob"})))).is_ok());
}
