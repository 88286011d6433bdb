//! Why a token is refused.

use std::error::Error as StdError;
use std::fmt;

use crate::{SignalError, SignalKind};

/// Why a token is refused: for logs and metrics, never for the client, who learns that it was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum TokenError {
    /// The header that carries the token stands there more than once.
    Repeated,
    /// The header that carries the token cannot be read.
    MalformedHeader,
    /// The token is longer than [`TokenVerifier::MAX_TOKEN_LEN`](super::TokenVerifier::MAX_TOKEN_LEN).
    TooLong,
    /// The text is no token, or a registered claim has the wrong type.
    Malformed,
    /// The token demands an extension that is not understood.
    CriticalExtension,
    /// The token is of another type, such as a logout token.
    WrongType,
    /// The issuer is missing or not configured.
    UnknownIssuer,
    /// The issuer has no such key.
    UnknownKey,
    /// The token names another algorithm than its key is for.
    WrongAlgorithm,
    /// The signature does not belong to the text.
    WrongSignature,
    /// The token does not say when it expires.
    NoExpiry,
    /// The token has expired.
    Expired,
    /// The token is not valid yet, or was issued in the future.
    NotYetValid,
    /// The token does not say when it was issued, and a maximum age is set.
    NoIssueTime,
    /// The token is older than the maximum age.
    TooOld,
    /// The token is not meant for this service.
    WrongAudience,
    /// The token names no tenant.
    NoTenant,
    /// The tenant claim is not a canonical name.
    MalformedTenant,
    /// The key that signed the token is not a key of the tenant that the token names.
    ForeignKey,
    /// The token was revoked, or everything that was issued to its subject or tenant at its time.
    Revoked,
    /// The issuer's keys are not at hand, and were asked for.
    KeysUnavailable,
}

impl TokenError {
    /// Returns a short name for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::MalformedHeader => "malformed_header",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::CriticalExtension => "critical_extension",
            Self::WrongType => "wrong_type",
            Self::UnknownIssuer => "unknown_issuer",
            Self::UnknownKey => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::WrongSignature => "wrong_signature",
            Self::NoExpiry => "no_expiry",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NoIssueTime => "no_issue_time",
            Self::TooOld => "too_old",
            Self::WrongAudience => "wrong_audience",
            Self::NoTenant => "no_tenant",
            Self::MalformedTenant => "malformed_tenant",
            Self::ForeignKey => "foreign_key",
            Self::Revoked => "revoked",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeated => "the request has more than one token",
            Self::MalformedHeader => "the header that carries the token is malformed",
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is malformed",
            Self::CriticalExtension => "the token demands an unknown extension",
            Self::WrongType => "the token is of another type",
            Self::UnknownIssuer => "the token's issuer is not known",
            Self::UnknownKey => "the token's key is not known",
            Self::WrongAlgorithm => "the token names another algorithm than its key",
            Self::WrongSignature => "the token's signature is wrong",
            Self::NoExpiry => "the token does not say when it expires",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::NoIssueTime => "the token does not say when it was issued",
            Self::TooOld => "the token is too old",
            Self::WrongAudience => "the token is meant for another service",
            Self::NoTenant => "the token names no tenant",
            Self::MalformedTenant => "the token's tenant is malformed",
            Self::ForeignKey => "the token's key belongs to another tenant",
            Self::Revoked => "the token was revoked",
            Self::KeysUnavailable => "the issuer's keys are not at hand",
        })
    }
}

impl StdError for TokenError {}

/// What the resolver makes of it: all that is wrong with a token itself is one and the same.
impl From<TokenError> for SignalError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Repeated => Self::Repeated(SignalKind::Token),
            TokenError::MalformedHeader => Self::Malformed(SignalKind::Token),
            TokenError::KeysUnavailable => Self::KeysUnavailable,
            _ => Self::InvalidToken,
        }
    }
}
