//! The benchmark gate, as a program: exits with 0 within the budgets, 1 over one, 2 if it could not measure.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use tenancy_testkit::gate::{
    Alternation, Budgets, Error, ErrorKind, Finding, History, Moment, Report, Run, Verdict, judge,
};

/// Compares what benches measured with budgets that are checked in.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Do,
}

#[derive(Subcommand)]
enum Do {
    /// Measures, or reads measurements, and compares them with the budgets.
    Check(Box<Check>),
}

#[derive(Args)]
struct Check {
    /// The budgets.
    #[arg(long, default_value = "benches/budgets.toml")]
    budgets: PathBuf,
    /// A bench program that is run now; its unclear figures are measured again.
    #[arg(long)]
    program: Option<PathBuf>,
    /// The same bench program of the base revision, which takes turns with the first.
    #[arg(long, requires = "program")]
    base: Option<PathBuf>,
    /// What a bench program measured before; may be given several times.
    #[arg(long)]
    run: Vec<PathBuf>,
    /// The directory in which criterion keeps its measurements.
    #[arg(long)]
    criterion: Option<PathBuf>,
    /// The directory in which gungraun keeps its summaries.
    #[arg(long)]
    gungraun: Option<PathBuf>,
    /// How many calls each measurement of gungraun is made of.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    gungraun_calls: u32,
    /// How many times unclear figures are measured in all.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    attempts: u8,
    /// Where the report and the plots go.
    #[arg(long, default_value = "target/tenancy-gate")]
    out: PathBuf,
    /// The file of medians that trends are drawn from; this run's are added to it.
    #[arg(long)]
    history: Option<PathBuf>,
    /// What is measured, for the history.
    #[arg(long, default_value = "unnamed")]
    revision: String,
}

fn main() -> ExitCode {
    let Do::Check(check) = Cli::parse().command;
    match check.run() {
        Ok(report) => {
            print!("{}", report.terminal());
            ExitCode::from(report.exit_code())
        }
        Err(error) => {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::from(2)
        }
    }
}

impl Check {
    fn run(&self) -> Result<Report, Error> {
        let budgets = Budgets::read(&self.budgets)?;
        let mut run = self.read()?;
        if let Some(program) = &self.program {
            run.merge(self.measure(program, None)?);
        }
        let mut findings = judge(&budgets, &run)?;
        if let Some(program) = &self.program {
            for _ in 1..self.attempts {
                let unclear = groups_to_repeat(&findings, Verdict::Unclear);
                if unclear.is_empty() {
                    break;
                }
                findings = self.repeat(program, &unclear, &budgets, &mut run)?;
            }
            // What is over its limit has to be so twice: an alarm that is false is worse than one that comes late.
            let over = groups_to_repeat(&findings, Verdict::Over);
            if !over.is_empty() {
                findings = self.repeat(program, &over, &budgets, &mut run)?;
            }
        }
        if let (Some(base), Some(head)) = (&self.base, &self.program) {
            findings.extend(self.compare(base, head, &budgets)?);
        }
        let report = Report::new(run.machine.clone(), findings);
        report.write(&self.out, &run, &self.history(&run)?)?;
        run.write(&self.out.join("run.json"))?;
        Ok(report)
    }

    /// Measures `groups` again, and judges everything anew.
    fn repeat(
        &self,
        program: &Path,
        groups: &[String],
        budgets: &Budgets,
        run: &mut Run,
    ) -> Result<Vec<Finding>, Error> {
        for group in groups {
            run.merge(self.measure(program, Some(group))?);
        }
        judge(budgets, run)
    }

    fn read(&self) -> Result<Run, Error> {
        let mut run = Run::default();
        if let Some(directory) = &self.criterion {
            run.merge(Run::from_criterion(directory)?);
        }
        if let Some(directory) = &self.gungraun {
            run.merge(Run::from_gungraun(directory, self.gungraun_calls)?);
        }
        for path in &self.run {
            run.merge(Run::read(path)?);
        }
        Ok(run)
    }

    /// Runs a bench program, of one group or of all.
    fn measure(&self, program: &Path, only: Option<&str>) -> Result<Run, Error> {
        let out = self.out.join("measured.json");
        let mut command = Command::new(program);
        command.arg("measure").arg("--out").arg(&out);
        if let Some(group) = only {
            command.args(["--only", group]);
        }
        let failed = || Error::failed(ErrorKind::BenchFailed, format!("{} failed", program.display()));
        match command.status() {
            Ok(status) if status.success() => Run::read(&out),
            Ok(_) | Err(_) => Err(failed()),
        }
    }

    fn compare(&self, base: &Path, head: &Path, budgets: &Budgets) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for attempt in 0..self.attempts {
            let alternation = Alternation::default().with_starts(8 << attempt);
            findings = alternation.compare(base, head, &budgets.compare)?;
            if findings.iter().all(|finding| finding.verdict != Verdict::Unclear) {
                break;
            }
        }
        Ok(findings)
    }

    fn history(&self, run: &Run) -> Result<History, Error> {
        let moment = Moment::of(run, &self.revision);
        let Some(path) = &self.history else { return Ok(History(vec![moment])) };
        History::append(path, &moment)?;
        History::read(path, &run.machine)
    }
}

/// Returns the groups with findings of `verdict` that another measurement could change: counts are what they are.
fn groups_to_repeat(findings: &[Finding], verdict: Verdict) -> Vec<String> {
    let varies = |finding: &&Finding| finding.value.is_some_and(|value| value.low < value.high);
    let found = findings.iter().filter(|finding| finding.verdict == verdict).filter(varies);
    let mut groups: Vec<String> = found.map(|finding| finding.group.clone()).collect();
    groups.sort();
    groups.dedup();
    groups
}
