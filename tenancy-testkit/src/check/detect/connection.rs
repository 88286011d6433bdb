//! D6: what a pooled connection is left like is what the next request finds.

use std::collections::BTreeMap;

use super::{Detector, Finding};

/// The first setting in which a connection differs from how it was before the first request.
pub(crate) fn judge(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    caller: Option<usize>,
    step: u16,
) -> Option<Finding> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    let name = names.into_iter().find(|name| before.get(*name) != now.get(*name))?;
    Some(Finding {
        detector: Detector::Connection,
        what: format!("a connection went back to the pool with another {name}"),
        from: caller,
        to: None,
        step,
        call: 0,
    })
}
