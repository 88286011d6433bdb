//! [`Late`]: which operations go on working after their answer, so that what they change is put down to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How often an operation is waited for before it counts as one that is done when it answers.
const TRIES: u8 = 1;

/// What was learned of each operation, by its place in the description. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late(Arc<Mutex<BTreeMap<usize, Known>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    tries: u8,
    late: bool,
}

impl Late {
    /// Whether rows changed after the operation's answer; `None` where it was not waited for often enough.
    pub(crate) fn of(&self, operation: usize) -> Option<bool> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&operation).copied().unwrap_or_default();
        (known.late || known.tries >= TRIES).then_some(known.late)
    }

    /// Once late, always late.
    pub(crate) fn learn(&self, operation: usize, late: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(operation).or_default();
        known.tries = known.tries.saturating_add(1);
        known.late |= late;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_punctual_after_it_was_waited_for_and_late_for_ever() {
        let late = Late::default();
        assert_eq!(late.of(7), None);
        late.learn(7, false);
        assert_eq!(late.of(7), Some(false));
        late.clone().learn(7, true);
        assert_eq!((late.of(7), late.of(8)), (Some(true), None));
    }
}
