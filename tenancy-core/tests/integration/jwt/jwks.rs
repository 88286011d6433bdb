//! Fetching key sets, and what happens when that fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, FetchError, JwksSource, TokenError, TokenVerifier};
use tenancy_core::{BoxFuture, Error, ErrorKind};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::sign::Signer;
use super::{ISSUER, TestClock, builder, claims, good_claims, id, issuer, seconds};

/// A provider whose document a test writes; `None` is a provider that does not answer.
#[derive(Clone, Debug, Default)]
struct Provider(Arc<(Mutex<Option<Vec<u8>>>, AtomicUsize)>);

impl Provider {
    fn publishing(keys: &[Value]) -> Self {
        let provider = Self::default();
        provider.publish(keys);
        provider
    }

    fn publish(&self, keys: &[Value]) {
        *self.0.0.lock().unwrap() = Some(document(keys));
    }

    fn fail(&self) {
        *self.0.0.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl JwksSource for Provider {
    fn fetch(&self) -> BoxFuture<Result<Vec<u8>, FetchError>> {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        let answer = self.0.0.lock().unwrap().clone();
        Box::pin(async move { answer.ok_or_else(|| "connection refused".into()) })
    }
}

/// A provider whose answers a test holds back: each question waits for its own.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<Mutex<Vec<oneshot::Receiver<Vec<u8>>>>>);

impl Slow {
    /// Returns what answers the next question but those that have a holder already, last prepared first asked.
    fn prepare(&self) -> oneshot::Sender<Vec<u8>> {
        let (answer, question) = oneshot::channel();
        self.0.lock().unwrap().push(question);
        answer
    }
}

impl JwksSource for Slow {
    fn fetch(&self) -> BoxFuture<Result<Vec<u8>, FetchError>> {
        let question = self.0.lock().unwrap().pop().expect("prepared");
        Box::pin(async move { Ok(question.await?) })
    }
}

/// A verifier with a slow provider, and a fetch of it that is under way.
async fn under_way(
    clock: &TestClock,
    slow: &Slow,
) -> (TokenVerifier, oneshot::Sender<Vec<u8>>, JoinHandle<Result<(), Error>>) {
    let verifier = builder(clock).with_issuer(issuer().with_jwks_source(slow.clone())).build().unwrap();
    let answer = slow.prepare();
    let fetch = begin(&verifier).await;
    (verifier, answer, fetch)
}

async fn begin(verifier: &TokenVerifier) -> JoinHandle<Result<(), Error>> {
    let verifier = verifier.clone();
    let fetch = tokio::spawn(async move { verifier.refresh().await });
    tokio::task::yield_now().await;
    fetch
}

#[tokio::test]
async fn an_answer_that_comes_after_a_later_one_is_dropped() {
    let (clock, slow) = (TestClock::new(), Slow::default());
    let (old, new) = (Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::EdDsa));
    let (verifier, first, first_fetch) = under_way(&clock, &slow).await;
    clock.pass(seconds(30));
    let second = slow.prepare();
    let second_fetch = begin(&verifier).await;

    second.send(document(&[named(&new, "k")])).unwrap();
    second_fetch.await.unwrap().unwrap();
    assert!(verifier.verify(&token(&new, "k")).is_ok());
    first.send(document(&[named(&old, "k")])).unwrap();
    first_fetch.await.unwrap().unwrap();
    assert!(verifier.verify(&token(&new, "k")).is_ok());
    assert_eq!(verifier.verify(&token(&old, "k")).unwrap_err(), TokenError::WrongSignature);
}

#[tokio::test]
async fn keys_that_arrive_for_an_issuer_that_is_gone_are_dropped() {
    let (clock, slow) = (TestClock::new(), Slow::default());
    let signer = Signer::new(Algorithm::EdDsa);
    let (verifier, answer, fetch) = under_way(&clock, &slow).await;
    verifier.set_issuer(issuer().with_jwks_source(slow)).unwrap();
    answer.send(document(&[named(&signer, "k")])).unwrap();
    fetch.await.unwrap().unwrap();
    assert_eq!(verifier.verify(&token(&signer, "k")).unwrap_err(), TokenError::KeysUnavailable);
}

/// A provider that takes the question and never answers.
#[derive(Debug)]
pub(crate) struct NeverAnswers;

impl JwksSource for NeverAnswers {
    fn fetch(&self) -> BoxFuture<Result<Vec<u8>, FetchError>> {
        Box::pin(std::future::pending())
    }
}

pub(crate) fn document(keys: &[Value]) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

pub(crate) fn named(signer: &Signer, name: &str) -> Value {
    signer.jwk(json!({"kid": name, "use": "sig"}))
}

pub(crate) fn token(signer: &Signer, name: &str) -> String {
    signer.token(&json!({"kid": name}), &good_claims())
}

/// Every 300 seconds, at most every 30, stale after 3600.
fn fetching(clock: &TestClock, provider: &Provider) -> TokenVerifier {
    builder(clock)
        .with_key_refresh(seconds(300), seconds(30))
        .with_keys_stale_after(seconds(3600))
        .with_issuer(issuer().with_jwks_source(provider.clone()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn fetched_keys_verify_and_replaced_ones_no_longer_do() {
    let clock = TestClock::new();
    let (old, new, kept) =
        (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256), Signer::new(Algorithm::EdDsa));
    let provider = Provider::publishing(&[named(&old, "k"), named(&kept, "kept")]);
    let verifier = fetching(&clock, &provider);
    assert_eq!(verifier.verify(&token(&old, "k")).unwrap_err(), TokenError::KeysUnavailable);
    verifier.refresh().await.unwrap();
    assert!(verifier.verify(&token(&old, "k")).is_ok());
    let of_kept = token(&kept, "kept");
    assert!(verifier.verify(&of_kept).is_ok());

    provider.publish(&[named(&new, "k"), named(&kept, "kept")]);
    clock.pass(seconds(30));
    verifier.refresh().await.unwrap();
    assert_eq!(verifier.cached_tokens(), 1, "what a key verified that stays is remembered, the rest is not");
    assert_eq!(verifier.verify(&token(&old, "k")).unwrap_err(), TokenError::WrongSignature);
    assert!(verifier.verify(&token(&new, "k")).is_ok());
    assert!(verifier.verify(&of_kept).is_ok());

    provider.publish(&[]);
    clock.pass(seconds(30));
    verifier.refresh().await.unwrap();
    assert_eq!(verifier.verify(&of_kept).unwrap_err(), TokenError::UnknownKey, "a set can be emptied");
}

#[tokio::test]
async fn twr_47_unknown_keys_bring_about_one_fetch_per_interval() {
    let clock = TestClock::new();
    let signer = Signer::new(Algorithm::EdDsa);
    let provider = Provider::publishing(&[named(&signer, "k")]);
    let verifier = fetching(&clock, &provider);
    verifier.refresh().await.unwrap();
    for round in 1..=3 {
        for storm in 0..200 {
            let unknown = verifier.verify(&token(&signer, &format!("{round}-{storm}"))).unwrap_err();
            assert_eq!(unknown, TokenError::UnknownKey, "the set is fresh: there is nothing to wait for");
            verifier.refresh().await.unwrap();
        }
        assert_eq!(provider.fetches(), round);
        clock.pass(seconds(30));
        let unknown = verifier.verify(&token(&signer, "new")).unwrap_err();
        assert_eq!(unknown, TokenError::KeysUnavailable, "a fetch may bring it");
        assert!(verifier.verify(&token(&signer, "k")).is_ok(), "known keys serve on");
        verifier.refresh().await.unwrap();
    }
}

#[tokio::test]
async fn known_keys_serve_until_they_are_stale() {
    let clock = TestClock::new();
    let signer = Signer::new(Algorithm::EdDsa);
    let provider = Provider::publishing(&[named(&signer, "k")]);
    let verifier = fetching(&clock, &provider);
    verifier.refresh().await.unwrap();
    let cached = signer.token(&json!({"kid": "k"}), &claims(json!({"exp": super::NOW + 100_000})));
    assert!(verifier.verify(&cached).is_ok());

    provider.fail();
    clock.pass(seconds(3599));
    assert_eq!(verifier.refresh().await.unwrap_err().kind(), ErrorKind::KeysUnavailable);
    assert!(verifier.verify(&cached).is_ok());
    clock.pass(seconds(1));
    assert_eq!(verifier.verify(&cached).unwrap_err(), TokenError::KeysUnavailable, "remembered or not");
    *provider.0.0.lock().unwrap() = Some(b"<html>maintenance</html>".to_vec());
    clock.pass(seconds(30));
    assert!(verifier.refresh().await.is_err());
    assert_eq!(verifier.verify(&cached).unwrap_err(), TokenError::KeysUnavailable);

    provider.publish(&[named(&signer, "k")]);
    clock.pass(seconds(30));
    verifier.refresh().await.unwrap();
    assert!(verifier.verify(&cached).is_ok());
}

#[tokio::test]
async fn twr_42_a_tenants_key_set_holds_keys_of_that_tenant() {
    let clock = TestClock::new();
    let signer = Signer::new(Algorithm::EdDsa);
    let provider = Provider::publishing(&[named(&signer, "k")]);
    let own = issuer().with_tenant_id(id(1)).with_jwks_source(provider);
    let verifier = builder(&clock).with_issuer(own).build().unwrap();
    verifier.refresh().await.unwrap();
    assert!(verifier.verify(&token(&signer, "k")).is_ok());
    let foreign = signer.token(&json!({"kid": "k"}), &claims(json!({"tenant_id": "2"})));
    assert_eq!(verifier.verify(&foreign).unwrap_err(), TokenError::ForeignKey);
}

#[tokio::test]
async fn a_revoked_key_does_not_come_back_with_the_next_fetch() {
    let clock = TestClock::new();
    let (bad, good) = (Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::EdDsa));
    let provider = Provider::publishing(&[named(&bad, "bad"), named(&good, "good")]);
    let verifier = fetching(&clock, &provider);
    verifier.refresh().await.unwrap();
    assert!(verifier.verify(&token(&bad, "bad")).is_ok());
    verifier.revoke_key(ISSUER, Some("bad"));
    assert!(verifier.verify(&token(&bad, "bad")).is_err());
    clock.pass(seconds(30));
    verifier.refresh().await.unwrap();
    assert_eq!(verifier.verify(&token(&bad, "bad")).unwrap_err(), TokenError::UnknownKey);
    assert!(verifier.verify(&token(&good, "good")).is_ok());
}

#[tokio::test]
async fn the_background_task_fetches_at_once_on_an_unknown_key_and_ends_with_the_verifier() {
    let clock = TestClock::new();
    let (old, new) = (Signer::new(Algorithm::EdDsa), Signer::new(Algorithm::EdDsa));
    let provider = Provider::publishing(&[named(&old, "old")]);
    let verifier = fetching(&clock, &provider);
    // No timer ever fires: only the verifier itself wakes the task.
    let task = tokio::spawn(verifier.keep_fresh(|_| std::future::pending()));
    let settle = || async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    };
    settle().await;
    assert!(verifier.verify(&token(&old, "old")).is_ok());

    provider.publish(&[named(&old, "old"), named(&new, "new")]);
    clock.pass(seconds(30));
    settle().await;
    assert_eq!(provider.fetches(), 1, "nothing asked for it");
    assert_eq!(verifier.verify(&token(&new, "new")).unwrap_err(), TokenError::KeysUnavailable);
    settle().await;
    assert!(verifier.verify(&token(&new, "new")).is_ok());
    assert_eq!(provider.fetches(), 2);
    assert!(!task.is_finished());
    drop(verifier);
    task.await.unwrap();
}

#[tokio::test]
async fn the_background_task_sleeps_until_the_next_fetch_is_due() {
    let clock = TestClock::new();
    let provider = Provider::publishing(&[]);
    let verifier = fetching(&clock, &provider);
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let (time, log, source) = (clock.clone(), Arc::clone(&pauses), provider.clone());
    let task = tokio::spawn(verifier.keep_fresh(move |pause| {
        log.lock().unwrap().push(pause.as_secs());
        time.pass(pause);
        if log.lock().unwrap().len() == 2 {
            source.fail();
        }
        tokio::task::yield_now()
    }));
    while pauses.lock().unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert_eq!(pauses.lock().unwrap()[..4], [300, 300, 30, 30], "sooner after a failure");
}

/// A provider that never answers must not keep the others' keys old.
#[tokio::test]
async fn one_provider_that_hangs_does_not_hold_up_the_others() {
    let clock = TestClock::new();
    let signer = Signer::new(Algorithm::EdDsa);
    let mut builder = builder(&clock);
    for number in 0..40 {
        let name = format!("https://{number}.example");
        let issuer = tenancy_core::jwt::Issuer::new(&name, super::AUDIENCE);
        builder = builder.with_issuer(match number {
            0 => issuer.with_jwks_source(NeverAnswers),
            _ => issuer.with_jwks_source(Provider::publishing(&[named(&signer, "k")])),
        });
    }
    let verifier = builder.build().unwrap();
    let fetch = verifier.clone();
    let task = tokio::spawn(async move { fetch.refresh().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished());
    for number in 1..40 {
        let claims = claims(json!({"iss": format!("https://{number}.example")}));
        let token = signer.token(&json!({"kid": "k"}), &claims);
        assert!(verifier.verify(&token).is_ok(), "{number}");
    }
    task.abort();
}
