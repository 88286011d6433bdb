//! Values that statements bind and rows hold, and names as SQL spells them.

use std::fmt;

use super::rng::Rng;

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Type {
    /// `integer`, and the wider integers that aggregates make of it.
    Int,
    /// `text`.
    Text,
    /// `boolean`.
    Bool,
    /// `timestamp`.
    Time,
    /// `jsonb`.
    Json,
}

impl Type {
    pub(crate) const ALL: [Self; 5] = [Self::Int, Self::Text, Self::Bool, Self::Time, Self::Json];

    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Int => "integer",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Time => "timestamp",
            Self::Json => "jsonb",
        }
    }

    /// A letter that begins the names of computed columns, so that equal names have equal types.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Int => 'i',
            Self::Text => 't',
            Self::Bool => 'b',
            Self::Time => 'm',
            Self::Json => 'j',
        }
    }
}

/// A value that a statement binds, with the type that its driver would declare.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `integer`.
    Int(Option<i32>),
    /// `bigint`.
    BigInt(Option<i64>),
    /// `text`.
    Text(Option<String>),
    /// `boolean`.
    Bool(Option<bool>),
}

impl Value {
    /// Returns the name of the PostgreSQL type that the value is bound as.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int4",
            Self::BigInt(_) => "int8",
            Self::Text(_) => "text",
            Self::Bool(_) => "bool",
        }
    }

    /// Returns the value as a SQL literal.
    #[must_use]
    pub fn literal(&self) -> String {
        match self {
            Self::Int(Some(v)) => v.to_string(),
            Self::BigInt(Some(v)) => v.to_string(),
            Self::Text(Some(v)) => quoted(v),
            Self::Bool(Some(v)) => v.to_string(),
            _ => "NULL".to_owned(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.literal(), self.type_name())
    }
}

/// A text as a literal; `standard_conforming_strings` is on everywhere.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name, and whether SQL can spell it without quotes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Name(String);

/// Words among the names in use here that are keywords.
const RESERVED: [&str; 6] = ["group", "lateral", "only", "order", "select", "table"];

impl Name {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub(crate) fn raw(&self) -> &str {
        &self.0
    }

    fn plain(&self) -> bool {
        let fits = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
        self.0.chars().all(fits) && !RESERVED.contains(&self.0.as_str())
    }

    /// The usual spelling.
    pub(crate) fn sql(&self) -> String {
        if self.plain() { self.0.clone() } else { format!("\"{}\"", self.0.replace('"', "\"\"")) }
    }

    /// One of the spellings that mean this name (FLT-30).
    pub(crate) fn spelled(&self, rng: &mut Rng) -> String {
        if !self.plain() || !rng.chance(8) {
            return self.sql();
        }
        if rng.chance(50) { format!("\"{}\"", self.0) } else { self.0.to_ascii_uppercase() }
    }
}
