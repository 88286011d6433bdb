//! The kit's own runtime: its connections outlive every test's runtime.

use std::{
    future::Future,
    panic,
    sync::{OnceLock, mpsc},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tenancy-testkit")
            .enable_all()
            .build()
            .expect("a process that can run tests can start one thread")
    })
}

/// Runs `work` to its end on the kit's runtime, even when the caller stops waiting for it.
///
/// Each `#[tokio::test]` has a runtime of its own, and a connection dies with the runtime that opened it. Work that
/// is never cancelled also never leaves the shared connection in the middle of an answer.
pub(crate) async fn run<F>(work: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match runtime().spawn(work).await {
        Ok(output) => output,
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

/// Runs `work` on the kit's runtime and blocks this thread until it is done, at most for `limit`.
///
/// For destructors, which cannot wait in any other way; returns whether the work was done in time.
pub(crate) fn run_blocking<F>(work: F, limit: Duration) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    let (done, wait) = mpsc::channel();
    runtime().spawn(async move {
        work.await;
        // The receiver is gone when the limit has passed: nobody is left to tell.
        let _ = done.send(());
    });
    wait.recv_timeout(limit).is_ok()
}
