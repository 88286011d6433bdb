//! A token as it arrives, and what is left of it once its signature is known to be right.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{Registered, present};
use super::key::VerificationKey;
use super::{TokenError, TokenVerifier};

/// A compact token, taken apart. Nobody has checked it: it says which key to look up, and nothing else.
pub(super) struct Untrusted<'t> {
    message: &'t [u8],
    signature: Vec<u8>,
    header: Header,
    payload: String,
    registered: Registered,
}

/// What is read of the header. Where a token says that its key is to be found (`jku`, `x5u`, `jwk`, `x5c`) is not
/// among it (TWR-43).
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    /// Extensions that must be understood: none is (RFC 7515, section 4.1.11).
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// The claims of a token whose signature is right: read from the very bytes that were signed.
pub(super) struct Authentic {
    pub(super) registered: Registered,
    pub(super) payload: String,
    token_type: Option<String>,
}

impl<'t> Untrusted<'t> {
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, TokenError> {
        if token.len() > TokenVerifier::MAX_TOKEN_LEN {
            return Err(TokenError::TooLong);
        }
        let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Malformed);
        };
        let header: Header = parse_object(&decode(&token[..first])?)?;
        if header.crit.is_some() {
            return Err(TokenError::CriticalExtension);
        }
        let payload = decode(&token[first + 1..second])?;
        let registered = parse_object(&payload)?;
        let payload = String::from_utf8(payload).map_err(|_| TokenError::Malformed)?;
        let signature = decode(&token[second + 1..])?;
        Ok(Self { message: &token[..second], signature, header, payload, registered })
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.registered.iss.as_deref()
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Checks the signature by `key` and its algorithm. What the token calls its algorithm must be the same, and decides
    /// nothing (TWR-40, TWR-41).
    pub(super) fn verify(self, key: &VerificationKey) -> Result<Authentic, TokenError> {
        if !key.algorithm().is_named(&self.header.alg) {
            return Err(TokenError::WrongAlgorithm);
        }
        if !key.verifies(self.message, &self.signature) {
            return Err(TokenError::WrongSignature);
        }
        let Self { registered, payload, header, .. } = self;
        Ok(Authentic { registered, payload, token_type: header.typ })
    }
}

impl Authentic {
    /// The media type that the token says it is, without `application/` and in lower case (RFC 7515, section 4.1.9).
    pub(super) fn token_type(&self) -> Option<String> {
        let name = self.token_type.as_deref()?.to_ascii_lowercase();
        Some(name.strip_prefix("application/").map(str::to_owned).unwrap_or(name))
    }
}

/// Base64url without padding, in its one canonical form: unused bits must be zero.
fn decode(part: &[u8]) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// Reads a JSON object. An array would fill the fields of a struct by position, so it is ruled out first.
fn parse_object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, TokenError> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(TokenError::Malformed);
    }
    serde_json::from_slice(json).map_err(|_| TokenError::Malformed)
}
