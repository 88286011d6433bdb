//! What a bench program does when it is started: measure, or take orders from the gate.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::interleave::iterations;
use super::run::{BenchRun, GroupRun, Run};
use super::suite::{Group, Suite};
use super::{Error, ErrorKind, Interleave, Machine, OverheadProbe};

/// A bench program that measures a [`Suite`] in alternation, for the gate.
///
/// Its arguments:
///
/// ```text
/// measure --out FILE [--only PREFIX] [--rounds N] [--calls N]   measures, and writes a run to FILE
/// serve                                                         takes orders on standard input
/// ```
///
/// `cargo bench` measures all and prints the medians; `cargo test`, which does not say `--bench`, runs each bench once.
///
/// # Examples
///
/// A bench target with `harness = false`:
///
/// ```no_run
/// use std::process::ExitCode;
/// use tenancy_testkit::gate::{BenchProgram, Suite};
///
/// fn main() -> ExitCode {
///     let suite = Suite::new().with_group("copy", |group| {
///         group.with_bench("short", || "a".to_owned()).with_bench("long", || "a".repeat(64))
///     });
///     BenchProgram::new(suite).main()
/// }
/// ```
#[derive(Debug)]
#[must_use]
pub struct BenchProgram {
    suite: Suite,
}

#[derive(Debug, Default)]
struct Options {
    serve: bool,
    measure: bool,
    out: Option<PathBuf>,
    only: String,
    rounds: Option<usize>,
    calls: Option<usize>,
}

impl BenchProgram {
    /// Returns a program that measures `suite`.
    pub fn new(suite: Suite) -> Self {
        Self { suite }
    }

    /// Does what the program's arguments say. Exits with 2 if it cannot.
    pub fn main(self) -> ExitCode {
        match self.run(std::env::args().skip(1)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", super::chain(&error));
                ExitCode::from(2)
            }
        }
    }

    fn run(&self, args: impl Iterator<Item = String>) -> Result<(), Error> {
        let options = Options::parse(args)?;
        if options.serve {
            return self.serve(io::stdin().lock(), io::stdout().lock());
        }
        if !options.measure {
            self.run_once(&options);
            return Ok(());
        }
        let run = self.measure(&options)?;
        match &options.out {
            Some(path) => run.write(path),
            None => {
                print_medians(&run);
                Ok(())
            }
        }
    }

    fn run_once(&self, options: &Options) {
        for mut group in self.suite.groups(|name| name.starts_with(&options.only)) {
            for at in 0..group.names().count() {
                group.run(at, 1);
            }
        }
    }

    fn measure(&self, options: &Options) -> Result<Run, Error> {
        let rounds = options.rounds.unwrap_or(400);
        let probe =
            options.calls.map_or_else(OverheadProbe::default, |n| OverheadProbe::default().with_calls(n));
        let mut run = Run { machine: Machine::here(), groups: Vec::new() };
        for mut group in self.suite.groups(|name| name.starts_with(&options.only)) {
            eprintln!("measuring {}", group.name());
            let mut measured = Interleave::default().with_rounds(rounds).measure(&mut group);
            for comparison in &group.probes {
                let overhead = Some((comparison.run)(&probe)?);
                let name = comparison.name.clone();
                measured.benches.push(BenchRun { name, overhead, ..BenchRun::default() });
            }
            run.groups.push(measured);
        }
        Ok(run)
    }

    /// Reads orders line by line, and answers each with one line: `groups` with the names; `open GROUP` with the benches
    /// of a group, which is built then; `run BENCH ITERATIONS` with nanoseconds; `fit BENCH NANOSECONDS` with the
    /// iterations that fill them.
    fn serve(&self, orders: impl BufRead, mut answers: impl Write) -> Result<(), Error> {
        let failed = |error| Error::new(ErrorKind::BenchFailed, "the gate hung up").caused_by(error);
        let mut open = None;
        for order in orders.lines() {
            let answer = self.obey(&order.map_err(failed)?, &mut open)?;
            writeln!(answers, "{answer}").and_then(|()| answers.flush()).map_err(failed)?;
        }
        Ok(())
    }

    fn obey(&self, order: &str, open: &mut Option<Group>) -> Result<String, Error> {
        let misunderstood = || Error::new(ErrorKind::BenchFailed, "an order was not understood");
        let words: Vec<&str> = order.split('\t').collect();
        match (words.as_slice(), open) {
            (["groups"], _) => Ok(self.suite.names().collect::<Vec<_>>().join("\t")),
            (["open", name], open) => {
                drop(open.take());
                let group =
                    open.insert(self.suite.groups(|known| known == *name).next().ok_or_else(misunderstood)?);
                Ok(group.names().collect::<Vec<_>>().join("\t"))
            }
            ([verb, bench, number], Some(group)) => {
                let at = group.names().position(|name| name == *bench).ok_or_else(misunderstood)?;
                let number = number.parse().map_err(|_| misunderstood())?;
                match *verb {
                    "run" => Ok(group.run(at, number).as_nanos().to_string()),
                    "fit" => {
                        let batch = Duration::from_nanos(number);
                        Ok(iterations(group, at, batch, Duration::from_millis(20)).to_string())
                    }
                    _ => Err(misunderstood()),
                }
            }
            _ => Err(misunderstood()),
        }
    }
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, Error> {
        let wrong = |what: &str| Error::new(ErrorKind::BenchFailed, format!("wrong argument: {what}"));
        let mut options = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| wrong(&arg));
            match arg.as_str() {
                // cargo says `--bench` where it measures.
                "--bench" | "measure" => options.measure = true,
                "serve" => options.serve = true,
                "--out" => options.out = Some(value()?.into()),
                "--only" => options.only = value()?,
                "--rounds" => options.rounds = Some(count(&value()?).ok_or_else(|| wrong(&arg))?),
                "--calls" => options.calls = Some(count(&value()?).ok_or_else(|| wrong(&arg))?),
                _ => return Err(wrong(&arg)),
            }
        }
        Ok(options)
    }
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| *count > 0)
}

fn print_medians(run: &Run) {
    for GroupRun { name: group, benches, .. } in &run.groups {
        for bench in benches.iter().filter(|bench| !bench.rounds.is_empty()) {
            let median = super::median(&mut bench.rounds.clone());
            println!("{group}/{name:<32} {median:>12.1} ns", name = bench.name);
        }
        for bench in benches {
            let Some(overhead) = &bench.overhead else { continue };
            let [p50, p99, p999] = [overhead.p50, overhead.p99, overhead.p999].map(|at| at.estimate);
            println!(
                "{group}/{name:<32} adds {p50:.0} / {p99:.0} / {p999:.0} ns (p50 / p99 / p99.9)",
                name = bench.name
            );
        }
    }
}
