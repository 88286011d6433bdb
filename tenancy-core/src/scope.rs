//! The ambient tenant of a future: for logging and convenience, entered at each poll.
//!
//! Data APIs take a [`TenantContext`] as an argument. What reads the ambient one fails when there is none; there is no
//! default (CORE-07, CORE-10).

use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::{Error, ErrorKind, TenantContext};

thread_local! {
    /// Holds nothing that would have to be dropped with the thread, since each scope gives back what it found: entering
    /// one need not ask whether the thread still has it.
    static CURRENT: Cell<ManuallyDrop<Option<TenantContext>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

impl TenantContext {
    /// Returns the tenant in whose scope this code runs.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NoTenantInScope`] outside every scope, such as in a task that was spawned without one
    /// (CORE-11).
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{ErrorKind, TenantContext};
    ///
    /// assert_eq!(TenantContext::current().unwrap_err().kind(), ErrorKind::NoTenantInScope);
    /// ```
    pub fn current() -> Result<Self, Error> {
        let mut context = None;
        swap(&mut context);
        let copy = context.clone();
        swap(&mut context);
        copy.ok_or_else(|| Error::new(ErrorKind::NoTenantInScope, "no tenant is in scope"))
    }

    /// Runs `future` in the scope of this tenant: at each of its polls, and while it is dropped.
    ///
    /// The scope carries the tenant and nothing else (CORE-12), ends with the future also by cancellation or panic,
    /// and gives an outer scope back (CORE-08). Hand the result to a spawn function to carry the tenant into a task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tenancy_core::{Tenant, TenantContext, TenantId};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
    /// # let context = TenantContext::assertion(acme, "example")?;
    /// let task = tokio::spawn(context.scope(async { TenantContext::current().map(|tenant| tenant.id().to_string()) }));
    /// assert_eq!(task.await??, "1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), slot: ScopeSlot::new(self) }
    }

    /// Runs `f` in the scope of this tenant.
    pub fn sync_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        ScopeSlot::new(self.clone()).run(f)
    }
}

/// A tenant context that is lent to the thread while a closure runs: what a hand-written `poll` needs.
///
/// Unlike [`TenantContext::sync_scope`] it moves the context there and back, so that a poll costs no reference count.
///
/// # Examples
///
/// ```
/// # use tenancy_core::{ScopeSlot, Tenant, TenantContext, TenantId};
/// # let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// let mut slot = ScopeSlot::new(TenantContext::assertion(acme, "example")?);
/// assert!(slot.run(|| TenantContext::current().is_ok()));
/// assert!(TenantContext::current().is_err());
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ScopeSlot(Option<TenantContext>);

impl ScopeSlot {
    /// Returns a slot that holds `context`.
    #[inline]
    #[must_use]
    pub fn new(context: TenantContext) -> Self {
        Self(Some(context))
    }

    /// Returns the context.
    #[inline]
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        self.0.as_ref().expect(LENT)
    }

    /// Returns the context, and ends the slot.
    #[inline]
    #[must_use]
    pub fn into_context(self) -> TenantContext {
        self.0.expect(LENT)
    }

    /// Runs `f` in the scope of the tenant. The scope ends when `f` returns or panics.
    #[inline]
    pub fn run<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let _lent = Lent::new(&mut self.0);
        f()
    }

    /// Runs `f` in the scope of the tenant, as [`ScopeSlot::run`] does, and hands it `argument`: a large one, such as a
    /// request, is then not copied into a closure first.
    #[inline]
    pub fn run_with<A, T>(&mut self, argument: A, f: impl FnOnce(A) -> T) -> T {
        let _lent = Lent::new(&mut self.0);
        f(argument)
    }
}

/// Runs `f` in nobody's scope: for work that one tenant's request happens to drive for everybody (CORE-15).
pub(crate) fn outside_scopes<T>(f: impl FnOnce() -> T) -> T {
    let mut nobody = None;
    let _lent = Lent::new(&mut nobody);
    f()
}

const LENT: &str = "a slot is empty only while it runs";

/// While it lives, the thread has the slot's context, and the slot has the outer scope's.
struct Lent<'a>(&'a mut Option<TenantContext>);

impl<'a> Lent<'a> {
    #[inline]
    fn new(slot: &'a mut Option<TenantContext>) -> Self {
        swap(slot);
        Self(slot)
    }
}

impl Drop for Lent<'_> {
    #[inline]
    fn drop(&mut self) {
        swap(self.0);
    }
}

/// Exchanges the thread's context and the slot's, also while the thread is ending.
#[inline]
fn swap(slot: &mut Option<TenantContext>) {
    CURRENT.with(|current| *slot = ManuallyDrop::into_inner(current.replace(ManuallyDrop::new(slot.take()))));
}

pin_project! {
    /// A future in the scope of one tenant; made by [`TenantContext::scope`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        #[pin]
        future: Option<F>,
        slot: ScopeSlot,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.slot.run(|| this.future.set(None));
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.slot.run(|| {
            let future = this.future.as_mut().as_pin_mut().expect("a future is not polled after it is done");
            let output = std::task::ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(output)
        })
    }
}
