//! [`Late`]: which operations go on working after their answer, so that what they change is put down to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What was learned of each operation, by its place in the description. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late(Arc<Mutex<BTreeMap<usize, bool>>>);

impl Late {
    /// Whether rows changed after the operation's answer; `None` where nobody has waited for it yet.
    pub(crate) fn of(&self, operation: usize) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&operation).copied()
    }

    /// Once late, always late.
    pub(crate) fn learn(&self, operation: usize, late: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(operation).or_insert(late) |= late;
    }
}
