//! What was true when: the oracle that the storm's answers are held against. It knows nothing of the code under test.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// From when at the earliest to when at the latest a name meant somebody.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    until: u64,
    owner: Option<i64>,
}

/// The history of every name: a slug, a domain, or an id, which means itself while its tenant is active.
pub(crate) struct History {
    start: Instant,
    spans: Mutex<HashMap<String, Vec<Span>>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), spans: Mutex::default() }
    }

    /// Nanoseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Says that from now on `names` may mean somebody else, then does it, then says that they no longer mean whom they
    /// meant before: so that whoever looks in between finds both.
    pub(crate) fn change(&self, names: &[(String, Option<i64>)], change: impl FnOnce()) {
        let begun = self.now();
        let mut spans = self.lock();
        for (name, owner) in names {
            let span = Span { from: begun, until: u64::MAX, owner: *owner };
            spans.entry(name.clone()).or_default().push(span);
        }
        drop(spans);
        change();
        let done = self.now();
        let mut spans = self.lock();
        for (name, _) in names {
            let all = spans.get_mut(name).into_iter().flatten().rev().skip(1);
            all.take_while(|span| span.until == u64::MAX).for_each(|span| span.until = done);
        }
    }

    /// Whom `name` may have meant at some moment between `from` and `until`; `None` among them is nobody. The second is
    /// whether it meant the same all the while.
    pub(crate) fn meant(&self, name: &str, from: u64, until: u64) -> (Vec<Option<i64>>, bool) {
        let spans = self.lock();
        let Some(all) = spans.get(name) else { return (vec![None], true) };
        let recent = all.iter().rev().take_while(|span| span.until >= from);
        let mut owners: Vec<_> = recent.filter(|span| span.from <= until).map(|span| span.owner).collect();
        let steady = owners.len() == 1;
        owners.dedup();
        (owners, steady)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Span>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
