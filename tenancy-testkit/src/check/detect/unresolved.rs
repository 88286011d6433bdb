//! D5: a request without a tenant, with two, or with an invalid one was served.

use super::{Detector, Finding};
use crate::check::describe::operation::Access;
use crate::check::program::run::{Record, Standings};
use crate::check::program::signal::{Expect, Fault};

/// `access` is that of the operation that was called.
pub(crate) fn judge(record: &Record, access: Access, standings: &Standings) -> Option<Finding> {
    let answer = record.answer.as_ref()?;
    if !answer.is_success() || access == Access::Public || record.signal.fault == Fault::Admin {
        return None;
    }
    let what = match record.signal.fault {
        _ if access == Access::Admin => "an administrator's operation was served without an administrator",
        _ if standings.unknown(record.caller) => "a request of a tenant that does not exist was served",
        Fault::Missing => "a request without a tenant was served",
        Fault::Stranger => "a request of a tenant that does not exist was served",
        Fault::UnknownHost => "a request for a host that is no tenant's was served",
        Fault::Conflict => "a request that names two tenants was served",
        Fault::Duplicate => "a request that names two tenants in one header's two values was served",
        Fault::Unreadable => "a request whose tenant cannot be read was served",
        Fault::Spoofed => "a request that names its tenant in a forwarded host alone was served",
        Fault::Tampered => "a token with another tenant's claims and no valid signature was accepted",
        Fault::None | Fault::Part | Fault::Spelling | Fault::Admin => return None,
    };
    let refusal = record.outgoing.expect == Expect::Refused
        || access == Access::Admin
        || standings.unknown(record.caller);
    refusal.then(|| Finding {
        detector: Detector::Unresolved,
        what: format!("{what} ({})", answer.status),
        from: None,
        to: Some(record.caller),
        step: record.step,
        call: record.call,
    })
}
