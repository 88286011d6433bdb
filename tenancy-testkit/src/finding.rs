//! What the doctor found, as the report shows it too.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Costs time or clarity; tenants stay apart.
    Note,
    /// Tenants stay apart today, by one thing only.
    Warning,
    /// Tenants are not kept apart.
    Error,
}

impl Severity {
    /// Returns the word that text, JSON and SARIF have for it: `note`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What makes a finding go away.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mend {
    /// Statements for an administrator to read, and then to run.
    Sql(String),
    /// A change of the declarations, such as a line `owned = ["orders"]`.
    Declare(String),
    /// Something that no statement does, in words.
    Advice(String),
}

impl Mend {
    /// Returns the statements, the declaration or the words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Sql(text) | Self::Declare(text) | Self::Advice(text) => text,
        }
    }
}

/// One thing in a database that keeps tenants less apart than they should be.
///
/// Its texts hold names of objects and never rows. An object's name is chosen by whoever may create it: treat it as
/// untrusted text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's stable code, such as `TD010`.
    pub code: String,
    /// The rule's name, such as `row-security-off`.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing the object is: `table`, `role`, `policy`.
    pub kind: String,
    /// The object, qualified as SQL names it: `public.orders`, or `public.orders.tenant` for what belongs to a table.
    pub object: String,
    /// What is the matter with this object.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// What makes the finding go away.
    pub mend: Mend,
}

impl Finding {
    /// Returns what a baseline knows the finding by: its code, the object's kind and the object.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {} {}", self.code, self.kind, self.object)
    }
}
