//! What an examination comes to.

use serde::Serialize;

use super::{baseline::Baseline, facts::Facts, sarif, text};
use crate::finding::{Finding, Severity};

/// What an examination comes to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Who was examined.
    pub role: String,
    /// The server's version: `15.18`.
    pub server: String,
    /// How many declared tables there are.
    pub tables: usize,
    /// What was found and is not known, the worst first.
    pub findings: Vec<Finding>,
    /// What was found and is known by the baseline.
    pub known: Vec<Finding>,
    /// What the baseline knows and is gone: take it out.
    pub stale: Vec<String>,
}

impl Diagnosis {
    pub(super) fn new(facts: &Facts, mut findings: Vec<Finding>, baseline: &Baseline) -> Self {
        findings.sort_by(|a, b| {
            (std::cmp::Reverse(a.severity), &a.code, &a.object).cmp(&(
                std::cmp::Reverse(b.severity),
                &b.code,
                &b.object,
            ))
        });
        let stale = baseline.stale(&findings);
        let (known, findings) = findings.into_iter().partition(|finding| baseline.knows(finding));
        Self {
            role: facts.role_name.clone(),
            server: format!("{}.{}", facts.version / 10_000, facts.version % 10_000),
            tables: facts.tables(),
            findings,
            known,
            stale,
        }
    }

    /// Returns whether nothing worse than a note was found that is not known.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    /// Returns the exit code of a program: 0 if the database is healthy, 1 if not. 2 is for one that could not be examined.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_healthy())
    }

    /// Returns the baseline that knows everything that was found.
    #[must_use]
    pub fn to_baseline(&self) -> Baseline {
        Baseline::of(self.findings.iter().chain(&self.known))
    }

    /// Returns the findings for a person at a terminal.
    ///
    /// Names of objects are shown with control characters escaped, so that none of them writes to the terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Returns the diagnosis as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("every part of a diagnosis has a form in JSON")
    }

    /// Returns the findings as SARIF 2.1.0, with the known ones marked as suppressed.
    ///
    /// Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
    #[must_use]
    pub fn to_sarif(&self) -> String {
        sarif::write(self)
    }
}
