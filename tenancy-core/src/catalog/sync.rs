//! What the cached catalog shares between threads. The schedule tests compile it over other ones of the same names.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard};

/// A value that readers take without a lock while one writer at a time replaces it.
pub(super) struct Published<T>(ArcSwapOption<T>);

impl<T> Published<T> {
    pub(super) fn empty() -> Self {
        Self(ArcSwapOption::empty())
    }

    /// Calls `read` with the present value.
    pub(super) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        read(self.0.load().as_deref())
    }

    pub(super) fn replace(&self, value: T) {
        self.0.store(Some(Arc::new(value)));
    }
}
