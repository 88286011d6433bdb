//! What counts as a leak: one file for each way to notice one.

pub(crate) mod cache;
pub(crate) mod canary;
pub(crate) mod connection;
pub(crate) mod decode;
pub(crate) mod digest;
pub(crate) mod lifecycle;
pub(crate) mod logs;
pub(crate) mod normal;
pub(crate) mod oracle;
pub(crate) mod twin;
pub(crate) mod unresolved;

use std::fmt;

/// A way to notice a leak.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Detector {
    /// D1: another tenant's canary in an answer.
    Canary,
    /// D2: a canary in a log line, a span, a metric's label, or the database's error text in an answer.
    Log,
    /// D3: an answer differs from that of a service which holds this tenant alone.
    Twin,
    /// D4: another tenant's rows have changed.
    Rows,
    /// D5: a request without a tenant, with two, or with an invalid one was served.
    Unresolved,
    /// D6: a pooled connection is not as it was.
    Connection,
    /// D7: a cache entry went away through another tenant's doing.
    Cache,
    /// D8: a job ran as another tenant.
    Job,
    /// D9: a tenant was served after its end, or not served after its beginning.
    Lifecycle,
    /// D10: "not yours" can be told from "not there".
    Oracle,
}

impl Detector {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Canary,
        Self::Log,
        Self::Twin,
        Self::Rows,
        Self::Unresolved,
        Self::Connection,
        Self::Cache,
        Self::Job,
        Self::Lifecycle,
        Self::Oracle,
    ];

    /// Returns the short name, `D1` to `D10`.
    #[must_use]
    pub fn code(self) -> &'static str {
        ["D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10"][self as usize]
    }
}

impl Detector {
    /// The name that reports have for it.
    pub(crate) fn reported(self) -> crate::report::Detector {
        use crate::report::Detector as Reported;
        match self {
            Self::Canary => Reported::D1,
            Self::Log => Reported::D2,
            Self::Twin => Reported::D3,
            Self::Rows => Reported::D4,
            Self::Unresolved => Reported::D5,
            Self::Connection => Reported::D6,
            Self::Cache => Reported::D7,
            Self::Job => Reported::D8,
            Self::Lifecycle => Reported::D9,
            Self::Oracle => Reported::D10,
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A leak, and where in a program it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) detector: Detector,
    /// What crossed.
    pub(crate) what: String,
    /// Whose it is.
    pub(crate) from: Option<usize>,
    /// Who got at it.
    pub(crate) to: Option<usize>,
    /// The step's number, and which of its requests.
    pub(crate) step: u16,
    pub(crate) call: usize,
}
