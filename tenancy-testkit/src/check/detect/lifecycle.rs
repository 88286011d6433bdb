//! D9: a tenant was served after its end, or not served after its beginning.

use super::{Detector, Finding};
use crate::check::describe::operation::Access;
use crate::check::program::run::{Record, Standings};

/// `served`: whether the operation has succeeded for a tenant in this run.
pub(crate) fn judge(record: &Record, access: Access, standings: &Standings, served: bool) -> Option<Finding> {
    let answer = record.answer.as_ref()?;
    let finding = |what: String| Finding {
        detector: Detector::Lifecycle,
        what,
        from: None,
        to: Some(record.caller),
        step: record.step,
        call: record.call,
    };
    if access != Access::Tenant {
        return None;
    }
    if answer.is_success() && standings.ended(record.caller) {
        return Some(finding(format!(
            "a tenant was served after its suspension or deletion ({})",
            answer.status
        )));
    }
    // Whoever was brought in must get past the door; what its operation then answers is another matter.
    let refused = matches!(answer.status, 401 | 403 | 421) || (answer.status == 404 && record.is_list);
    if served && record.signal.is_proper() && standings.begun(record.caller) && refused {
        return Some(finding(format!("a tenant was refused after it was brought in ({})", answer.status)));
    }
    None
}
