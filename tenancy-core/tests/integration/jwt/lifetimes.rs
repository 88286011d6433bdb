//! Remembered tokens: how long, by two clocks.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tenancy_core::Clock;
use tenancy_core::jwt::{TokenError, TokenVerifier, WallClock};

use super::{NOW, TestClock, builder, claims, hs256, issuer, seconds, secret_key, simple};

fn token(changes: Value) -> String {
    hs256(&claims(changes))
}

#[test]
fn a_remembered_token_expires_to_the_second() {
    let clock = TestClock::new();
    let verifier = simple(&clock);
    let token = token(json!({"exp": NOW + 60}));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(seconds(59));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(Duration::from_millis(999));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(Duration::from_millis(1));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Expired);
}

/// A clock that goes on by ten milliseconds at a time.
#[derive(Debug)]
struct Coarse(TestClock);

impl Clock for Coarse {
    fn now(&self) -> Duration {
        let millis = self.0.now().as_millis() / 10 * 10;
        Duration::from_millis(u64::try_from(millis).unwrap())
    }

    fn resolution(&self) -> Duration {
        Duration::from_millis(10)
    }
}

impl WallClock for Coarse {
    fn wall(&self) -> SystemTime {
        self.0.wall()
    }
}

#[test]
fn a_clock_that_lags_behind_does_not_lengthen_a_tokens_life() {
    let millis = Duration::from_millis;
    let clock = TestClock::new();
    // The date is between two of the clock's steps when the clock is at one.
    clock.pass(millis(5));
    clock.set_wall(NOW);
    let lagging = TokenVerifier::builder().with_clock(Coarse(clock.clone())).with_leeway(Duration::ZERO);
    let verifier = lagging.with_issuer(issuer().with_key(secret_key())).build().unwrap();
    let token = token(json!({"exp": NOW + 60}));
    clock.pass(millis(5));
    let first = verifier.verify(&token).unwrap();
    clock.pass(millis(59_700));
    let second = verifier.verify(&token).unwrap();
    assert!(
        std::ptr::eq(first.claims_json(), second.claims_json()),
        "the date was asked for, and is not yet again"
    );
    clock.pass(millis(294));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(millis(1));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Expired);
}

#[test]
fn a_remembered_token_keeps_to_the_maximum_age() {
    let clock = TestClock::new();
    let limited = builder(&clock).with_max_age(seconds(60)).with_issuer(issuer().with_key(secret_key()));
    let limited = limited.build().unwrap();
    let token = token(json!({}));
    assert!(limited.verify(&token).is_ok());
    clock.pass(seconds(60));
    assert_eq!(limited.verify(&token).unwrap_err(), TokenError::TooOld);
    assert!(simple(&clock).verify(&token).is_ok());
}

/// DIR-10: the time that has passed counts, whatever the wall clock says.
#[test]
fn a_wall_clock_that_is_set_back_does_not_lengthen_a_tokens_life() {
    let clock = TestClock::new();
    let verifier = simple(&clock);
    let token = token(json!({"iat": null, "exp": NOW + 60}));
    let first = verifier.verify(&token).unwrap();
    clock.pass(seconds(59));
    clock.set_wall(NOW - 3600);
    let second = verifier.verify(&token).unwrap();
    assert!(std::ptr::eq(first.claims_json(), second.claims_json()), "it is remembered until then");
    clock.pass(seconds(1));
    // The signature is checked anew, by a clock that says it is still good: that is all that can be known.
    let third = verifier.verify(&token).unwrap();
    assert!(!std::ptr::eq(first.claims_json(), third.claims_json()));
    clock.set_wall(NOW + 60);
    clock.pass(seconds(1));
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Expired);
}

#[test]
fn dir_10_a_wall_clock_that_is_set_forward_ends_a_token_within_a_second() {
    let clock = TestClock::new();
    let verifier = simple(&clock);
    let token = token(json!({"exp": NOW + 60}));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(seconds(1));
    clock.set_wall(NOW + 60);
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::Expired);
}

#[test]
fn dir_10_a_wall_clock_that_is_set_before_the_beginning_ends_a_token_within_a_second() {
    let clock = TestClock::new();
    let verifier = simple(&clock);
    let token = token(json!({"nbf": NOW}));
    assert!(verifier.verify(&token).is_ok());
    clock.pass(seconds(1));
    clock.set_wall(NOW - 1);
    assert_eq!(verifier.verify(&token).unwrap_err(), TokenError::NotYetValid);
}
