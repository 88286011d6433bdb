//! What a search for leaks did and found, for programs, for CI and for people.
//!
//! [`Report`] is plain data that `serde` reads and writes. Every text in it that came from the examined service is
//! untrusted: it is kept as it came, and escaped where it is shown.
//!
//! # Examples
//!
//! ```
//! use tenancy_testkit::report::{Report, Verdict};
//!
//! let report = Report { service: "orders".into(), programs: 12, requests: 96, ..Report::default() };
//! assert_eq!(report.verdict(), Verdict::Clean);
//! assert_eq!(Report::from_json(&report.to_json())?, report);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod html;
mod junit;
mod model;

use std::{fs, io, path::Path};

pub use self::model::{
    Check, Detector, Leak, MatrixCell, OperationCoverage, Report, Signal, Step, StepKind, Verdict,
};
pub use crate::finding::{Finding, Mend, Severity};

impl Report {
    /// Returns the report as JUnit XML, for CI.
    ///
    /// Each leak, each operation and each finding of the doctor is a case. A leak and a finding that is no note fail; an
    /// operation that was not tried in every way is an error, as is a run that proves nothing.
    #[must_use]
    pub fn to_junit(&self) -> String {
        junit::write(self)
    }

    /// Returns the report as one page for people, which needs no other file and runs no script.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::write(self)
    }

    /// Writes `report.json`, `junit.xml` and `report.html` to `folder`, which is made if it is not there.
    ///
    /// Each file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// Returns the error of the first file that could not be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let files = [
            ("report.json", self.to_json()),
            ("junit.xml", self.to_junit()),
            ("report.html", self.to_html()),
        ];
        for (name, content) in files {
            let partial = folder.join(name).with_extension("partial");
            fs::write(&partial, content)?;
            fs::rename(&partial, folder.join(name))?;
        }
        Ok(())
    }
}
