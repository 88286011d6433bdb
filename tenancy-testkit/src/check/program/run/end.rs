//! When a run ends before its last step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A point in time, or somebody's word that there is nothing left to look for; by default neither comes.
#[derive(Clone, Default)]
pub(crate) struct End(Option<(Instant, Arc<AtomicBool>)>);

impl End {
    /// Comes at `time`, and as soon as `over` is set.
    pub(crate) fn new(time: Instant, over: Arc<AtomicBool>) -> Self {
        Self(Some((time, over)))
    }

    pub(crate) fn has_come(&self) -> bool {
        self.0.as_ref().is_some_and(|(time, over)| over.load(Ordering::Relaxed) || Instant::now() >= *time)
    }
}
