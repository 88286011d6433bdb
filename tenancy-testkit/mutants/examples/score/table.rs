//! The table that is checked in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tenancy_mutants::Variant;

pub(crate) enum Outcome {
    Caught { detector: String, after: Duration, steps: usize, replayed: (usize, usize), operation: String },
    Silent { programs: u64, requests: u64, gaps: Vec<String> },
    Void { why: String },
}

pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds for each seed.
    pub(crate) budget: u64,
    pub(crate) seeds: u64,
    pub(crate) outcome: Outcome,
}

/// How many processes wanted to run in the last minute: times mean little without it.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("-").to_owned()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, budget, seeds, .. } = self;
        write!(f, "| {name} | {budget} s | {seeds} | {} | ", load())?;
        match &self.outcome {
            Outcome::Caught { detector, after, steps, replayed, operation } => {
                let again =
                    if replayed.1 == 0 { "-".into() } else { format!("{} of {}", replayed.0, replayed.1) };
                let after = after.as_secs_f64();
                write!(f, "{detector} | {after:.1} s | {steps} | {again} | {operation} |")
            }
            Outcome::Silent { programs, requests, gaps } => {
                let gaps = if gaps.is_empty() {
                    String::new()
                } else {
                    format!(", never served: {}", gaps.join(", "))
                };
                write!(f, "none | - | - | - | {programs} programs, {requests} requests{gaps} |")
            }
            Outcome::Void { why } => write!(f, "void | - | - | - | {why} |"),
        }
    }
}

/// The lines of the table by variant, those of earlier runs among them.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, String>);

impl Table {
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| Some((cell(line, 0)?, line.to_owned())));
        Self(lines.filter(|(name, _)| place(name).is_some()).collect())
    }

    pub(crate) fn add(&mut self, line: &Line) {
        self.0.insert(line.name.clone(), line.to_string());
    }

    fn lines(&self, leaky: bool) -> Vec<&String> {
        let mut lines: Vec<_> = self.0.iter().filter(|(name, _)| name.starts_with('M') == leaky).collect();
        lines.sort_by_key(|(name, _)| (place(name), name.len()));
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn summary(&self) -> String {
        let caught = |line: &&&String| !matches!(cell(line, 4).as_deref(), Some("none" | "void"));
        let (leaky, quiet) = (self.lines(true), self.lines(false));
        let after = |line: &&String| cell(line, 5)?.trim_end_matches(" s").parse::<f64>().ok();
        let mut times: Vec<f64> = leaky.iter().filter(caught).filter_map(&after).collect();
        times.sort_by(f64::total_cmp);
        let part = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        let (median, most) = (part(50), part(95));
        let budget = |line: &&&String| cell(line, 1)?.trim_end_matches(" s").parse::<f64>().ok();
        let in_time =
            |line: &&&String| after(line).zip(budget(line)).is_some_and(|(after, budget)| after <= budget);
        format!(
            "{} of {} leaky variants caught, {} of them within the budget (a program that has begun is ended), time to the first catch {median:.1} s in the median and {most:.1} s at the 95th percentile; {} false alarms on {} others",
            leaky.iter().filter(caught).count(),
            leaky.len(),
            leaky.iter().filter(caught).filter(in_time).count(),
            quiet.iter().filter(caught).count(),
            quiet.len(),
        )
    }
}

/// The text of a cell, the variant's name being the first.
fn cell(line: &str, at: usize) -> Option<String> {
    line.split('|').nth(at + 1).map(|text| text.trim().to_owned())
}

/// Where a name stands among the variants.
fn place(name: &str) -> Option<usize> {
    let name = name.split(' ').next()?;
    Variant::ALL.iter().position(|variant| variant.name() == name)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}\n{}.\n", self.summary())?;
        for leaky in [true, false] {
            write!(f, "\n{COLUMNS}\n")?;
            self.lines(leaky).iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        Ok(())
    }
}

const HEAD: &str = "\
# Score of the search

Written by `cargo run --profile score -p tenancy-mutants --all-features --example score -- --write`, a line for each variant
that it is told to examine. Variants: `src/variant.rs`; detectors: `tenancy_testkit::check::Detector`; `role` is the refusal to run on a role
that may do more than an application may (KIT-03). The budget is for each seed; \"load\" is the machine's load average over a
minute when the line was written: with more processes than cores, seconds are longer than they seem.
";

const COLUMNS: &str = "\
| variant | budget | seeds | load | detector | first seen after | steps of the shortest program | replayed | operation |
|---|---|---|---|---|---|---|---|---|";
