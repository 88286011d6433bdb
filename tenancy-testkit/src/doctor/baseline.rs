//! Findings that are known, for adoption one by one.

use std::{collections::BTreeSet, fs, path::Path};

use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind};
use crate::finding::Finding;

/// Findings that are known: they do not fail, until they are gone.
///
/// Kept as JSON beside the service's code, with one entry for each finding, so that it is reviewed like code.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::doctor::Baseline;
///
/// let baseline = Baseline::from_json(r#"{"known": [{"code": "TD010", "kind": "table", "object": "public.orders"}]}"#)?;
/// assert_eq!(baseline.known.len(), 1);
/// # Ok::<(), tenancy_testkit::doctor::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// What is known.
    pub known: BTreeSet<Known>,
}

/// By what a finding is known.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The rule's code.
    pub code: String,
    /// What kind of thing the object is.
    pub kind: String,
    /// The object.
    pub object: String,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Baseline`] if `text` is not one.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let unreadable =
            |error| Error::new(ErrorKind::Baseline, "the baseline could not be read").with_source(error);
        serde_json::from_str(text).map_err(|error: serde_json::Error| unreadable(error))
    }

    /// Reads a baseline from a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Baseline`] if there is no such file, or it is not one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Baseline, format!("{} could not be read", path.display()))
                .with_source(error)
        });
        Self::from_json(&text?)
    }

    /// Writes the baseline to a file, which appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Baseline`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut text =
            serde_json::to_string_pretty(self).expect("every part of a baseline has a form in JSON");
        text.push('\n');
        let partial = path.with_extension("partial");
        fs::write(&partial, text).and_then(|()| fs::rename(&partial, path)).map_err(|error| {
            Error::new(ErrorKind::Baseline, format!("{} could not be written", path.display()))
                .with_source(error)
        })
    }

    pub(super) fn of<'a>(findings: impl Iterator<Item = &'a Finding>) -> Self {
        Self { known: findings.map(Known::of).collect() }
    }

    pub(super) fn knows(&self, finding: &Finding) -> bool {
        self.known.contains(&Known::of(finding))
    }

    /// Returns what is known and not found.
    pub(super) fn stale(&self, findings: &[Finding]) -> Vec<String> {
        let found = Self::of(findings.iter()).known;
        self.known
            .difference(&found)
            .map(|known| format!("{} {} {}", known.code, known.kind, known.object))
            .collect()
    }
}

impl Known {
    fn of(finding: &Finding) -> Self {
        Self { code: finding.code.clone(), kind: finding.kind.clone(), object: finding.object.clone() }
    }
}
