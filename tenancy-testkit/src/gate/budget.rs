//! What may cost how much: the budgets that are checked in.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, ErrorKind};

/// Budgets, as a TOML file holds them.
///
/// ```toml
/// [compare]                     # against a base revision, in alternation
/// groups = ["resolve/layer"]
/// at-most = 1.05
///
/// [[budget]]
/// bench = "resolve/calls/*"     # or a list; `*` stands for anything
/// metric = "added-p99"
/// at-most = "2 ms"
/// why = "the promise of the README"
///
/// [[budget]]
/// bench = ["resolve/layer/domain", "resolve/layer/header"]
/// metric = "added-ratio"        # what it adds, over what the other adds
/// against = "set-request-header"
/// at-most = 2.5                 # nothing gets worse
/// goal = 1.1                    # printed beside the limit, not enforced
/// ```
///
/// | metric | what is compared | limit |
/// |---|---|---|
/// | `time` | the median of a bench | duration |
/// | `added` | the median of its rounds minus those of `over` (default: the group's first bench) | duration |
/// | `added-p50`, `added-p99`, `added-p99.9` | quantiles of single calls, by [`OverheadProbe`](super::OverheadProbe) | duration |
/// | `ratio` | rounds of the bench over those of `against` (default: the group's first) | number |
/// | `added-ratio` | what the bench adds to `over`, over what `against` adds to `against-over` | number |
/// | `count` | the exact figure called `of`, such as `bytes` | number |
/// | `added-count` | that figure minus the one of `over` | number |
///
/// # Examples
///
/// ```
/// use tenancy_testkit::gate::Budgets;
///
/// let budgets = Budgets::parse(r#"
///     [[budget]]
///     bench = "copy/*"
///     metric = "time"
///     at-most = "350 ns"
/// "#)?;
/// assert_eq!(budgets.budgets.len(), 1);
/// assert!(Budgets::parse("[[budget]]\nbench = 'a'\nmetric = 'time'\nat-most = 3").is_err());
/// # Ok::<_, tenancy_testkit::gate::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budgets {
    /// How a base revision is compared with.
    #[serde(default)]
    pub compare: Compare,
    /// The budgets.
    #[serde(default, rename = "budget")]
    pub budgets: Vec<Budget>,
}

/// What a change may cost, compared with a base revision.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Compare {
    /// The groups that are compared; `*` stands for anything.
    pub groups: Patterns,
    /// How many times the base's time a bench may take.
    pub at_most: f64,
}

impl Default for Compare {
    fn default() -> Self {
        Self { groups: Patterns(vec!["*".to_owned()]), at_most: 1.05 }
    }
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// The benches that it is for, as `group/bench`.
    pub bench: Patterns,
    /// What is compared.
    pub metric: Metric,
    /// The limit; up to it, inclusive, the budget is kept.
    pub at_most: Limit,
    /// What is aimed at, where that is less than the limit: printed, not enforced.
    pub goal: Option<Limit>,
    /// The bench that the cost is added to; the group's first one unless given.
    pub over: Option<String>,
    /// The bench that is compared with; the group's first one unless given.
    pub against: Option<String>,
    /// The bench that `against` is added to; the group's first one unless given.
    pub against_over: Option<String>,
    /// Which count.
    pub of: Option<String>,
    /// Whether the budget is passed over where the machine cannot measure it, such as without valgrind.
    #[serde(default)]
    pub optional: bool,
    /// Why the limit is what it is.
    pub why: Option<String>,
}

/// What of a bench a budget is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metric {
    /// The median time.
    Time,
    /// What the bench adds to another, in the median.
    Added,
    /// What a layer adds to single calls, in the median.
    AddedP50,
    /// What a layer adds to single calls, at the 99th percentile.
    AddedP99,
    /// What a layer adds to single calls, at the 99.9th percentile.
    #[serde(rename = "added-p99.9")]
    AddedP999,
    /// Its time over that of another.
    Ratio,
    /// What it adds over what another adds.
    AddedRatio,
    /// An exact figure.
    Count,
    /// An exact figure minus that of another bench.
    AddedCount,
    /// Its time over that of the base revision; used by comparisons alone.
    #[serde(skip_deserializing)]
    Change,
}

impl Metric {
    /// Returns whether the metric is a duration.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Time | Self::Added | Self::AddedP50 | Self::AddedP99 | Self::AddedP999)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
            Self::Added => "added",
            Self::AddedP50 => "added p50",
            Self::AddedP99 => "added p99",
            Self::AddedP999 => "added p99.9",
            Self::Ratio => "ratio",
            Self::AddedRatio => "added ratio",
            Self::Count => "count",
            Self::AddedCount => "added count",
            Self::Change => "change",
        })
    }
}

/// One name or several, in which `*` stands for anything.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Patterns(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Patterns {
    fn from(patterns: OneOrMany) -> Self {
        Self(match patterns {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        })
    }
}

impl Patterns {
    /// Returns whether one of the patterns is `name`.
    #[must_use]
    pub fn accept(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// Returns the patterns.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().any(|(at, _)| matches(tail, &rest[at..])) || matches(tail, "")
        }),
    }
}

/// A number, or a duration in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub enum Limit {
    /// A plain number.
    Number(f64),
    /// Nanoseconds.
    Nanoseconds(f64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl TryFrom<Written> for Limit {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::Number(number) if number.is_finite() && number >= 0.0 => {
                return Ok(Self::Number(number));
            }
            Written::Number(_) => return Err("a limit is a number from 0".to_owned()),
            Written::Text(text) => text,
        };
        let wrong = || format!("{text:?} is no duration such as \"2 ms\" or \"350 ns\"");
        let at = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').ok_or_else(wrong)?;
        let number: f64 = text[..at].trim().parse().map_err(|_| wrong())?;
        let unit = match &text[at..] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            _ => return Err(wrong()),
        };
        let is_duration = number.is_finite() && number >= 0.0;
        if is_duration { Ok(Self::Nanoseconds(number * unit)) } else { Err(wrong()) }
    }
}

impl Limit {
    /// Returns the limit as it is compared: plain, or in nanoseconds.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Number(value) | Self::Nanoseconds(value) => value,
        }
    }
}

impl Budgets {
    /// Reads budgets from a file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unreadable`] if the file is not there, and the errors of [`Budgets::parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path, error))?;
        Self::parse(&text)
    }

    /// Reads budgets.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidBudget`] if `text` is not TOML, names unknown fields or metrics, or gives a limit of
    /// the wrong kind: what is not understood is never passed over.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |reason: String| Error::new(ErrorKind::InvalidBudget, reason);
        let budgets: Self = toml::from_str(text).map_err(|error| {
            invalid("the budgets are not what they should be".to_owned()).caused_by(error)
        })?;
        for budget in &budgets.budgets {
            budget.check().map_err(|what| {
                let name = budget.bench.iter().next().unwrap_or_default();
                invalid(format!("budget of {name}: {what}"))
            })?;
        }
        if !(budgets.compare.at_most.is_finite() && budgets.compare.at_most >= 1.0) {
            return Err(invalid("a comparison allows at least 1 time the base".to_owned()));
        }
        Ok(budgets)
    }
}

impl Budget {
    fn check(&self) -> Result<(), &'static str> {
        let is_duration = |limit: Limit| matches!(limit, Limit::Nanoseconds(_));
        let counts = matches!(self.metric, Metric::Count | Metric::AddedCount);
        if self.bench.iter().next().is_none() {
            Err("it is for no bench")
        } else if [Some(self.at_most), self.goal]
            .into_iter()
            .flatten()
            .any(|it| is_duration(it) != self.metric.is_time())
        {
            Err("times have limits such as \"2 ms\", and all else has plain numbers")
        } else if self.goal.is_some_and(|goal| goal.value() > self.at_most.value()) {
            Err("a goal above the limit is none")
        } else if counts != self.of.is_some() {
            Err("a count, and nothing else, says of what")
        } else if self.against.is_some() && !matches!(self.metric, Metric::Ratio | Metric::AddedRatio) {
            Err("only ratios are against another bench")
        } else if self.metric == Metric::AddedRatio && self.against.is_none() {
            Err("it does not say against which bench")
        } else if self.against_over.is_some() && self.metric != Metric::AddedRatio {
            Err("only an added ratio is against another bench over a third")
        } else if self.over.is_some()
            && !matches!(self.metric, Metric::Added | Metric::AddedRatio | Metric::AddedCount)
        {
            Err("only what is added is over another bench")
        } else {
            Ok(())
        }
    }
}
