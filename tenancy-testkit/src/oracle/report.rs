//! What a run found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::ddl::{self, Placement};
use super::run::bench::Trial;
use super::run::compare::Verdict;
use super::run::lane::Outcome;
use super::run::shrink::Small;
use super::seed::Seed;
use super::subject::{Layout, Refusal, Scoped, Statement};
use super::value::Value;

/// What a run of the oracle found. Its `Display` is meant for people.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Schemas with their rows.
    pub worlds: u64,
    /// Statements that were generated.
    pub statements: u64,
    /// Of them, those that ask for another tenant's rows to be written.
    pub forbidden: u64,
    /// Statements that ran on both sides.
    pub ran: u64,
    /// Of those, the ones that ran without an error on the twin.
    pub valid: u64,
    /// Of those, the ones that the subject ran behind row-level security.
    pub walled: u64,
    /// Of those, the ones about which nothing can be said, because one side ran out of time.
    pub unknown: u64,
    /// Refusals of statements that could have been run, by construct.
    pub refused: BTreeMap<String, u64>,
    /// Refusals of writes for another tenant.
    pub refused_rightly: u64,
    /// Differences that are a known limit of the subject.
    pub tolerated: u64,
    /// Statements with a part that always fails, which the subject came upon and the twin did not, and which fail so where no
    /// other tenant has a row too: the plan is another one, and nothing is told.
    pub alone: Vec<Seed>,
    /// Statements that row-level security ran too.
    pub calibrated: u64,
    /// Of those, differences that are a known limit of row-level security.
    pub calibration_tolerated: u64,
    /// How many statements have each construct.
    pub constructs: BTreeMap<&'static str, u64>,
    /// How many statements failed on the twin, by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// A statement for each refused construct and each SQLSTATE: its seed, what the database said, and its text.
    pub examples: BTreeMap<String, String>,
    /// Where the subject differs from the twin.
    pub differences: Vec<Difference>,
    /// Where row-level security does: an error of the oracle.
    pub miscalibrations: Vec<Difference>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A statement that gave something else than it should, as small as it could be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// Replays the statement as it was before it was cut down.
    pub seed: Seed,
    /// What differs.
    pub reason: &'static str,
    /// The tenant who issued it, as SQL.
    pub tenant: String,
    /// The statement as it was found.
    pub found: Statement,
    /// The statement after it was cut down.
    pub statement: Statement,
    /// What the subject made of it.
    pub scoped: Scoped,
    /// What the twin gave.
    pub twin: Outcome,
    /// What the subject gave.
    pub subject: Outcome,
    /// What row-level security gave: if it errs too, the statement's outcome may not follow from SQL alone.
    pub walled: Option<Outcome>,
    /// SQL that makes the tables and rows.
    pub script: String,
}

impl Report {
    /// Returns the share of statements, between 0 and 1, that were refused though they could have been run.
    #[must_use]
    pub fn refused_share(&self) -> f64 {
        share(self.refused.values().sum(), self.statements - self.forbidden)
    }

    /// Returns the share, between 0 and 1, of statements that ran without an error on the twin.
    #[must_use]
    pub fn valid_share(&self) -> f64 {
        share(self.valid, self.ran)
    }

    /// Returns statements per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.statements as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    pub(crate) fn met(&mut self, statement: &Statement) {
        self.statements += 1;
        self.forbidden += u64::from(statement.forbidden);
        for construct in &statement.constructs {
            *self.constructs.entry(construct).or_default() += 1;
        }
    }

    pub(crate) fn refused(&mut self, seed: Seed, statement: &Statement, refusal: &Refusal) {
        if statement.forbidden {
            self.refused_rightly += 1;
        } else {
            *self.refused.entry(refusal.construct.clone()).or_default() += 1;
            let example = || format!("{seed}: {}", statement.sql);
            self.examples.entry(refusal.construct.clone()).or_insert_with(example);
        }
    }

    pub(crate) fn ran(&mut self, seed: Seed, trial: &Trial, statement: &Statement) {
        self.unknown += u64::from(trial.verdict == Verdict::Unknown);
        self.walled += u64::from(trial.scoped.layout == Layout::Walled);
        if statement.forbidden {
            return;
        }
        self.ran += 1;
        match &trial.twin.sqlstate {
            None => self.valid += 1,
            Some(code) => {
                *self.errors.entry(code.clone()).or_default() += 1;
                let example = || format!("{seed} {}: {}", trial.twin.message, statement.sql);
                self.examples.entry(code.clone()).or_insert_with(example);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.statements += other.statements;
        self.forbidden += other.forbidden;
        self.ran += other.ran;
        self.valid += other.valid;
        self.walled += other.walled;
        self.unknown += other.unknown;
        self.refused_rightly += other.refused_rightly;
        self.tolerated += other.tolerated;
        self.alone.extend(other.alone);
        self.calibrated += other.calibrated;
        self.calibration_tolerated += other.calibration_tolerated;
        add(&mut self.refused, other.refused);
        add(&mut self.constructs, other.constructs);
        add(&mut self.errors, other.errors);
        self.examples.extend(other.examples);
        self.differences.extend(other.differences);
        self.miscalibrations.extend(other.miscalibrations);
    }
}

impl Difference {
    pub(crate) fn new(
        seed: Seed,
        reason: &'static str,
        tenant: usize,
        found: Statement,
        small: Small,
    ) -> Self {
        let Small { world, statement, trial, walled } = small;
        Self {
            seed,
            reason,
            tenant: world.tenant_value(tenant).literal(),
            found,
            statement,
            scoped: trial.scoped,
            twin: trial.twin,
            subject: trial.subject,
            walled,
            script: ddl::create(&world, Placement::Shared).replace(';', ";\n"),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn add<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}

fn table<K: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, map: &BTreeMap<K, u64>) -> fmt::Result {
    if map.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}:")?;
    let mut rows: Vec<_> = map.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    rows.into_iter().try_for_each(|(key, count)| writeln!(f, "  {count:>9}  {key}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} statements over {} worlds in {:.1} s ({:.0} a second)",
            self.statements,
            self.worlds,
            self.elapsed.as_secs_f64(),
            self.rate()
        )?;
        writeln!(
            f,
            "ran: {} ({:.1} % valid, {} behind row-level security, {} out of time, {} known limits)",
            self.ran,
            100.0 * self.valid_share(),
            self.walled,
            self.unknown,
            self.tolerated
        )?;
        let alone: Vec<_> = self.alone.iter().map(Seed::to_string).collect();
        writeln!(f, "failed by themselves, without others' rows too: {} {}", alone.len(), alone.join(" "))?;
        writeln!(
            f,
            "writes for another tenant: {}, refused at once: {}",
            self.forbidden, self.refused_rightly
        )?;
        writeln!(
            f,
            "row-level security ran {}: {} errors of the oracle, {} known limits",
            self.calibrated,
            self.miscalibrations.len(),
            self.calibration_tolerated
        )?;
        table(f, &format!("refused ({:.2} %)", 100.0 * self.refused_share()), &self.refused)?;
        table(f, "constructs", &self.constructs)?;
        table(f, "errors on the twin", &self.errors)?;
        for (code, example) in &self.examples {
            writeln!(f, "  such as {code}: {example}")?;
        }
        for difference in &self.miscalibrations {
            writeln!(f, "\nROW-LEVEL SECURITY {difference}")?;
        }
        for difference in &self.differences {
            writeln!(f, "\nDIFFERENCE {difference}")?;
        }
        write!(f, "{} differences", self.differences.len())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; replay(\"{}\")", self.reason, self.seed)?;
        writeln!(f, "tables and rows:\n{}", self.script)?;
        writeln!(f, "as tenant {}:\n  {}", self.tenant, self.statement.sql)?;
        writeln!(f, "  {}", Values(&self.statement.values))?;
        writeln!(
            f,
            "scoped ({:?}):\n  {}\n  {}",
            self.scoped.layout,
            self.scoped.sql,
            Values(&self.scoped.values)
        )?;
        writeln!(f, "alone: {}", Shown(&self.twin))?;
        write!(f, "scoped: {}", Shown(&self.subject))?;
        self.walled.iter().try_for_each(|walled| write!(f, "\nbehind row-level security: {}", Shown(walled)))
    }
}

struct Values<'a>(&'a [Value]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(i, value)| write!(f, "{}${} = {value}", if i > 0 { ", " } else { "" }, i + 1))
    }
}

struct Shown<'a>(&'a Outcome);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { columns, rows, affected, sqlstate, message, state } = self.0;
        if let Some(sqlstate) = sqlstate {
            return write!(f, "error {sqlstate}: {message}");
        }
        write!(f, "{affected} rows [{}]", columns.join(", "))?;
        rows.iter().take(20).try_for_each(|row| write!(f, "\n  {row}"))?;
        if !state.is_empty() {
            write!(f, "\n  state: {}", state.join("; "))?;
        }
        Ok(())
    }
}
