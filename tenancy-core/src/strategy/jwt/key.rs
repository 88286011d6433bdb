//! The keys that verify tokens.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

use super::algorithm::{Algorithm, Family};
use crate::{Error, ErrorKind, TenantId, TenantKey, TenantSlug};

/// A key that verifies tokens, with the one algorithm it is for and, if it is a tenant's own, whose it is.
///
/// Keys that are too weak are refused: RSA below 2048 bits, and secrets shorter than their hash (RFC 7518, sections 3.2
/// and 3.3).
///
/// # Examples
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_core::jwt::{Algorithm, VerificationKey};
///
/// let of_the_platform = VerificationKey::from_secret(Algorithm::Hs256, &[7; 32])?.with_id("2026-10");
/// let of_one_tenant = VerificationKey::from_pem(
///     Algorithm::EdDsa,
///     b"-----BEGIN PUBLIC KEY-----\n\
///       MCowBQYDK2VwAyEA2+Jj2UvNCvQiUPNYRgSi0cJSPiJI6Rs6D0UTeEpQVj8=\n\
///       -----END PUBLIC KEY-----\n",
/// )?
/// .with_id("acme-1")
/// .with_tenant_id(TenantId::integer(42)?);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone)]
pub struct VerificationKey {
    algorithm: Algorithm,
    id: Option<Box<str>>,
    tenant: Option<TenantKey<'static>>,
    material: DecodingKey,
}

impl VerificationKey {
    /// Returns the key that is `secret`, shared with the issuer.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidKey`] if `algorithm` is not HMAC or the secret is shorter than its hash.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Error> {
        if algorithm.family() != Family::Secret {
            return Err(invalid("a secret is for an HMAC algorithm"));
        }
        if secret.len() < algorithm.shortest_secret() {
            return Err(invalid("an HMAC secret is at least as long as its hash"));
        }
        Ok(Self::new(algorithm, DecodingKey::from_secret(secret)))
    }

    /// Returns the public key that `pem` holds.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidKey`] if `pem` is not exactly one public key, or not one for `algorithm`. Private
    /// keys and certificates are refused: the first do not belong here, and what the second say beside the key would be
    /// ignored.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(pem).map_err(|_| invalid("a PEM is text"))?;
        let public = ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"];
        let one = text.matches("-----BEGIN").count() == 1;
        if !one || !public.iter().any(|label| text.contains(label)) {
            return Err(invalid("a PEM holds one public key"));
        }
        let unreadable = |_| invalid("the PEM is no public key for this algorithm");
        match algorithm.family() {
            Family::Secret => Err(invalid("a public key is not for an HMAC algorithm")),
            Family::Rsa => {
                let key = DecodingKey::from_rsa_pem(pem).map_err(unreadable)?;
                let der = key.try_get_as_bytes().map_err(unreadable)?;
                let components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
                let (modulus, exponent) = components(der).map_err(unreadable)?;
                Self::from_rsa(algorithm, &modulus, &exponent)
            }
            Family::Elliptic => {
                let key = DecodingKey::from_ec_pem(pem).map_err(unreadable)?;
                Self::from_point(algorithm, key.try_get_as_bytes().map_err(unreadable)?)
            }
            Family::Edwards => {
                let key = DecodingKey::from_ed_pem(pem).map_err(unreadable)?;
                Self::from_edwards(key.try_get_as_bytes().map_err(unreadable)?)
            }
        }
    }

    pub(super) fn from_rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(invalid("an RSA key has 2048 to 8192 bits"));
        }
        // An exponent of 1 would make every text its own signature.
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > 4 {
            return Err(invalid("an RSA exponent is odd, above 1 and below 2^32"));
        }
        Ok(Self::new(algorithm, DecodingKey::from_rsa_raw_components(modulus, exponent)))
    }

    /// `point` is uncompressed (SEC 1, section 2.3.3).
    pub(super) fn from_point(algorithm: Algorithm, point: &[u8]) -> Result<Self, Error> {
        if point.len() != 1 + 2 * algorithm.coordinate() || point[0] != 4 {
            return Err(invalid("the point is not on the algorithm's curve"));
        }
        Ok(Self::new(algorithm, DecodingKey::from_ec_der(point)))
    }

    pub(super) fn from_edwards(point: &[u8]) -> Result<Self, Error> {
        if point.len() != 32 {
            return Err(invalid("an Ed25519 key has 32 bytes"));
        }
        Ok(Self::new(Algorithm::EdDsa, DecodingKey::from_ed_der(point)))
    }

    fn new(algorithm: Algorithm, material: DecodingKey) -> Self {
        Self { algorithm, id: None, tenant: None, material }
    }

    /// Names the key: it verifies the tokens whose `kid` is exactly this.
    ///
    /// A key without a name verifies the tokens without a `kid`.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives the key to one tenant: it verifies the tokens whose claim is this id, and no others (TWR-42).
    #[must_use]
    pub fn with_tenant_id(mut self, id: TenantId) -> Self {
        self.tenant = Some(TenantKey::Id(id));
        self
    }

    /// Gives the key to one tenant: it verifies the tokens whose claim is this slug, and no others (TWR-42).
    ///
    /// A slug can pass to another tenant; where tokens name tenants by id, bind keys to ids.
    #[must_use]
    pub fn with_tenant_slug(mut self, slug: TenantSlug) -> Self {
        self.tenant = Some(TenantKey::Slug(slug));
        self
    }

    /// Returns the algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the key's name.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whose key it is, or `None` if it is the whole platform's.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantKey<'static>> {
        self.tenant.as_ref()
    }

    pub(super) fn bind(&mut self, tenant: &TenantKey<'static>) -> Result<(), Error> {
        match &self.tenant {
            Some(own) if own != tenant => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a key and its issuer belong to different tenants",
            )),
            _ => {
                self.tenant = Some(tenant.clone());
                Ok(())
            }
        }
    }

    /// Returns whether `signature` is this key's under `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        // The backend is named rather than taken from the process's default: that one panics where another crate of the
        // program has switched on a second backend.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.to_backend(), &self.material);
        verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }

    /// Returns whether the two are the same key, down to the last byte.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        use jsonwebtoken::DecodingKeyKind as Kind;
        let material = match (self.material.kind(), other.material.kind()) {
            (Kind::SecretOrDer(left), Kind::SecretOrDer(right)) => left == right,
            (Kind::RsaModulusExponent { n, e }, Kind::RsaModulusExponent { n: n2, e: e2 }) => {
                n == n2 && e == e2
            }
            _ => false,
        };
        let labels = self.algorithm == other.algorithm && self.id == other.id && self.tenant == other.tenant;
        material && labels
    }
}

/// Shows the algorithm and the name. Key material and tenant are never printed (CORE-20).
impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

pub(super) fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidKey, reason)
}
