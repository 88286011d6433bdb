//! Runs what a destructor has to do, but never one destructor's work inside of another's.
//!
//! When a runtime ends, a task that is spawned on it is dropped at once, and so is the one that its end makes room for: a
//! line of ten thousand requests would be as deep a recursion.

use std::cell::RefCell;

type Work = Box<dyn FnOnce()>;

thread_local! {
    /// What waits for the destructor that runs on this thread, if there is one.
    static WAITING: RefCell<Option<Vec<Work>>> = const { RefCell::new(None) };
}

/// Runs `work` now, or, from within other work of this kind, right after it.
pub(super) fn run(work: impl FnOnce() + 'static) {
    let outermost = WAITING.with_borrow_mut(|waiting| match waiting {
        Some(_) => false,
        None => {
            *waiting = Some(Vec::new());
            true
        }
    });
    let work: Work = Box::new(work);
    if !outermost {
        return WAITING.with_borrow_mut(|waiting| waiting.get_or_insert_default().push(work));
    }
    let mut next = Some(work);
    while let Some(work) = next {
        work();
        next = WAITING.with_borrow_mut(|waiting| waiting.as_mut().and_then(Vec::pop));
    }
    WAITING.with_borrow_mut(|waiting| *waiting = None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: u32) {
        if depth > 0 {
            run(move || nested(depth - 1));
        }
    }

    #[test]
    fn a_long_chain_is_no_deep_recursion() {
        nested(1_000_000);
    }
}
