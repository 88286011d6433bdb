//! Reading key sets.

use serde_json::json;
use tenancy_core::ErrorKind;
use tenancy_core::jwt::{Algorithm, JwkSet, TokenError};

use super::jwks::{document, named, token};
use super::sign::{ASYMMETRIC, Signer, base64url};
use super::{TestClock, builder, good_claims, issuer};

#[test]
fn a_key_set_that_stands_still_verifies_all_algorithms() {
    let signers = ASYMMETRIC.map(Signer::new);
    let keys: Vec<_> = signers.iter().map(|signer| named(signer, signer.algorithm.as_str())).collect();
    let set = JwkSet::parse(&document(&keys)).unwrap();
    assert_eq!((set.keys().len(), set.skipped()), (9, 0));
    let verifier = builder(&TestClock::new()).with_issuer(issuer().with_jwks(set)).build().unwrap();
    for signer in &signers {
        assert!(verifier.verify(&token(signer, signer.algorithm.as_str())).is_ok(), "{}", signer.algorithm);
        let unknown = verifier.verify(&token(signer, "other")).unwrap_err();
        assert_eq!(unknown, TokenError::UnknownKey);
    }
}

#[test]
fn keys_that_verify_nothing_are_left_out() {
    let (ec, rsa, ed) =
        (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Rs256), Signer::new(Algorithm::EdDsa));
    let left_out = [
        ec.jwk(json!({"use": "enc"})),
        ec.jwk(json!({"key_ops": ["sign"]})),
        ec.jwk(json!({"d": "AAAA"})),
        ec.jwk(json!({"alg": "ES384"})),
        ec.jwk(json!({"alg": "RS256"})),
        ec.jwk(json!({"alg": "HS256"})),
        ec.jwk(json!({"alg": "none"})),
        ec.jwk(json!({"crv": "P-521"})),
        ec.jwk(json!({"x": "AAAA"})),
        ec.jwk(json!({"kid": 7})),
        // Together they have the right length.
        ec.jwk(json!({"x": base64url(&[1; 31]), "y": base64url(&[1; 33])})),
        rsa.jwk(json!({"alg": "RSA-OAEP"})),
        rsa.jwk(json!({"n": "AQAB"})),
        ed.jwk(json!({"x": "AAAA"})),
        ed.jwk(json!({"crv": "X25519"})),
        Signer::secret(Algorithm::Hs256, &[1; 32]).jwk(json!({})),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!("no key"),
    ];
    for key in &left_out {
        let set = JwkSet::parse(&document(&[key.clone(), named(&ed, "good")])).unwrap();
        assert_eq!((set.keys().len(), set.skipped()), (1, 1), "{key}");
    }
    let kept = [
        ec.jwk(json!({"key_ops": ["verify"]})),
        ec.jwk(json!({"alg": "ES256"})),
        rsa.jwk(json!({"alg": "PS384"})),
    ];
    for key in kept {
        assert_eq!(JwkSet::parse(&document(&[key])).unwrap().keys().len(), 1);
    }
}

#[test]
fn a_key_without_algorithm_is_for_the_usual_one_alone() {
    for (algorithm, other) in [
        (Algorithm::Rs256, Some(Algorithm::Rs512)),
        (Algorithm::Es256, None),
        (Algorithm::Es384, None),
        (Algorithm::EdDsa, None),
    ] {
        let signer = Signer::new(algorithm);
        let mut jwk = signer.jwk(json!({}));
        jwk.as_object_mut().unwrap().remove("alg");
        let set = JwkSet::parse(&document(&[jwk])).unwrap();
        assert_eq!(set.keys()[0].algorithm(), algorithm);
        let verifier = builder(&TestClock::new()).with_issuer(issuer().with_jwks(set)).build().unwrap();
        assert!(verifier.verify(&signer.token(&json!({}), &good_claims())).is_ok());
        if let Some(other) = other {
            let token = Signer::new(other).token(&json!({}), &good_claims());
            assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::WrongAlgorithm);
        }
    }
}

#[test]
fn a_document_that_is_no_key_set_or_names_two_keys_alike_is_refused() {
    let (one, two) = (Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::Es256));
    assert!(JwkSet::parse(&document(&[named(&one, "a"), named(&two, "b")])).is_ok());
    assert!(JwkSet::parse(&document(&[named(&one, "a"), named(&two, "a")])).is_err());
    assert!(JwkSet::parse(&document(&[one.jwk(json!({})), two.jwk(json!({}))])).is_err());
    for text in ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "<html>"] {
        assert_eq!(JwkSet::parse(text.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidKey, "{text}");
    }
    assert!(JwkSet::parse(&vec![b' '; JwkSet::MAX_LEN + 1]).is_err());
}
