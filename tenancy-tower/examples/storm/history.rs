//! What was true when: the oracle that the storm's answers are held against. It knows nothing of the code under test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// From when at the earliest to when at the latest a name meant somebody.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    until: u64,
    owner: Option<i64>,
}

/// What every name begins with. Without it, one that is given away for the first time would seem never to have meant
/// anybody else.
const NOBODY_YET: Span = Span { from: 0, until: u64::MAX, owner: None };

/// The history of every name: a slug, a domain, or an id, which means itself while its tenant is active. At the beginning
/// a name means nobody.
pub(crate) struct History {
    moments: AtomicU64,
    spans: Mutex<HashMap<String, Vec<Span>>>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { moments: AtomicU64::new(1), spans: Mutex::default() }
    }

    /// Returns the present moment: a count rather than a time, so that no two are the same on any machine's clock.
    pub(crate) fn now(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    /// Says that from now on `names` may mean somebody else, then does it, then says that they no longer mean whom they
    /// meant before: so that whoever looks in between finds both.
    pub(crate) fn change(&self, names: &[(String, Option<i64>)], change: impl FnOnce()) {
        let begun = self.now();
        let mut spans = self.lock();
        for (name, owner) in names {
            let span = Span { from: begun, until: u64::MAX, owner: *owner };
            spans.entry(name.clone()).or_insert_with(|| vec![NOBODY_YET]).push(span);
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
