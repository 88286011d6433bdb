//! The claims that decide whether a token is good.

use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use super::TokenError;
use crate::TenantKey;
use crate::strategy::NamedBy;

/// The registered claims (RFC 7519, section 4.1) and the scopes. One that has the wrong type, is null or stands there
/// twice makes the token malformed.
#[derive(Deserialize)]
pub(super) struct Registered {
    #[serde(default, deserialize_with = "present")]
    pub(super) iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Names>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<Names>,
    #[serde(default, deserialize_with = "present")]
    scp: Option<Names>,
}

/// A claim that may be missing and may not be null.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// Seconds since 1970: a JSON number that is not negative (RFC 7519, section 2). Fractions are rounded to the side of
/// refusal.
#[derive(Clone, Copy)]
struct NumericDate {
    floor: u64,
    ceiling: u64,
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E>(self, value: u64) -> Result<NumericDate, E> {
                Ok(NumericDate { floor: value, ceiling: value })
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<NumericDate, E> {
                // Above 2^53 a float does not know its own seconds.
                if !(0.0..=9_007_199_254_740_992.0).contains(&value) {
                    return Err(E::custom("no date"));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the range was checked"
                )]
                let date = NumericDate { floor: value.floor() as u64, ceiling: value.ceil() as u64 };
                Ok(date)
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// The rules for a token's dates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    pub(super) leeway: Duration,
    pub(super) oldest: Option<Duration>,
}

/// When a token is valid by the wall clock, in seconds since 1970, leeway included: from the first, before the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Validity {
    pub(super) fn contains(self, now: Duration) -> bool {
        (self.from..self.until).contains(&now.as_secs())
    }
}

impl Registered {
    /// Returns when the token is valid, if it is valid `now` (TWR-44).
    pub(super) fn validity(&self, ages: Ages, now: Duration) -> Result<Validity, TokenError> {
        let (leeway, now) = (ages.leeway.as_secs(), now.as_secs());
        let expires = self.exp.ok_or(TokenError::NoExpiry)?.floor.saturating_add(leeway);
        if now >= expires {
            return Err(TokenError::Expired);
        }
        let mut until = expires;
        if let Some(oldest) = ages.oldest {
            let issued = self.iat.ok_or(TokenError::NoIssueTime)?.floor;
            until = until.min(issued.saturating_add(oldest.as_secs()).saturating_add(leeway));
            if now >= until {
                return Err(TokenError::TooOld);
            }
        }
        // A token from the future shows that a clock is wrong; its other dates mean nothing then.
        let begins = [self.nbf, self.iat].into_iter().flatten().map(|date| date.ceiling).max();
        let from = begins.unwrap_or(0).saturating_sub(leeway);
        if now < from {
            return Err(TokenError::NotYetValid);
        }
        Ok(Validity { from, until })
    }

    /// Returns whether the token is meant for one of `audiences`.
    pub(super) fn is_for(&self, audiences: &[Box<str>]) -> bool {
        let among = |name: &String| audiences.iter().any(|audience| **audience == **name);
        match &self.aud {
            Some(Names::One(name)) => among(name),
            Some(Names::Several(names)) => names.iter().any(among),
            None => false,
        }
    }

    pub(super) fn issued_at(&self) -> Option<u64> {
        self.iat.map(|date| date.floor)
    }

    pub(super) fn expires_at(&self) -> Option<u64> {
        self.exp.map(|date| date.floor)
    }

    /// Takes the scopes out: `scope` is one text with blanks between them (RFC 8693, section 4.2), `scp` the list that
    /// some providers use.
    pub(super) fn take_scopes(&mut self) -> Box<[Box<str>]> {
        match self.scope.take().or_else(|| self.scp.take()) {
            Some(Names::One(text)) => text.split_ascii_whitespace().map(Box::from).collect(),
            Some(Names::Several(names)) => names.into_iter().map(String::into_boxed_str).collect(),
            None => Box::default(),
        }
    }
}

/// Which claim names the tenant, and how.
#[derive(Clone, Debug)]
pub(super) struct TenantClaim {
    pub(super) name: Box<str>,
    pub(super) named_by: NamedBy,
    pub(super) optional: bool,
}

impl TenantClaim {
    /// Returns the tenant that the claims name. Only a text is one: nothing is coerced (TWR-45).
    pub(super) fn read(&self, payload: &str) -> Result<Option<TenantKey<'static>>, TokenError> {
        struct Find<'n>(&'n str);
        impl<'de> Visitor<'de> for Find<'_> {
            type Value = Option<serde_json::Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name != self.0 {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    } else if found.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom("repeated"));
                    }
                }
                Ok(found)
            }
        }
        let mut json = serde_json::Deserializer::from_str(payload);
        let found = json.deserialize_map(Find(&self.name)).map_err(|_| TokenError::MalformedTenant)?;
        match found {
            None => Ok(None),
            Some(serde_json::Value::String(text)) => {
                self.named_by.parse(&text).map(Some).map_err(|_| TokenError::MalformedTenant)
            }
            Some(_) => Err(TokenError::MalformedTenant),
        }
    }
}
