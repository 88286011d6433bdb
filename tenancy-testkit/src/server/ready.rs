//! Waits until a server that was started answers, or is known not to.

use std::{future::Future, path::Path, process::Child, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    process::{free_port, log_tail},
    reason::Reason,
};

/// How long a server may take to start, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long one question may take: who listens on the port may be somebody else, who never answers.
const ANSWER: Duration = Duration::from_secs(10);

/// Between two questions; a server starts in a few hundred milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// A port that was free may be taken by the time the server listens.
const PORT_TRIES: usize = 5;

/// Asks `probe` until it succeeds; gives up when `ended` has a reason or the time is over.
pub(crate) async fn until_ready<T, P, E>(
    mut probe: impl FnMut() -> P,
    mut ended: impl FnMut() -> E,
) -> Result<T, Reason>
where
    P: Future<Output = Result<T, Reason>>,
    E: Future<Output = Option<Reason>>,
{
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let reason = match timeout(ANSWER, probe()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(reason)) => reason,
            Err(_) => Reason::from(format!("no answer within {} s", ANSWER.as_secs())),
        };
        if let Ok(Some(reason)) = timeout(ANSWER, ended()).await {
            return Err(reason);
        }
        if Instant::now() > deadline {
            return Err(Reason::new("the server is not ready", reason));
        }
        sleep(PAUSE).await;
    }
}

/// Starts a server process on a free port and waits until it answers there; returns the port and the answer.
///
/// A server that also listens on a second port says by `distance` how much higher that is.
pub(crate) async fn start_on_port<T, P>(
    distance: Option<u16>,
    spawn: impl Fn(u16) -> Result<Child, Reason>,
    log: &Path,
    probe: impl Fn(u16) -> P,
) -> Result<(u16, T), Reason>
where
    P: Future<Output = Result<T, Reason>>,
{
    let mut tries = PORT_TRIES;
    loop {
        let port = free_port(distance)?;
        let mut server = spawn(port)?;
        let mut ended = || match server.try_wait() {
            Ok(None) => None,
            _ => Some(Reason::new("the server ended", log_tail(log))),
        };
        match until_ready(|| probe(port), || std::future::ready(ended())).await {
            Ok(answer) => return Ok((port, answer)),
            Err(reason) => {
                tries -= 1;
                if tries == 0 || !reason.to_string().contains("in use") {
                    return Err(reason);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Whoever took the port and says nothing does not hold up the tests: that the server has ended is seen.
    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_not_waited_for() {
        let silent = || pending::<Result<(), Reason>>();
        let gone = until_ready(silent, || ready(Some(Reason::from("address in use")))).await;
        assert_eq!(gone.map_err(|reason| reason.to_string()), Err("address in use".to_owned()));
        let late = until_ready(silent, pending).await.expect_err("nobody has answered");
        assert_eq!(late.to_string(), "the server is not ready: no answer within 10 s");
    }
}
