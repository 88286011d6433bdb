//! Interleavings of the cache's readers and writers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shuttle::thread;

use super::super::algorithm::Algorithm;
use super::super::claims::Validity;
use super::super::ledger::{Cutoff, Name};
use super::super::verified::Facts;
use super::*;
use crate::Clock;

/// A clock that stands still.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl WallClock for Noon {
    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000)
    }
}

const KEY: u64 = 7;

fn entry(name: &str, key: u64) -> Entry {
    let facts = Facts {
        issuer: "issuer".into(),
        subject: None,
        token_id: Some(name.into()),
        scopes: Box::default(),
        tenant: None,
        algorithm: Algorithm::Hs256,
        key_id: None,
        key,
        issued_at: Some(900),
        expires_at: Some(2000),
        validity: Validity { from: 0, until: 2000 },
        payload: "{}".into(),
    };
    Entry::new(name.as_bytes(), facts, &Noon, u64::MAX)
}

fn cache() -> Arc<Cache> {
    let cache = Arc::new(Cache::new(WAYS));
    cache.change(|ledger| {
        ledger.install_key(KEY);
        ledger.install_key(KEY + 1);
    });
    cache
}

fn holds(cache: &Cache, name: &str) -> bool {
    cache.find(name.as_bytes(), &Noon).is_some_and(|known| *known.entry().token == *name.as_bytes())
}

fn revoke(cache: &Cache, name: &str) {
    let cutoff = Cutoff { issued_until: Cutoff::EVER, forget_at: Cutoff::EVER };
    cache.change(|ledger| ledger.revoke_token("issuer", Name::TokenId(name.into()), cutoff, 1000));
}

/// Every interleaving of `other` with the end of two verifications that were under way; what `other` took back is
/// not found when it has returned, nor ever after, and the second token always is.
fn nothing_slips_past(other: impl Fn(&Cache) + Copy + Send + Sync + 'static) {
    shuttle::check_dfs(
        move || {
            let cache = cache();
            let verifying = {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    let admitted = cache.admit(entry("bad", KEY), &Noon).is_ok();
                    cache.admit(entry("good", KEY + 1), &Noon).expect("nothing speaks against it");
                    admitted
                })
            };
            let revoking = {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    other(&cache);
                    assert!(!holds(&cache, "bad"), "found after its revocation");
                })
            };
            verifying.join().expect("no panic");
            revoking.join().expect("no panic");
            assert!(!holds(&cache, "bad"));
            assert!(holds(&cache, "good"));
            assert!(cache.admit(entry("bad", KEY), &Noon).is_err());
        },
        None,
    );
}

#[test]
fn a_token_revoked_while_it_is_verified_is_not_remembered() {
    nothing_slips_past(|cache| revoke(cache, "bad"));
}

#[test]
fn a_key_removed_while_it_verifies_leaves_no_token_behind() {
    nothing_slips_past(|cache| cache.change(|ledger| ledger.remove_key(KEY)));
}

/// A reader sees a token wholly or not at all while places change hands under it.
#[test]
fn a_reader_never_gets_another_token_than_it_asked_for() {
    shuttle::check_random(
        || {
            let cache = cache();
            let writers = [0, 1].map(|writer| {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    for number in 0..10 {
                        let name = format!("{writer}-{number}");
                        cache.admit(entry(&name, KEY), &Noon).expect("nothing speaks against it");
                        if number % 3 == 0 {
                            revoke(&cache, &name);
                            assert!(!holds(&cache, &name));
                        }
                    }
                })
            });
            for number in (0..10).chain(0..10) {
                let name = format!("0-{number}");
                let found = cache.find(name.as_bytes(), &Noon);
                assert!(found.is_none_or(|found| found.entry().facts.token_id.as_deref() == Some(&*name)));
            }
            for writer in writers {
                writer.join().expect("no panic");
            }
            assert!(cache.len() <= WAYS);
        },
        500,
    );
}
