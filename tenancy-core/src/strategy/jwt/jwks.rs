//! Key sets (RFC 7517), and where an issuer's set comes from.

use std::error::Error as StdError;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::Algorithm;
use super::key::{VerificationKey, invalid};
use crate::Error;
use crate::catalog::BoxFuture;

/// Fetches the key set of one issuer, by the service's own HTTP client.
///
/// Where the set is fetched from is configured here and never taken from a token: the headers `jku`, `x5u`, `jwk` and
/// `x5c` are ignored (TWR-43). Give the request a timeout and a limit for its answer.
///
/// # Examples
///
/// ```
/// use tenancy_core::BoxFuture;
/// use tenancy_core::jwt::{FetchError, JwksSource};
///
/// #[derive(Debug)]
/// struct Provider {
///     url: &'static str,
/// }
///
/// # async fn get(url: &str) -> Result<Vec<u8>, std::io::Error> { Ok(Vec::new()) }
/// impl JwksSource for Provider {
///     fn fetch(&self) -> BoxFuture<Result<Vec<u8>, FetchError>> {
///         let url = self.url;
///         Box::pin(async move { Ok(get(url).await?) })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fetch key sets",
    note = "implement `JwksSource`: one method, which returns the document of the issuer's `jwks_uri`"
)]
pub trait JwksSource: fmt::Debug + Send + Sync + 'static {
    /// Fetches the document.
    ///
    /// # Errors
    ///
    /// Returns whatever went wrong; the keys that are known stay in use until they are stale.
    fn fetch(&self) -> BoxFuture<Result<Vec<u8>, FetchError>>;
}

/// Why a key set could not be fetched.
pub type FetchError = Box<dyn StdError + Send + Sync>;

/// The keys of a key set that verify tokens.
///
/// Keys of other kinds and for other purposes, weak ones, secrets and published private keys are left out, as RFC 7517,
/// section 5 asks. A key without `alg` is for the algorithm of its curve, or RS256. Secrets have no place in a document
/// that is published: use [`VerificationKey::from_secret`].
///
/// # Examples
///
/// ```
/// use tenancy_core::jwt::{Algorithm, JwkSet};
///
/// let set = JwkSet::parse(br#"{"keys": [
///     {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kty": "oct", "kid": "b", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMko"}
/// ]}"#)?;
/// assert_eq!(set.keys()[0].algorithm(), Algorithm::EdDsa);
/// assert_eq!(set.skipped(), 1);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JwkSet {
    keys: Vec<VerificationKey>,
    skipped: usize,
}

impl JwkSet {
    /// The longest document, in bytes.
    pub const MAX_LEN: usize = 1 << 20;

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey) if the document is no key set, is too long, or has
    /// two usable keys of one name, so that it does not say which of them verifies a token.
    pub fn parse(document: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        if document.len() > Self::MAX_LEN {
            return Err(invalid("a key set has at most one megabyte"));
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|_| invalid("the document is no key set"))?;
        let total = document.keys.len();
        let keys: Vec<_> = document.keys.into_iter().filter_map(read_key).collect();
        let mut ids: Vec<_> = keys.iter().map(VerificationKey::id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(invalid("two keys of the key set have one name"));
        }
        Ok(Self { skipped: total - keys.len(), keys })
    }

    /// Returns the keys that verify tokens.
    #[must_use]
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// Returns how many keys were left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    pub(super) fn into_keys(self) -> Vec<VerificationKey> {
        self.keys
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private part: whoever could read the document can sign.
    d: Option<IgnoredAny>,
}

fn read_key(value: serde_json::Value) -> Option<VerificationKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let signs = jwk.r#use.as_deref().is_none_or(|usage| usage == "sig");
    let verifies = jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs || !verifies || jwk.d.is_some() {
        return None;
    }
    let algorithm = jwk.algorithm()?;
    let key = match jwk.kty.as_str() {
        "RSA" => VerificationKey::from_rsa(algorithm, &decode(&jwk.n)?, &decode(&jwk.e)?),
        "EC" => {
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            // Both coordinates have their full length (RFC 7518, section 6.2.1.2).
            if x.len() != y.len() {
                return None;
            }
            VerificationKey::from_point(algorithm, &[&[4], &*x, &*y].concat())
        }
        _ => VerificationKey::from_edwards(&decode(&jwk.x)?),
    };
    let key = key.ok()?;
    Some(match &jwk.kid {
        Some(id) => key.with_id(id),
        None => key,
    })
}

impl Jwk {
    /// The one algorithm of the key: what it says, if that fits its kind, or what its kind allows.
    fn algorithm(&self) -> Option<Algorithm> {
        use super::algorithm::Family;
        let (family, usual) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (Family::Rsa, Algorithm::Rs256),
            ("EC", Some("P-256")) => (Family::Elliptic, Algorithm::Es256),
            ("EC", Some("P-384")) => (Family::Elliptic, Algorithm::Es384),
            ("OKP", Some("Ed25519")) => (Family::Edwards, Algorithm::EdDsa),
            _ => return None,
        };
        let Some(name) = &self.alg else { return Some(usual) };
        let named = Algorithm::from_name(name)?;
        let fits = named.family() == family && (family == Family::Rsa || named == usual);
        fits.then_some(named)
    }
}

fn decode(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()
}
