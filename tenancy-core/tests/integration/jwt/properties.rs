//! What holds for every token.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenancy_core::jwt::TokenError;
use tenancy_core::{TenantId, TenantKey};

use super::{NOW, TestClock, by_id, claims, good_claims, hs256, simple};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{1,4}".prop_map(Value::from),
        "[a-zA-Z0-9._-]{0,12}".prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// TWR-45: exactly the canonical texts name a tenant, and each names itself.
    #[test]
    fn a_tenant_claim_is_a_canonical_id_or_refused(value in any_json()) {
        let mut all = good_claims();
        all["tenant_id"] = value.clone();
        let id = value.as_str().and_then(|text| text.parse::<TenantId>().ok());
        match (simple(&TestClock::new()).verify(&hs256(&all)), id) {
            (Ok(token), Some(id)) => prop_assert_eq!(token.tenant(), Some(&TenantKey::Id(id))),
            (Err(error), None) => prop_assert_eq!(error, TokenError::MalformedTenant),
            (outcome, id) => prop_assert!(false, "{:?} for {:?}", outcome.is_ok(), id.is_some()),
        }
    }

    /// TWR-44: a token passes exactly while its dates, which are numbers, allow it.
    #[test]
    fn dates_of_any_type_are_numbers_or_refused(exp in any_json(), nbf in any_json(), near in -3_i64..3, lasts in -3_i64..3) {
        let verifier = simple(&TestClock::new());
        let mut odd = good_claims();
        odd["exp"] = exp.clone();
        odd["nbf"] = nbf.clone();
        let good = |value: &Value| value.as_f64().filter(|_| value.is_number());
        // A float above 2^53 does not know its own seconds.
        let known = |value: &Value| !value.is_f64() || value.as_f64() <= Some(9_007_199_254_740_992.0);
        let allowed = good(&exp).is_some_and(|seconds| seconds.floor() > NOW as f64 && known(&exp))
            && good(&nbf).is_some_and(|nbf| (0.0..=NOW as f64).contains(&nbf));
        prop_assert_eq!(verifier.verify(&hs256(&odd)).is_ok(), allowed);

        let (exp, nbf) = (NOW as i64 + lasts, NOW as i64 + near);
        let outcome = verifier.verify(&hs256(&claims(json!({"exp": exp, "nbf": nbf, "sub": "bob"}))));
        prop_assert_eq!(outcome.is_ok(), lasts > 0 && near <= 0);
    }

    /// M26: no byte of a token can be another one.
    #[test]
    fn every_change_of_a_token_is_refused(at in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
        let verifier = simple(&TestClock::new());
        let good = hs256(&good_claims());
        let at = at.index(good.len());
        let mut changed = good.clone().into_bytes();
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert_eq!(verifier.verify(&changed).is_ok(), changed == good);
        // The same where the good token is remembered.
        let token = verifier.verify(&good).unwrap();
        prop_assert_eq!(token.tenant(), Some(&by_id(1)));
        prop_assert_eq!(verifier.verify(&changed).is_ok(), changed == good);
    }

    #[test]
    fn no_text_makes_the_verifier_panic(text in ".{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let verifier = simple(&TestClock::new());
        prop_assert!(verifier.verify(&text).is_err());
        prop_assert!(verifier.verify(&parts.join(".")).is_err());
    }
}
