//! The table that is checked in.

use std::fmt;
use std::time::Duration;

use tenancy_mutants::Variant;

pub(crate) enum Outcome {
    Caught { detector: String, after: Duration, steps: usize, replayed: (usize, usize), operation: String },
    Silent { programs: u64, requests: u64, gaps: Vec<String> },
    Void { why: String },
}

pub(crate) struct Line {
    pub(crate) variant: Variant,
    pub(crate) outcome: Outcome,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.variant.name();
        match &self.outcome {
            Outcome::Caught { detector, after, steps, replayed, operation } => {
                let again =
                    if replayed.1 == 0 { "-".into() } else { format!("{} of {}", replayed.0, replayed.1) };
                let after = after.as_secs_f64();
                write!(f, "| {name} | {detector} | {after:.1} s | {steps} | {again} | {operation} |")
            }
            Outcome::Silent { programs, requests, gaps } => {
                let gaps = if gaps.is_empty() {
                    String::new()
                } else {
                    format!(", never served: {}", gaps.join(", "))
                };
                write!(f, "| {name} | none | - | - | - | {programs} programs, {requests} requests{gaps} |")
            }
            Outcome::Void { why } => write!(f, "| {name} | void | - | - | - | {why} |"),
        }
    }
}

pub(crate) struct Table {
    budget: u64,
    seed: u64,
    lines: Vec<Line>,
}

impl Table {
    pub(crate) fn new(budget: u64, seed: u64) -> Self {
        Self { budget, seed, lines: Vec::new() }
    }

    pub(crate) fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    pub(crate) fn summary(&self) -> String {
        let caught = |line: &&Line| matches!(line.outcome, Outcome::Caught { .. });
        let leaky = || self.lines.iter().filter(|line| line.variant.is_leaky());
        let quiet = || self.lines.iter().filter(|line| !line.variant.is_leaky());
        let mut times: Vec<f64> = leaky()
            .filter_map(|line| match &line.outcome {
                Outcome::Caught { after, .. } => Some(after.as_secs_f64()),
                _ => None,
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        format!(
            "{} of {} leaky variants caught, median time to the first catch {median:.1} s; {} false alarms on {} others",
            leaky().filter(caught).count(),
            leaky().count(),
            quiet().filter(caught).count(),
            quiet().count(),
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Score of the search\n")?;
        writeln!(
            f,
            "Written by `cargo run -p tenancy-mutants --example score -- --budget {} --write`",
            self.budget
        )?;
        writeln!(
            f,
            "with the seed `{:x}`. Variants: `src/variant.rs`; detectors: `tenancy_testkit::check::Detector`;",
            self.seed
        )?;
        writeln!(
            f,
            "`role` is the refusal to run on a role that may do more than an application may (KIT-03).\n"
        )?;
        writeln!(f, "{}.\n", self.summary())?;
        writeln!(
            f,
            "| variant | detector | first seen after | steps of the shortest program | replayed | operation |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
