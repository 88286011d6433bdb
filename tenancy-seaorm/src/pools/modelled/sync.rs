//! Stand-ins for the primitives of the desk: a scheduler decides at each of them which thread goes on.

pub(super) use shuttle::sync::{Mutex, MutexGuard};
