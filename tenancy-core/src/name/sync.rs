//! What the cache shares between threads. The schedule tests compile it over other ones of the same names.

pub(super) use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
