//! D7: a cache entry went away through another tenant's doing.

use super::{Detector, Finding};

/// `before` and `now` are a tenant's entries around a step in which `writers` alone were active.
pub(crate) fn judge(
    tenant: usize,
    before: &[String],
    now: &[String],
    writers: &[usize],
    step: u16,
) -> Option<Finding> {
    if writers.contains(&tenant) {
        return None;
    }
    let changed = before.iter().find(|entry| !now.contains(entry)).map(|_| "vanished from");
    let changed =
        changed.or_else(|| now.iter().find(|entry| !before.contains(entry)).map(|_| "appeared in"))?;
    Some(Finding {
        detector: Detector::Cache,
        what: format!("an entry {changed} the cache of a tenant that did nothing"),
        from: Some(tenant),
        to: writers.first().copied(),
        step,
        call: 0,
    })
}
