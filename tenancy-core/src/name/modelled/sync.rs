//! Stand-ins for the primitives of the cache: a scheduler decides at each of them which thread goes on.

pub(super) use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
