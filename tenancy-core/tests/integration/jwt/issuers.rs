//! Whose key signs for whom; keys and issuers that come and go.

use serde_json::json;
use tenancy_core::jwt::{Algorithm, Issuer, TokenError, TokenVerifier, VerificationKey};
use tenancy_core::{Error, ErrorKind, NamedBy, TenantSlug};

use super::sign::Signer;
use super::{
    AUDIENCE, ISSUER, SECRET, TestClock, builder, by_id, claims, good_claims, hs256, id, issuer, secret_key,
};

fn signer(secret: u8) -> Signer {
    Signer::secret(Algorithm::Hs256, &[secret; 32])
}

fn key(secret: u8, name: &str) -> VerificationKey {
    VerificationKey::from_secret(Algorithm::Hs256, &[secret; 32]).unwrap().with_id(name)
}

/// One issuer with a key of tenant 1, a key of tenant 2 and a key of the platform.
fn shared() -> TokenVerifier {
    let keys = issuer()
        .with_key(key(1, "a").with_tenant_id(id(1)))
        .with_key(key(2, "b").with_tenant_id(id(2)))
        .with_key(key(9, "platform"));
    builder(&TestClock::new()).with_issuer(keys).build().unwrap()
}

fn token(secret: u8, name: &str, tenant: &str) -> String {
    signer(secret).token(&json!({"kid": name}), &claims(json!({"tenant_id": tenant})))
}

#[test]
fn twr_42_a_tenants_key_signs_for_that_tenant_alone() {
    let verifier = shared();
    assert_eq!(verifier.verify(&token(1, "a", "1")).unwrap().tenant(), Some(&by_id(1)));
    assert_eq!(verifier.verify(&token(2, "b", "2")).unwrap().tenant(), Some(&by_id(2)));
    assert_eq!(verifier.verify(&token(1, "a", "2")).unwrap_err(), TokenError::ForeignKey);
    assert_eq!(verifier.verify(&token(2, "b", "1")).unwrap_err(), TokenError::ForeignKey);
    // The platform's own key signs for all.
    assert!(verifier.verify(&token(9, "platform", "1")).is_ok());
    assert!(verifier.verify(&token(9, "platform", "2")).is_ok());
}

#[test]
fn twr_42_a_kid_is_a_name_and_nothing_else() {
    let verifier = shared();
    // A's key under B's name.
    assert_eq!(verifier.verify(&token(1, "b", "2")).unwrap_err(), TokenError::WrongSignature);
    for name in ["c", "", "A", "a ", "../../dev/null", "a\0", "a' OR '1'='1", "https://evil.example/key"] {
        assert_eq!(verifier.verify(&token(1, name, "1")).unwrap_err(), TokenError::UnknownKey, "{name}");
    }
    let unnamed = signer(9).token(&json!({}), &good_claims());
    assert_eq!(verifier.verify(&unnamed).unwrap_err(), TokenError::UnknownKey);
    for wrong in [json!(null), json!(1), json!(["a"])] {
        let token = signer(1).token(&json!({"kid": wrong}), &good_claims());
        assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Malformed);
    }
}

#[test]
fn twr_42_a_kid_is_a_name_within_its_issuer() {
    let own = |name: &str, secret, tenant| {
        Issuer::new(name, AUDIENCE).with_key(key(secret, "k")).with_tenant_id(id(tenant))
    };
    let verifier = builder(&TestClock::new())
        .with_issuer(own("https://a.example", 1, 1))
        .with_issuer(own("https://b.example", 2, 2))
        .build()
        .unwrap();
    let token = |secret, issuer: &str, tenant: &str| {
        signer(secret).token(&json!({"kid": "k"}), &claims(json!({"iss": issuer, "tenant_id": tenant})))
    };
    assert!(verifier.verify(&token(1, "https://a.example", "1")).is_ok());
    assert!(verifier.verify(&token(2, "https://b.example", "2")).is_ok());
    assert_eq!(verifier.verify(&token(1, "https://a.example", "2")).unwrap_err(), TokenError::ForeignKey);
    assert_eq!(verifier.verify(&token(1, "https://b.example", "2")).unwrap_err(), TokenError::WrongSignature);
    assert_eq!(verifier.verify(&token(1, "https://a.example/", "1")).unwrap_err(), TokenError::UnknownIssuer);
}

#[test]
fn twr_42_a_tenants_key_speaks_for_it_even_where_the_claim_may_be_missing() {
    let verifier = builder(&TestClock::new())
        .with_optional_tenant_claim()
        .with_issuer(issuer().with_key(key(1, "a").with_tenant_id(id(1))).with_key(key(9, "platform")))
        .build()
        .unwrap();
    let silent =
        |secret, name| signer(secret).token(&json!({"kid": name}), &claims(json!({"tenant_id": null})));
    assert_eq!(verifier.verify(&silent(1, "a")).unwrap().tenant(), Some(&by_id(1)));
    assert_eq!(verifier.verify(&silent(9, "platform")).unwrap().tenant(), None);
    assert_eq!(verifier.verify(&token(1, "a", "2")).unwrap_err(), TokenError::ForeignKey);
}

#[test]
fn twr_43_a_token_does_not_bring_its_key() {
    let verifier = shared();
    let attacker = Signer::new(Algorithm::Es256);
    let jwk = attacker.jwk(json!({"kid": "a"}));
    let places = [
        json!({"jwk": jwk}),
        json!({"jku": "https://evil.example/jwks.json"}),
        json!({"x5u": "https://evil.example/cert.pem"}),
        json!({"x5c": ["MIIB"]}),
    ];
    for place in places {
        let mut header = place.clone();
        header["kid"] = "a".into();
        let forged = attacker.token(&header, &good_claims());
        assert_eq!(verifier.verify(&forged).unwrap_err(), TokenError::WrongAlgorithm, "{place}");
        // They are ignored, not refused: the key is the one that is known.
        assert!(verifier.verify(&signer(1).token(&header, &good_claims())).is_ok(), "{place}");
    }
}

fn build_error(issuer: Issuer) -> Error {
    builder(&TestClock::new()).with_issuer(issuer).build().unwrap_err()
}

#[test]
fn what_cannot_work_is_refused_when_it_is_configured() {
    let slug = TenantSlug::new("acme").unwrap();
    let wrong = [
        issuer(),
        Issuer::new("", AUDIENCE).with_key(secret_key()),
        Issuer::new(ISSUER, "").with_key(secret_key()),
        issuer().with_key(key(1, "a")).with_key(key(2, "a")),
        issuer().with_key(secret_key()).with_key(secret_key()),
        issuer().with_key(key(1, "a").with_tenant_id(id(1))).with_tenant_id(id(2)),
        issuer().with_key(key(1, "a").with_tenant_slug(slug.clone())),
        issuer().with_key(key(1, "a")).with_tenant_slug(slug.clone()),
    ];
    for issuer in wrong {
        let printed = format!("{issuer:?}");
        assert_eq!(build_error(issuer).kind(), ErrorKind::InvalidConfiguration, "{printed}");
    }
    let by_slug = |issuer| {
        builder(&TestClock::new()).with_tenant_claim("org", NamedBy::Slug).with_issuer(issuer).build()
    };
    assert!(by_slug(issuer().with_key(key(1, "a").with_tenant_slug(slug))).is_ok());
    assert!(by_slug(issuer().with_key(key(1, "a").with_tenant_id(id(1)))).is_err());
    let twice = builder(&TestClock::new())
        .with_issuer(issuer().with_key(secret_key()))
        .with_issuer(issuer().with_key(secret_key()));
    assert!(twice.build().is_err());
}

#[test]
fn a_revoked_key_is_gone_with_its_tokens_and_does_not_come_back() {
    let verifier = shared();
    let (of_a, of_b) = (token(1, "a", "1"), token(2, "b", "2"));
    assert!(verifier.verify(&of_a).is_ok() && verifier.verify(&of_b).is_ok());
    assert_eq!(verifier.cached_tokens(), 2);

    verifier.revoke_key(ISSUER, Some("a"));
    assert_eq!(verifier.cached_tokens(), 1);
    assert_eq!(verifier.verify(&of_a).unwrap_err(), TokenError::UnknownKey);
    assert!(verifier.verify(&of_b).is_ok());
    let again = verifier.add_key(ISSUER, key(1, "a").with_tenant_id(id(1)));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::InvalidConfiguration);
    assert!(verifier.set_issuer(issuer().with_key(key(1, "a"))).is_err());
    assert!(verifier.verify(&of_b).is_ok(), "a refused change changes nothing");
}

#[test]
fn keys_come_and_go_while_the_service_runs() {
    let verifier = shared();
    let of_c = token(3, "c", "3");
    assert_eq!(verifier.verify(&of_c).unwrap_err(), TokenError::UnknownKey);
    verifier.add_key(ISSUER, key(3, "c").with_tenant_id(id(3))).unwrap();
    assert!(verifier.verify(&of_c).is_ok());

    // The tenant changes its key: what the old one signed is over.
    verifier.add_key(ISSUER, key(4, "c").with_tenant_id(id(3))).unwrap();
    assert_eq!(verifier.verify(&of_c).unwrap_err(), TokenError::WrongSignature);
    let renewed = token(4, "c", "3");
    assert!(verifier.verify(&renewed).is_ok());
    assert!(verifier.remove_key(ISSUER, Some("c")));
    assert!(!verifier.remove_key(ISSUER, Some("c")));
    assert_eq!(verifier.verify(&renewed).unwrap_err(), TokenError::UnknownKey);

    assert!(verifier.add_key("https://nobody.example", key(5, "x")).is_err());
    let slug = TenantSlug::new("acme").unwrap();
    assert!(verifier.add_key(ISSUER, key(5, "x").with_tenant_slug(slug)).is_err());
}

#[test]
fn issuers_come_and_go_while_the_service_runs() {
    let verifier = shared();
    let own = Issuer::new("https://acme.idp.example", AUDIENCE).with_tenant_id(id(1)).with_key(key(5, "k"));
    let token = signer(5).token(&json!({"kid": "k"}), &claims(json!({"iss": "https://acme.idp.example"})));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::UnknownIssuer);
    verifier.set_issuer(own.clone()).unwrap();
    assert!(verifier.verify(&token).is_ok());
    assert!(verifier.add_key("https://acme.idp.example", key(6, "l").with_tenant_id(id(2))).is_err());

    verifier.set_issuer(own.with_audience("another")).unwrap();
    assert_eq!(verifier.cached_tokens(), 0, "what the replaced issuer's keys verified is asked for again");
    assert!(verifier.verify(&token).is_ok());
    assert!(verifier.remove_issuer("https://acme.idp.example"));
    assert!(!verifier.remove_issuer("https://acme.idp.example"));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::UnknownIssuer);
    assert!(verifier.verify(&self::token(1, "a", "1")).is_ok());
}

#[test]
fn a_token_without_kid_needs_a_key_without_name() {
    let unnamed = builder(&TestClock::new()).with_issuer(issuer().with_key(secret_key())).build().unwrap();
    assert!(unnamed.verify(&hs256(&good_claims())).is_ok());
    let named = Signer::secret(Algorithm::Hs256, SECRET).token(&json!({"kid": "x"}), &good_claims());
    assert_eq!(unnamed.verify(&named).unwrap_err(), TokenError::UnknownKey);
}
