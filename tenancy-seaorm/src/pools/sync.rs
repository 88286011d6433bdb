//! What the desk shares between threads. The schedule tests compile it over a lock of the same name.

pub(super) use std::sync::{Mutex, MutexGuard};
