//! Stand-ins for the primitives of the cached catalog: a scheduler decides at each of them which thread goes on.

use std::sync::Arc;

pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
pub(super) use shuttle::sync::{Mutex, MutexGuard};

/// See the real one. That no reader waits is not modelled; what it may see is.
pub(super) struct Published<T>(Mutex<Option<Arc<T>>>);

impl<T> Published<T> {
    pub(super) fn empty() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn read<R>(&self, read: impl FnOnce(Option<&T>) -> R) -> R {
        let value = self.0.lock().expect("no reader or writer panics").clone();
        read(value.as_deref())
    }

    pub(super) fn replace(&self, value: T) {
        let old = self.0.lock().expect("no reader or writer panics").replace(Arc::new(value));
        drop(old);
    }
}
