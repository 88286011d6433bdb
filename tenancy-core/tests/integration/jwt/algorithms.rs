//! Signatures: every algorithm, pinned by its key.

use serde_json::json;
use tenancy_core::ErrorKind;
use tenancy_core::jwt::{Algorithm, JwkSet, TokenError, TokenVerifier, VerificationKey};

use super::sign::{ASYMMETRIC, Signer, base64url, pem};
use super::{SECRET, TestClock, builder, by_id, claims, good_claims, hs256, issuer, simple};

fn verifier(key: VerificationKey) -> TokenVerifier {
    builder(&TestClock::new()).with_issuer(issuer().with_key(key)).build().unwrap()
}

/// The signer of each algorithm with the key that verifies it.
fn pairs() -> Vec<(Signer, VerificationKey)> {
    let secret = [3; 64];
    let secrets = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
    let symmetric = secrets.map(|algorithm| {
        (Signer::secret(algorithm, &secret), VerificationKey::from_secret(algorithm, &secret).unwrap())
    });
    let asymmetric = ASYMMETRIC.map(|algorithm| {
        let signer = Signer::new(algorithm);
        let key = VerificationKey::from_pem(algorithm, signer.pem().as_bytes()).unwrap();
        (signer, key)
    });
    symmetric.into_iter().chain(asymmetric).collect()
}

fn edit(token: &str, part: usize, new: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[part] = new;
    parts.join(".")
}

#[test]
fn every_algorithm_verifies_what_its_key_signed() {
    for (signer, key) in pairs() {
        let token = verifier(key).verify(&signer.token(&json!({}), &good_claims())).unwrap();
        assert_eq!(token.tenant(), Some(&by_id(1)), "{}", signer.algorithm);
        assert_eq!(token.algorithm(), signer.algorithm);
    }
}

/// M26: the tenant is read from what was signed and from nothing else.
#[test]
fn every_algorithm_refuses_a_payload_or_header_that_was_not_signed() {
    for (signer, key) in pairs() {
        let verifier = verifier(key);
        let token = signer.token(&json!({}), &good_claims());
        let of_b = base64url(claims(json!({"tenant_id": "2"})).to_string().as_bytes());
        assert_eq!(verifier.verify(&edit(&token, 1, &of_b)).unwrap_err(), TokenError::WrongSignature);

        let header = json!({"alg": signer.algorithm.as_str(), "typ": "JWT", "x": 1}).to_string();
        let other_header = edit(&token, 0, &base64url(header.as_bytes()));
        assert_eq!(verifier.verify(&other_header).unwrap_err(), TokenError::WrongSignature);

        let foreign = edit(&token, 2, &base64url(&signer.sign(b"another text")));
        assert_eq!(verifier.verify(&foreign).unwrap_err(), TokenError::WrongSignature);
        // The untouched token is good, also after its forgeries were seen.
        assert!(verifier.verify(&token).is_ok());
        assert!(verifier.verify(&edit(&token, 1, &of_b)).is_err());
    }
}

#[test]
fn another_key_of_the_same_algorithm_signs_nothing() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let (own, foreign) = (Signer::new(algorithm), Signer::new(algorithm));
        let key = VerificationKey::from_pem(algorithm, own.pem().as_bytes()).unwrap();
        let forged = foreign.token(&json!({}), &good_claims());
        assert_eq!(verifier(key).verify(&forged).unwrap_err(), TokenError::WrongSignature);
    }
}

#[test]
fn twr_40_an_unsigned_token_is_refused() {
    let verifier = simple(&TestClock::new());
    let payload = base64url(good_claims().to_string().as_bytes());
    for name in ["none", "None", "NONE", ""] {
        let header = base64url(json!({"alg": name}).to_string().as_bytes());
        let unsigned = format!("{header}.{payload}.");
        assert_eq!(verifier.verify(&unsigned).unwrap_err(), TokenError::WrongAlgorithm, "{name}");
        let signed = Signer::secret(Algorithm::Hs256, SECRET).token(&json!({"alg": name}), &good_claims());
        assert_eq!(verifier.verify(&signed).unwrap_err(), TokenError::WrongAlgorithm, "{name}");
    }
    let empty = edit(&hs256(&good_claims()), 2, "");
    assert_eq!(verifier.verify(&empty).unwrap_err(), TokenError::WrongSignature);
    assert!(verifier.verify(&hs256(&good_claims())).is_ok());
}

#[test]
fn twr_41_a_public_key_is_no_secret() {
    for (signer, key) in pairs().into_iter().skip(3) {
        let pem = signer.pem();
        let verifier = verifier(key);
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes()] {
            let forged = Signer::secret(Algorithm::Hs256, secret);
            let token = forged.token(&json!({}), &good_claims());
            assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::WrongAlgorithm);
            // Not even if the header claims the key's own algorithm.
            let token = forged.token(&json!({"alg": signer.algorithm.as_str()}), &good_claims());
            assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::WrongSignature);
        }
        assert!(verifier.verify(&signer.token(&json!({}), &good_claims())).is_ok());
    }
}

#[test]
fn twr_41_the_algorithm_is_the_keys_and_not_the_tokens() {
    let signed_by = |algorithm| Signer::new(algorithm).token(&json!({}), &good_claims());
    let key = |algorithm| {
        VerificationKey::from_pem(algorithm, Signer::new(Algorithm::Rs256).pem().as_bytes()).unwrap()
    };
    let all = &ASYMMETRIC[..6];
    for (own, other) in all.iter().flat_map(|own| all.iter().map(move |other| (*own, *other))) {
        let outcome = verifier(key(own)).verify(&signed_by(other));
        if own == other {
            assert!(outcome.is_ok(), "{own}");
        } else {
            assert_eq!(outcome.unwrap_err(), TokenError::WrongAlgorithm, "{own} {other}");
        }
    }
}

#[test]
fn keys_for_another_kind_of_algorithm_are_refused() {
    let (rsa, p256, edwards) =
        (Signer::new(Algorithm::Rs256), Signer::new(Algorithm::Es256), Signer::new(Algorithm::EdDsa));
    for signer in [&rsa, &p256, &edwards] {
        for algorithm in ASYMMETRIC.into_iter().chain([Algorithm::Hs256]) {
            let fits = match signer.algorithm {
                Algorithm::Rs256 => ASYMMETRIC[..6].contains(&algorithm),
                own => own == algorithm,
            };
            let key = VerificationKey::from_pem(algorithm, signer.pem().as_bytes());
            assert_eq!(key.is_ok(), fits, "{} as {algorithm}", signer.algorithm);
            assert!(key.is_ok() || key.unwrap_err().kind() == ErrorKind::InvalidKey);
        }
    }
    assert!(VerificationKey::from_secret(Algorithm::Rs256, &[1; 64]).is_err());
}

#[test]
fn weak_keys_are_refused() {
    for (algorithm, shortest) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        assert!(VerificationKey::from_secret(algorithm, &vec![1; shortest]).is_ok());
        assert!(VerificationKey::from_secret(algorithm, &vec![1; shortest - 1]).is_err());
    }
    let usable = |n: &[u8], e: &[u8]| {
        let jwk = json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)});
        JwkSet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap().keys().len() == 1
    };
    assert!(usable(&[0xff; 256], &[1, 0, 1]));
    assert!(!usable(&[0xff; 255], &[1, 0, 1]), "2040 bits");
    assert!(!usable(&[&[0; 200][..], &[0xff; 128]].concat(), &[1, 0, 1]), "1024 bits behind zeros");
    assert!(!usable(&[0xff; 1025], &[1, 0, 1]), "more than 8192 bits");
    for exponent in [&[1][..], &[0, 1], &[], &[2], &[1, 0, 0, 0, 1]] {
        assert!(!usable(&[0xff; 256], exponent), "{exponent:?}");
    }
}

#[test]
fn a_pem_is_one_public_key() {
    let signer = Signer::new(Algorithm::EdDsa);
    let parse = |text: &str| VerificationKey::from_pem(Algorithm::EdDsa, text.as_bytes());
    assert!(parse(&signer.pem()).is_ok());
    assert!(parse(&(signer.pem() + &Signer::new(Algorithm::EdDsa).pem())).is_err());
    assert!(parse(&signer.pem().replace("PUBLIC", "PRIVATE")).is_err());
    assert!(parse(&signer.pem().replace("PUBLIC KEY", "CERTIFICATE")).is_err());
    assert!(parse(&pem("PUBLIC KEY", &[1, 2, 3])).is_err());
    assert!(parse("").is_err());
}

#[test]
fn core_20_keys_and_tokens_are_not_printed() {
    let verifier = simple(&TestClock::new());
    let token = verifier.verify(&hs256(&good_claims())).unwrap();
    let key = VerificationKey::from_secret(Algorithm::Hs256, b"Zw-secret-secret-secret-secret-32")
        .unwrap()
        .with_tenant_id(super::id(99_871));
    let printed = format!("{verifier:?} {token:?} {key:?} {:?}", issuer().with_key(key.clone()));
    for hidden in ["secret", "Zw", "90, 119", "alice", "t-1", "orders profile", "99871", "eyJ"] {
        assert!(!printed.contains(hidden), "{hidden} in {printed}");
    }
    assert!(printed.contains("Hs256"));
}
