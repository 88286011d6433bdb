//! Credentials: how they are minted, and how the service reads them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, Issuer, TokenVerifier, VerificationKey};
use tenancy_core::{NamedBy, RequestHead, Signal, SignalError, SignalKind, Strategy, TenantKey, Trust};

use crate::options::TenantSeed;
use crate::{Error, Variant};

/// The tenants' hosts are one label below this domain.
pub const BASE_DOMAIN: &str = "orders.example";

const ISSUER: &str = "https://id.orders.example";
const AUDIENCE: &str = "orders";
const SECRET: &[u8] = b"the reference application signs its tokens with this";
pub(crate) const ADMIN_KEY: &str = "administrators-of-the-platform";

/// What a caller sends to act for a tenant, or as an administrator.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The host that the request is addressed to.
    pub host: String,
    /// Headers beside it.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Credential {
    pub(crate) fn tenant(tenant: &TenantSeed) -> Result<Self, Error> {
        let bearer = format!("Bearer {}", token(&tenant.id)?);
        Ok(Self {
            host: format!("{}.{BASE_DOMAIN}", tenant.slug),
            headers: vec![
                (header::AUTHORIZATION, bearer.try_into()?),
                (HeaderName::from_static("x-tenant-id"), tenant.id.as_str().try_into()?),
            ],
        })
    }

    pub(crate) fn admin() -> Self {
        let key = (HeaderName::from_static("x-admin-key"), HeaderValue::from_static(ADMIN_KEY));
        Self { host: BASE_DOMAIN.to_owned(), headers: vec![key] }
    }

    /// Adds the credential to a request.
    #[must_use]
    pub fn apply(&self, request: http::request::Builder) -> http::request::Builder {
        let request = request.header(header::HOST, &self.host);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// Signs a token for the tenant `id`, good for an hour (HS256).
pub(crate) fn token(id: &str) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "user", "iat": now, "exp": now + 3600, "tenant": id});
    Ok(encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET))?)
}

/// Reads the tenant from a request's token.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    verifier: TokenVerifier,
    variant: Variant,
    /// The signatures that were found good.
    seen: Arc<Mutex<HashSet<String>>>,
}

impl Tokens {
    pub(crate) fn new(variant: Variant) -> Result<Self, Error> {
        let key = VerificationKey::from_secret(Algorithm::Hs256, SECRET)?;
        let verifier = TokenVerifier::builder()
            .with_issuer(Issuer::new(ISSUER, AUDIENCE).with_key(key))
            .with_tenant_claim("tenant", NamedBy::Id)
            .with_leeway(Duration::from_secs(1))
            .build()?;
        Ok(Self { verifier, variant, seen: Arc::default() })
    }

    /// Returns the tenant of the request's token, `None` without one.
    pub(crate) fn tenant(&self, headers: &HeaderMap) -> Result<Option<TenantKey<'static>>, SignalError> {
        if self.variant == Variant::M26
            && let Some(known) = self.remembered(headers)
        {
            return Ok(Some(known));
        }
        let token = self.verifier.verify_request(headers).map_err(|_| SignalError::InvalidToken)?;
        Ok(token.and_then(|token| token.tenant().cloned()))
    }

    /// The mistake of M26: a signature that was good once is good for any claims.
    fn remembered(&self, headers: &HeaderMap) -> Option<TenantKey<'static>> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let (message, signature) = token.rsplit_once('.')?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(signature) {
            if self.verifier.verify(token).is_ok() {
                seen.insert(signature.to_owned());
            }
            return None;
        }
        let payload =
            jsonwebtoken::dangerous::insecure_decode::<Value>(&format!("{message}.{signature}")).ok()?;
        NamedBy::Id.parse(payload.claims["tenant"].as_str()?).ok()
    }
}

impl Strategy for Tokens {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let key = self.tenant(head.headers)?;
        Ok(key.map(|key| Signal { kind: SignalKind::Token, key, trust: Trust::Strong }))
    }
}

/// The mistakes of M25, M28 and M30: a reading of `x-tenant-id` that forgives.
#[derive(Clone, Debug)]
pub(crate) struct LooseHeader(pub(crate) Variant);

impl Strategy for LooseHeader {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let mut lines = head.headers.get_all("x-tenant-id").iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if self.0 != Variant::M28 && lines.next().is_some() {
            return Err(SignalError::Repeated(SignalKind::Header));
        }
        let text = line.to_str().ok().filter(|text| text.is_ascii());
        let Some(key) = text.and_then(|text| NamedBy::Id.parse(text).ok()) else {
            let ignored = self.0 == Variant::M30;
            return if ignored { Ok(None) } else { Err(SignalError::Malformed(SignalKind::Header)) };
        };
        let trust = if self.0 == Variant::M25 { Trust::Strong } else { Trust::Weak };
        Ok(Some(Signal { kind: SignalKind::Header, key, trust }))
    }
}
