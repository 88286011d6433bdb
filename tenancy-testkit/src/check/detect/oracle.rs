//! D10: the answer for what is another tenant's differs from the answer for what is nobody's.

use super::normal::{Mask, difference, normal_headers, normal_text};
use super::{Detector, Finding};
use crate::check::program::run::Record;

/// `again` is a second request for what is nobody's: what differs between those two is noise.
pub(crate) fn judge(foreign: &Record, unknown: &Record, again: Option<&Record>) -> Option<Finding> {
    if !foreign.outgoing.used.foreign || foreign.outgoing.used.missing {
        return None;
    }
    let what = compare(foreign, unknown)?;
    let noise = again.is_some_and(|again| compare(unknown, again).is_some_and(|noise| noise.0 == what.0));
    (!noise).then(|| Finding {
        detector: Detector::Oracle,
        what: format!("what is another tenant's answers otherwise than what is nobody's: {}", what.1),
        from: None,
        to: Some(foreign.caller),
        step: foreign.step,
        call: foreign.call,
    })
}

/// Whether there are two answers that can be compared.
pub(crate) fn comparable(a: &Record, b: &Record) -> bool {
    let speaks = |record: &Record| record.answer.as_ref().is_some_and(|answer| !answer.is_throttled());
    speaks(a) && speaks(b)
}

/// Whether the answers to the same request differ.
pub(crate) fn differs(a: &Record, b: &Record) -> bool {
    compare(a, b).is_some()
}

/// Where two answers differ, and how.
fn compare(a: &Record, b: &Record) -> Option<(String, String)> {
    let (first, second) = (a.answer.as_ref()?, b.answer.as_ref()?);
    if !comparable(a, b) {
        return None;
    }
    if first.status != second.status {
        return Some(("status".into(), format!("{} and {}", first.status, second.status)));
    }
    // A write that both times succeeded has changed the world in between.
    if first.is_success() && !a.reads {
        return None;
    }
    let mask = Mask { texts: true };
    if let (Some(x), Some(y)) = (&first.json, &second.json) {
        return difference(x, y, mask).map(|path| (path.clone(), format!("the bodies at {path}")));
    }
    if normal_text(&first.body, mask) != normal_text(&second.body, mask) {
        return Some(("body".into(), "the bodies".into()));
    }
    let (x, y) = (normal_headers(&first.headers), normal_headers(&second.headers));
    (x.keys().ne(y.keys())).then(|| ("headers".into(), "the headers".into()))
}
