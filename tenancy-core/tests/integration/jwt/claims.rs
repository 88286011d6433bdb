//! What a token claims: dates, audience, type, tenant.

use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, TokenError, TokenVerifier};
use tenancy_core::{NamedBy, TenantKey, TenantSlug};

use super::sign::Signer;
use super::{
    AUDIENCE, NOW, SECRET, TestClock, at, builder, claims, good_claims, hs256, issuer, seconds, secret_key,
    simple,
};

fn refusal(verifier: &TokenVerifier, changes: Value) -> Option<TokenError> {
    verifier.verify(&hs256(&claims(changes))).err()
}

#[test]
fn twr_44_dates_are_demanded_and_kept() {
    let verifier = simple(&TestClock::new());
    let cases = [
        (json!({}), None),
        (json!({"exp": null}), Some(TokenError::NoExpiry)),
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW}), Some(TokenError::Expired)),
        (json!({"exp": NOW - 1}), Some(TokenError::Expired)),
        (json!({"exp": 0}), Some(TokenError::Expired)),
        (json!({"exp": NOW as f64 + 1.5}), None),
        (json!({"exp": NOW as f64 + 0.5}), Some(TokenError::Expired)),
        (json!({"exp": u64::MAX}), None),
        (json!({"exp": (NOW + 60).to_string()}), Some(TokenError::Malformed)),
        (json!({"exp": -1}), Some(TokenError::Malformed)),
        (json!({"exp": 1e300}), Some(TokenError::Malformed)),
        (json!({"exp": true}), Some(TokenError::Malformed)),
        (json!({"exp": [NOW + 60]}), Some(TokenError::Malformed)),
        (json!({"nbf": NOW}), None),
        (json!({"nbf": NOW + 1}), Some(TokenError::NotYetValid)),
        (json!({"nbf": NOW as f64 + 0.5}), Some(TokenError::NotYetValid)),
        (json!({"nbf": NOW.to_string()}), Some(TokenError::Malformed)),
        (json!({"iat": NOW + 1}), Some(TokenError::NotYetValid)),
        (json!({"iat": null}), None),
        (json!({"iat": "yesterday"}), Some(TokenError::Malformed)),
    ];
    for (changes, expected) in cases {
        assert_eq!(refusal(&verifier, changes.clone()), expected, "{changes}");
    }
}

#[test]
fn twr_44_null_is_not_absent() {
    let verifier = simple(&TestClock::new());
    for name in ["iss", "sub", "jti", "aud", "exp", "nbf", "iat", "scope"] {
        let mut claims = good_claims();
        claims[name] = Value::Null;
        assert_eq!(verifier.verify(&hs256(&claims)).unwrap_err(), TokenError::Malformed, "{name}");
    }
    assert!(verifier.verify(&hs256(&good_claims())).is_ok());
}

#[test]
fn twr_44_leeway_is_as_long_as_configured() {
    let verifier =
        builder(&TestClock::new()).with_leeway(seconds(30)).with_issuer(issuer().with_key(secret_key()));
    let verifier = verifier.build().unwrap();
    let cases = [
        (json!({"exp": NOW - 29}), None),
        (json!({"exp": NOW - 30}), Some(TokenError::Expired)),
        (json!({"nbf": NOW + 30}), None),
        (json!({"nbf": NOW + 31}), Some(TokenError::NotYetValid)),
        (json!({"iat": NOW + 30}), None),
        (json!({"iat": NOW + 31}), Some(TokenError::NotYetValid)),
    ];
    for (changes, expected) in cases {
        assert_eq!(refusal(&verifier, changes.clone()), expected, "{changes}");
    }
}

#[test]
fn twr_44_maximum_age_needs_a_date_of_issue() {
    let verifier = builder(&TestClock::new())
        .with_max_age(seconds(600))
        .with_issuer(issuer().with_key(secret_key()))
        .build()
        .unwrap();
    assert_eq!(refusal(&verifier, json!({"iat": NOW - 599})), None);
    assert_eq!(refusal(&verifier, json!({"iat": NOW - 600})), Some(TokenError::TooOld));
    assert_eq!(refusal(&verifier, json!({"iat": null})), Some(TokenError::NoIssueTime));
    assert_eq!(refusal(&simple(&TestClock::new()), json!({"iat": NOW - 600})), None);
}

#[test]
fn twr_44_audience_is_this_service() {
    let verifier = simple(&TestClock::new());
    let cases = [
        (json!({"aud": [AUDIENCE]}), None),
        (json!({"aud": ["other", AUDIENCE]}), None),
        (json!({"aud": null}), Some(TokenError::WrongAudience)),
        (json!({"aud": "other"}), Some(TokenError::WrongAudience)),
        (json!({"aud": "Orders-API"}), Some(TokenError::WrongAudience)),
        (json!({"aud": "orders-api other"}), Some(TokenError::WrongAudience)),
        (json!({"aud": []}), Some(TokenError::WrongAudience)),
        (json!({"aud": [AUDIENCE, 5]}), Some(TokenError::Malformed)),
        (json!({"aud": {AUDIENCE: true}}), Some(TokenError::Malformed)),
        (json!({"iss": "https://other.example"}), Some(TokenError::UnknownIssuer)),
        (json!({"iss": null}), Some(TokenError::UnknownIssuer)),
        (json!({"iss": [super::ISSUER]}), Some(TokenError::Malformed)),
    ];
    for (changes, expected) in cases {
        assert_eq!(refusal(&verifier, changes.clone()), expected, "{changes}");
    }
    let any = builder(&TestClock::new()).with_issuer(issuer().with_any_audience().with_key(secret_key()));
    assert_eq!(refusal(&any.build().unwrap(), json!({"aud": null})), None);
}

#[test]
fn twr_45_only_a_text_names_a_tenant() {
    let verifier = simple(&TestClock::new());
    assert_eq!(refusal(&verifier, json!({"tenant_id": null})), Some(TokenError::NoTenant));
    let wrong = [
        json!(1),
        json!(1.0),
        json!(true),
        json!({}),
        json!({"id": "1"}),
        json!(["1"]),
        json!(["1", "2"]),
        json!(""),
        json!(" 1"),
        json!("01"),
        json!("1\u{0}"),
        json!("null"),
        json!("../1"),
        json!("x".repeat(256)),
    ];
    for value in wrong {
        let outcome = refusal(&verifier, json!({"tenant_id": value}));
        assert_eq!(outcome, Some(TokenError::MalformedTenant), "{value}");
    }
    let mut null = good_claims();
    null["tenant_id"] = Value::Null;
    assert_eq!(verifier.verify(&hs256(&null)).unwrap_err(), TokenError::MalformedTenant);
}

#[test]
fn a_claim_that_stands_there_twice_is_refused() {
    let verifier = simple(&TestClock::new());
    let good = good_claims().to_string();
    let signer = Signer::secret(Algorithm::Hs256, SECRET);
    let token = |payload: &str| signer.raw_token(r#"{"alg":"HS256"}"#, payload);
    assert!(verifier.verify(&token(&good)).is_ok());
    let twice = [
        (r#""tenant_id":"2","#, TokenError::MalformedTenant),
        (r#""tenant\u005fid":"2","#, TokenError::MalformedTenant),
        (r#""exp":99999999999,"#, TokenError::Malformed),
        (r#""aud":"orders-api","#, TokenError::Malformed),
        (r#""iss":"https://id.app.example","#, TokenError::Malformed),
    ];
    for (extra, expected) in twice {
        let payload = good.replacen('{', &format!("{{{extra}"), 1);
        assert_eq!(verifier.verify(&token(&payload)).unwrap_err(), expected, "{extra}");
    }
}

#[test]
fn the_tenant_claim_is_the_configured_one() {
    let verifier = builder(&TestClock::new())
        .with_tenant_claim("https://app.example/org", NamedBy::Slug)
        .with_issuer(issuer().with_key(secret_key()))
        .build()
        .unwrap();
    let token = verifier.verify(&hs256(&claims(json!({"https://app.example/org": "acme"})))).unwrap();
    assert_eq!(token.tenant(), Some(&TenantKey::Slug(TenantSlug::new("acme").unwrap())));
    assert_eq!(refusal(&verifier, json!({})), Some(TokenError::NoTenant));
    for wrong in ["Acme", "7", "www", "a.b"] {
        let outcome = refusal(&verifier, json!({"https://app.example/org": wrong}));
        assert_eq!(outcome, Some(TokenError::MalformedTenant), "{wrong}");
    }
}

#[test]
fn a_token_without_tenant_passes_only_where_that_is_chosen() {
    let optional = builder(&TestClock::new())
        .with_optional_tenant_claim()
        .with_issuer(issuer().with_key(secret_key()))
        .build()
        .unwrap();
    let token = hs256(&claims(json!({"tenant_id": null})));
    assert_eq!(optional.verify(&token).unwrap().tenant(), None);
    assert_eq!(refusal(&optional, json!({"tenant_id": 1})), Some(TokenError::MalformedTenant));
    assert_eq!(simple(&TestClock::new()).verify(&token).unwrap_err(), TokenError::NoTenant);
}

#[test]
fn tokens_of_another_type_are_refused() {
    let signer = Signer::secret(Algorithm::Hs256, SECRET);
    let usual = simple(&TestClock::new());
    let strict = builder(&TestClock::new())
        .with_issuer(issuer().with_token_type("application/at+jwt").with_key(secret_key()))
        .build()
        .unwrap();
    let cases = [
        ("JWT", true, false),
        ("at+jwt", true, true),
        ("application/at+JWT", true, true),
        ("logout+jwt", false, false),
        ("secevent+jwt", false, false),
        ("", false, false),
    ];
    for (name, by_default, where_access_tokens_are_demanded) in cases {
        let token = signer.token(&json!({"typ": name}), &good_claims());
        assert_eq!(usual.verify(&token).is_ok(), by_default, "{name}");
        assert_eq!(strict.verify(&token).is_ok(), where_access_tokens_are_demanded, "{name}");
    }
    let untyped = signer.raw_token(r#"{"alg":"HS256"}"#, &good_claims().to_string());
    assert!(usual.verify(&untyped).is_ok());
    assert_eq!(strict.verify(&untyped).unwrap_err(), TokenError::WrongType);
}

#[test]
fn what_is_not_understood_in_a_header_is_refused() {
    let verifier = simple(&TestClock::new());
    let signer = Signer::secret(Algorithm::Hs256, SECRET);
    for critical in [json!(["b64"]), json!(["exp"]), json!([]), json!("x")] {
        let token = signer.token(&json!({"crit": critical, "b64": false}), &good_claims());
        assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::CriticalExtension);
    }
    let good = good_claims().to_string();
    for header in ["[\"HS256\"]", "{}", "{\"alg\":null}", "{\"alg\":\"HS256\",\"alg\":\"none\"}", "", "null"]
    {
        assert_eq!(verifier.verify(&signer.raw_token(header, &good)).unwrap_err(), TokenError::Malformed);
    }
    for payload in ["", "[]", "null", "1", "{}x", "{\"iss\":1}"] {
        let token = signer.raw_token(r#"{"alg":"HS256"}"#, payload);
        assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Malformed, "{payload}");
    }
}

#[test]
fn a_token_has_three_parts_and_a_bounded_length() {
    let verifier = simple(&TestClock::new());
    let good = hs256(&good_claims());
    for wrong in
        ["", ".", "..", "a.b", "a.b.c", &format!("{good}."), &format!(".{good}"), &format!("{good}=")]
    {
        assert_eq!(verifier.verify(wrong).unwrap_err(), TokenError::Malformed, "{wrong}");
    }
    let padded = |length: usize| hs256(&claims(json!({"pad": "x".repeat(length)})));
    assert!(verifier.verify(&padded(5_000)).is_ok());
    assert!(padded(6_500).len() > TokenVerifier::MAX_TOKEN_LEN);
    assert_eq!(verifier.verify(&padded(6_500)).unwrap_err(), TokenError::TooLong);
}

#[test]
fn a_verified_token_says_what_was_signed() {
    let verifier = simple(&TestClock::new());
    let token = verifier.verify(&hs256(&claims(json!({"plan": "pro"})))).unwrap();
    assert_eq!(
        (token.issuer(), token.subject(), token.token_id()),
        (super::ISSUER, Some("alice"), Some("t-1"))
    );
    assert_eq!((token.issued_at(), token.expires_at()), (Some(at(NOW)), Some(at(NOW + 3600))));
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["orders", "profile"]);
    assert!(token.has_scope("orders") && !token.has_scope("order") && !token.has_scope("orders profile"));
    assert_eq!(token.claims::<Value>().unwrap(), claims(json!({"plan": "pro"})));

    #[derive(serde::Deserialize)]
    struct Own {
        plan: u8,
    }
    let error = token.claims::<Own>().map(|own| own.plan).unwrap_err();
    assert_eq!(error.kind(), tenancy_core::ErrorKind::InvalidClaims);
    assert!(!format!("{error} {error:?}").contains("pro"), "a claim's value is in the error");
    let list = verifier.verify(&hs256(&claims(json!({"scope": null, "scp": ["a", "b c"]})))).unwrap();
    assert!(list.has_scope("b c") && !list.has_scope("b"));
}
