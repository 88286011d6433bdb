//! Tokens: verified before, beside a header; and never seen before, beside what `jsonwebtoken` alone takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, Issuer, JwtStrategy, TokenVerifier, VerificationKey};
use tenancy_testkit::gate::Group;

use super::{BUSY, GroupExt, TENANTS, around, header, scope};
use crate::fixture::{Bare, Requests, tenants};

const ISSUER: &str = "https://id.shops.example";
const AUDIENCE: &str = "orders-api";
const SECRET: [u8; 32] = [7; 32];

/// The layer with a header, and with a token that it remembers: each is verified in the first turn.
pub(super) fn beside_header(group: Group) -> Group {
    let keys = secret();
    let requests = Requests::authorized(BUSY, TENANTS, |id| format!("Bearer {}", keys.token(id)));
    let catalog = tenants(TENANTS);
    group
        .with_service("bare", Bare, requests.clone())
        .with_service("header", around(&scope(catalog.clone(), header())), requests.clone())
        .with_service("cached", around(&scope(catalog, JwtStrategy::new(keys.verifier(8192)))), requests)
}

/// Tokens that are verified anew each time, by a shared secret and by an elliptic curve.
pub(super) fn cold(group: Group) -> Group {
    let group = secret().beside_library(group, "hs256");
    elliptic().beside_library(group, "es256")
}

/// What signs, and what verifies what it signed.
struct Keys {
    algorithm: jsonwebtoken::Algorithm,
    signing: EncodingKey,
    library: DecodingKey,
    ours: VerificationKey,
}

fn secret() -> Keys {
    Keys {
        algorithm: jsonwebtoken::Algorithm::HS256,
        signing: EncodingKey::from_secret(&SECRET),
        library: DecodingKey::from_secret(&SECRET),
        ours: VerificationKey::from_secret(Algorithm::Hs256, &SECRET).expect("the secret is long enough"),
    }
}

fn elliptic() -> Keys {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a pair is made");
    let private = pair.to_pkcs8v1().expect("a private key can be written");
    let public = pair.public_key().as_der().expect("a public key can be written");
    let lines = STANDARD.encode(public.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n");
    Keys {
        algorithm: jsonwebtoken::Algorithm::ES256,
        signing: EncodingKey::from_ec_der(private.as_ref()),
        library: DecodingKey::from_ec_pem(pem.as_bytes()).expect("it is a public key"),
        ours: VerificationKey::from_pem(Algorithm::Es256, pem.as_bytes()).expect("it is a public key"),
    }
}

impl Keys {
    /// Returns a verifier that remembers `capacity` tokens.
    fn verifier(self, capacity: usize) -> TokenVerifier {
        let issuer = Issuer::new(ISSUER, AUDIENCE).with_key(self.ours);
        let builder = TokenVerifier::builder().with_cache_capacity(capacity).with_issuer(issuer);
        builder.build().expect("one issuer makes a verifier")
    }

    /// Returns a token of the tenant number `id`, good for longer than any measurement.
    fn token(&self, id: usize) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 24 * 3600,
            "sub": format!("user-{id}"), "tenant_id": id.to_string(), "scope": "orders:read orders:write",
        });
        encode(&Header::new(self.algorithm), &claims, &self.signing).expect("a key signs")
    }

    /// Adds what the library takes for a token, with the same checks, and what a verifier without a memory takes.
    fn beside_library(self, group: Group, name: &str) -> Group {
        let tokens: Vec<String> = (1..=BUSY).map(|id| self.token(id)).collect();
        let mut validation = Validation::new(self.algorithm);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        let (library, mut turns) = (self.library.clone(), tokens.clone().into_iter().cycle());
        let group = group.with_bench(format!("library-{name}"), move || {
            let token = turns.next().expect("a cycle has no end");
            decode::<Value>(&token, &library, &validation).expect("the token is good")
        });
        let (verifier, mut turns) = (self.verifier(0), tokens.into_iter().cycle());
        group.with_bench(format!("verified-{name}"), move || {
            let token = turns.next().expect("a cycle has no end");
            verifier.verify(&token).expect("the token is good")
        })
    }
}
