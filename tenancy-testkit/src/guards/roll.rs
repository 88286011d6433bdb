//! What a suite noticed: as a table, and as JSON.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Guard;
use super::suite::Ran;

/// Whether the suite noticed that a guard was missing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The guard was missed, and the suite is red.
    Noticed,
    /// The guard was missed, and the suite is green.
    Unnoticed,
    /// Nothing came to where the guard would have acted, and the suite is green: no test is about it, or the tests are built
    /// without the feature.
    NeverMissed,
    /// The same, of a guard of which it was stated that the service does without.
    Unused,
    /// The guard was never missed, and the suite is red: for another reason.
    OtherReason,
}

impl Answer {
    fn name(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Unnoticed => "unnoticed",
            Self::NeverMissed => "never-missed",
            Self::Unused => "unused",
            Self::OtherReason => "other-reason",
        }
    }

    /// Returns whether that is as it should be.
    #[must_use]
    pub fn is_well(self) -> bool {
        matches!(self, Self::Noticed | Self::Unused)
    }
}

/// One guard that was taken away.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tried {
    /// The guard that was off.
    pub guard: Guard,
    /// Whether the suite noticed.
    pub answer: Answer,
    /// The tests that failed, where the test runner says so in a way that is understood.
    pub failed: Vec<String>,
    /// How long the suite took.
    pub took: Duration,
}

impl Tried {
    pub(super) fn new(guard: Guard, ran: Ran, unused: bool) -> Self {
        let answer = match (ran.green, ran.missed) {
            (false, true) => Answer::Noticed,
            (true, true) => Answer::Unnoticed,
            (true, false) if unused => Answer::Unused,
            (true, false) => Answer::NeverMissed,
            (false, false) => Answer::OtherReason,
        };
        Self { guard, answer, failed: ran.failed, took: ran.took }
    }
}

/// What a suite noticed, guard by guard. It is displayed as a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Roll {
    /// How long the suite took with all guards standing.
    pub standing: Duration,
    /// The guards that were taken away.
    pub tried: Vec<Tried>,
}

impl Roll {
    /// Returns the guards whose absence the suite does not prove to notice.
    pub fn survivors(&self) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(|tried| !tried.answer.is_well())
    }

    /// Returns 0 if each guard was noticed or is unused, and 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.survivors().next().is_some())
    }

    /// Returns the table as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let one = |tried: &Tried| -> Value {
            json!({
                "guard": tried.guard.name(),
                "without": tried.guard.without(),
                "answer": tried.answer.name(),
                "failed": tried.failed,
                "seconds": tried.took.as_secs_f64(),
            })
        };
        let guards: Vec<Value> = self.tried.iter().map(one).collect();
        let survivors: Vec<&str> = self.survivors().map(|tried| tried.guard.name()).collect();
        let all = json!({ "standing_seconds": self.standing.as_secs_f64(), "guards": guards, "survivors": survivors });
        format!("{all:#}")
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match (self.answer, self.failed.as_slice()) {
            (Answer::Noticed, []) => "red".to_owned(),
            (Answer::Noticed, [one]) => format!("red: {one}"),
            (Answer::Noticed, [first, more @ ..]) => format!("red: {first}, and {} more", more.len()),
            (Answer::Unnoticed, _) => "NOT NOTICED: green without it".to_owned(),
            (Answer::NeverMissed, _) => "NEVER MISSED: no test is about it, or no feature is on".to_owned(),
            (Answer::Unused, _) => "not in use".to_owned(),
            (Answer::OtherReason, _) => "RED, BUT NEVER MISSED: for another reason".to_owned(),
        };
        write!(f, "{:<10} {:<58} {said}", self.guard, self.guard.without())
    }
}

impl fmt::Display for Roll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:<58} the suite", "guard", "without it")?;
        writeln!(f, "{:<10} {:<58} green", "-", "all guards stand")?;
        self.tried.iter().try_for_each(|tried| writeln!(f, "{tried}"))?;
        match self.survivors().map(|tried| tried.guard.name()).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => writeln!(f, "The suite notices each guard that is missing."),
            some => writeln!(f, "The suite does not prove to notice: {some}"),
        }
    }
}
