//! The data of a report.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Severity};

/// What saw a leak.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum Detector {
    /// Another tenant's canary in an answer.
    D1,
    /// Another tenant's canary in an error, a log line, a span or a metric's label.
    D2,
    /// An answer that differs from the one of a database with that tenant alone.
    D3,
    /// Another tenant's rows changed.
    D4,
    /// A request was served that names no tenant, several, or an invalid one.
    D5,
    /// A connection came back in another state than it left.
    D6,
    /// A cache entry was readable under another tenant, or vanished with another tenant's.
    D7,
    /// A job ran as another tenant, without one, or not at all.
    D8,
    /// A tenant was served after its suspension or deletion.
    D9,
    /// A foreign id is answered otherwise than an unknown one.
    D10,
}

impl Detector {
    /// Returns what the detector sees, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::D1 => "another tenant's data in an answer",
            Self::D2 => "another tenant's data in an error, log or metric",
            Self::D3 => "answers unlike those of the tenant alone",
            Self::D4 => "another tenant's rows changed",
            Self::D5 => "served without a tenant",
            Self::D6 => "a connection's state left behind",
            Self::D7 => "cache entries shared or lost",
            Self::D8 => "a job ran as another tenant, or not",
            Self::D9 => "served after suspension",
            Self::D10 => "foreign ids can be told from unknown ones",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Whose data a request asks for, seen from the tenant that sends it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// The tenant's own.
    Own,
    /// Another tenant's.
    Foreign,
    /// Nobody's: the request names no tenant.
    Missing,
}

/// How often one operation was exercised, by whose data was asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct OperationCoverage {
    /// The operation: `GET /orders/{id}`.
    pub operation: String,
    /// Requests for the tenant's own data.
    pub own: u64,
    /// Requests with another tenant's ids.
    pub foreign: u64,
    /// Requests without a tenant.
    pub missing: u64,
}

impl OperationCoverage {
    /// Returns how many requests there were of this kind.
    #[must_use]
    pub fn of(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Own => self.own,
            Signal::Foreign => self.foreign,
            Signal::Missing => self.missing,
        }
    }

    /// Returns whether each kind of request was sent at least once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.own > 0 && self.foreign > 0 && self.missing > 0
    }
}

/// One cell of the tenant × tenant matrix.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MatrixCell {
    /// Whose data was asked for.
    pub from: String,
    /// Who asked.
    pub to: String,
    /// How many requests did.
    pub requests: u64,
    /// How many of them leaked.
    pub leaks: u64,
}

/// What one detector did in this run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Check {
    /// Which one.
    pub detector: Detector,
    /// How many observations it judged.
    pub observations: u64,
    /// Whether it saw the leak that was planted for it before the run; `None` if none was.
    pub planted_seen: Option<bool>,
}

/// What happens in one line of a leak's sequence diagram.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// A request and its answer.
    #[default]
    Request,
    /// Something that is done to the service, its tenants or its database: a suspension, a fault, a pause.
    Event,
}

/// One step of a minimised leak, in order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// What it is.
    pub kind: StepKind,
    /// The tenant that sends the request; empty for a request without one, and for events.
    pub tenant: String,
    /// The request's line, `GET /orders/7`, or what the event is.
    pub request: String,
    /// What came back, shortened: `200, 3 rows`. Empty if nothing did.
    pub answer: String,
    /// Whether this is the step in which it leaks.
    pub leaks: bool,
}

/// One leak, with the shortest program that was found to show it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Leak {
    /// What saw it.
    pub detector: Detector,
    /// Whose data crossed.
    pub from: String,
    /// Who got it, or changed it.
    pub to: String,
    /// The request by which it crossed: `GET /orders/7`.
    pub request: String,
    /// What crossed, in words.
    pub what: String,
    /// The minimised program as a readable script.
    pub program: String,
    /// The same as command lines, one request each.
    pub curl: Vec<String>,
    /// What `replay` takes.
    pub seed: String,
    /// The same as steps of a sequence diagram.
    pub steps: Vec<Step>,
    /// How many requests the program had before it was minimised.
    pub shrunk_from: usize,
    /// When in the run it was found.
    #[serde(with = "millis", rename = "found_after_ms")]
    pub found_after: Duration,
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing crossed.
    Clean,
    /// Something did, or the doctor found an error.
    Leaks,
    /// The run proves nothing: [`Report::void`] says why.
    Void,
}

/// What a search for leaks did and found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Report {
    /// What was examined.
    pub service: String,
    /// The seed of the whole run.
    pub seed: String,
    /// How long the run was allowed to take.
    #[serde(with = "millis", rename = "budget_ms")]
    pub budget: Duration,
    /// How long it took.
    #[serde(with = "millis", rename = "elapsed_ms")]
    pub elapsed: Duration,
    /// When the first leak was found, if one was.
    #[serde(with = "millis_or_none", rename = "time_to_first_catch_ms")]
    pub time_to_first_catch: Option<Duration>,
    /// Programs that were run.
    pub programs: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// The tenants, in the order of the matrix.
    pub tenants: Vec<String>,
    /// How often each operation was exercised.
    pub coverage: Vec<OperationCoverage>,
    /// Who asked for whose data, and what came of it. A pair that is not there was not tried.
    pub matrix: Vec<MatrixCell>,
    /// What each detector did.
    pub checks: Vec<Check>,
    /// The leaks, in the order in which they were found.
    pub leaks: Vec<Leak>,
    /// What the doctor found in the database; `None` if it was not asked.
    pub doctor: Option<Vec<Finding>>,
    /// Why the run proves nothing, if so: a planted leak that was not seen, an operation that was not exercised.
    pub void: Vec<String>,
}

impl Report {
    /// Returns what the run comes to.
    ///
    /// A leak that was found is one, whatever else the run could not prove.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let findings = self.doctor.iter().flatten();
        if !self.leaks.is_empty() || findings.map(|finding| finding.severity).max() == Some(Severity::Error) {
            Verdict::Leaks
        } else if self.void.is_empty() {
            Verdict::Clean
        } else {
            Verdict::Void
        }
    }

    /// Returns the report as JSON, for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("every part of a report has a form in JSON")
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// Returns the parser's error if `text` is not a report.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod millis_or_none {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<u64>::deserialize(deserializer).map(|millis| millis.map(Duration::from_millis))
    }
}
