//! The user's own test command, as a child process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use super::{Error, ErrorKind, Guard};

/// How much of a red suite's output is shown: its end tells which tests failed.
const TAIL: usize = 4_000;

#[derive(Debug)]
pub(super) struct Suite(Command);

/// What one run of the suite came to.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) green: bool,
    /// A guard was missed: the code that it stands in was reached.
    pub(super) missed: bool,
    pub(super) failed: Vec<String>,
    pub(super) took: Duration,
}

impl Suite {
    pub(super) fn new(command: Command) -> Self {
        Self(command)
    }

    /// Runs the suite with all guards standing, which must be green.
    pub(super) fn standing(&mut self) -> Result<Duration, Error> {
        self.0.env_remove(Guard::VARIABLE).env_remove(Guard::MISSED);
        let begun = Instant::now();
        let output = self.output()?;
        if output.status.success() {
            return Ok(begun.elapsed());
        }
        let text = text(&output);
        let from = text.len().saturating_sub(TAIL);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let message = format!("the suite is red with all guards standing; it ends with\n{}", &text[from..]);
        Err(Error::new(ErrorKind::Red, message))
    }

    pub(super) fn without(&mut self, guard: Guard) -> Result<Ran, Error> {
        let note = Note::new()?;
        self.0.env(Guard::VARIABLE, guard.name()).env(Guard::MISSED, note.path());
        let begun = Instant::now();
        let output = self.output()?;
        let (green, failed) = (output.status.success(), failed(&text(&output)));
        Ok(Ran { green, missed: note.names(guard)?, failed, took: begun.elapsed() })
    }

    fn output(&mut self) -> Result<Output, Error> {
        let program = self.0.get_program().to_string_lossy().into_owned();
        let output = self.0.output().map_err(|error| {
            Error::new(ErrorKind::Command, format!("the command {program} did not start")).caused_by(error)
        })?;
        match output.status.code() {
            Some(_) => Ok(output),
            None => Err(Error::new(ErrorKind::Command, format!("the command {program} was killed"))),
        }
    }
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// The tests that failed, as libtest and nextest say it.
fn failed(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim();
        let libtest = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
        let nextest = || line.strip_prefix("FAIL [").and_then(|line| line.rsplit(' ').next());
        libtest.or_else(nextest).map(str::to_owned)
    };
    let mut names: Vec<String> = text.lines().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The file that a missed guard is noted in; removed with this value.
struct Note(PathBuf);

impl Note {
    fn new() -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tenancy-guards-{}-{number}", process::id()));
        fs::write(&path, "").map_err(|error| unusable(error, &path))?;
        Ok(Self(path))
    }

    fn path(&self) -> OsString {
        self.0.clone().into()
    }

    fn names(&self, guard: Guard) -> Result<bool, Error> {
        let text = fs::read_to_string(&self.0).map_err(|error| unusable(error, &self.0))?;
        Ok(text.lines().any(|line| line == guard.name()))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn unusable(error: std::io::Error, path: &Path) -> Error {
    Error::new(ErrorKind::File, format!("the file {} cannot be used", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::failed;

    #[test]
    fn the_tests_that_failed_are_read_from_what_runners_print() {
        let libtest = "test a::b ... ok\ntest a::c ... FAILED\n\nfailures:\n    a::c\ntest d ... ignored\n";
        assert_eq!(failed(libtest), ["a::c"]);
        let nextest =
            "    PASS [   0.1s] shop a::b\n    FAIL [   0.2s] (2/2) shop a::c\n  FAIL [ 0.2s] shop a::c\n";
        assert_eq!(failed(nextest), ["a::c"]);
    }
}
