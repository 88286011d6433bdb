//! A token that was verified before, beside a header, on the same requests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tenancy_core::jwt::{Algorithm, Issuer, JwtStrategy, TokenVerifier, VerificationKey};
use tenancy_testkit::gate::Group;

use super::{BUSY, GroupExt, TENANTS, around, header, scope};
use crate::fixture::{Bare, Requests, tenants};

const ISSUER: &str = "https://id.shops.example";
const AUDIENCE: &str = "orders-api";
const SECRET: [u8; 32] = [7; 32];

/// The layer with a header, and with a token that it remembers: each is verified in the first turn.
pub(super) fn beside_header(group: Group) -> Group {
    let requests = Requests::authorized(BUSY, TENANTS, |id| format!("Bearer {}", token(id)));
    let catalog = tenants(TENANTS);
    group
        .with_service("bare", Bare, requests.clone())
        .with_service("header", around(&scope(catalog.clone(), header())), requests.clone())
        .with_service("cached", around(&scope(catalog, JwtStrategy::new(verifier()))), requests)
}

fn verifier() -> TokenVerifier {
    let key = VerificationKey::from_secret(Algorithm::Hs256, &SECRET).expect("the secret is long enough");
    let issuer = Issuer::new(ISSUER, AUDIENCE).with_key(key);
    TokenVerifier::builder().with_issuer(issuer).build().expect("one issuer makes a verifier")
}

/// Returns a token of the tenant number `id`, good for longer than any measurement.
fn token(id: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 24 * 3600,
        "sub": format!("user-{id}"), "tenant_id": id.to_string(), "scope": "orders:read orders:write",
    });
    let key = EncodingKey::from_secret(&SECRET);
    encode(&Header::new(jsonwebtoken::Algorithm::HS256), &claims, &key).expect("a secret signs")
}
