//! Guards that a test run takes away, one at a time, to see whether the tests notice.
//!
//! Nothing of this is in a build without the feature `broken-on-purpose-for-tests-only`.

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that keeps tenants apart, and that a test run can do without. Never for production.
///
/// With the variable [`Guard::VARIABLE`] set to a guard's name, that guard is off for as long as the process lives; without
/// it, all guards stand. `tenancy-testkit` runs a suite once for each guard and requires it to fail.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Guard {
    /// The layer's refusal: without it, a request that is refused is served as the first tenant that was resolved.
    Layer,
    /// The agreement rule: without it, signals that name another tenant than the strongest one are passed over.
    Agreement,
    /// The tenant in keys: without it, all tenants have the same names, and share what a `TenantCache` holds.
    Key,
    /// The filter of statements: without it, they are run as they were written.
    Filter,
    /// The policies of row-level security: without them, each passes every row.
    Policy,
    /// `FORCE ROW LEVEL SECURITY`: without it, the owner of a table passes the policies.
    Force,
}

/// A name that is none of a guard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownGuard(String);

impl fmt::Display for UnknownGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Guard::ALL.map(Guard::name).join(", ");
        write!(f, "{:?} is no guard; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownGuard {}

impl Guard {
    /// Every guard, from the request to the database.
    pub const ALL: [Self; 6] =
        [Self::Layer, Self::Agreement, Self::Key, Self::Filter, Self::Policy, Self::Force];

    /// The variable that names the guard that is off.
    pub const VARIABLE: &'static str = "TENANCY_GUARD_OFF";

    /// The variable that names a file. A line with the guard's name is added to it where the guard is missed for the first
    /// time.
    pub const MISSED: &'static str = "TENANCY_GUARD_MISSED";

    /// Returns the guard's name, as the variable spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Agreement => "agreement",
            Self::Key => "key",
            Self::Filter => "filter",
            Self::Policy => "policy",
            Self::Force => "force",
        }
    }

    /// Returns what happens where the guard is missing.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Self::Layer => "a refused request is served as the first tenant",
            Self::Agreement => "signals that contradict the strongest one are passed over",
            Self::Key => "names and cached values of all tenants are the same",
            Self::Filter => "statements run as they were written",
            Self::Policy => "each policy passes every row",
            Self::Force => "the owner of a table passes its policies",
        }
    }

    /// Returns the guard that this process does without.
    ///
    /// # Panics
    ///
    /// Panics if the variable names no guard: a run that breaks nothing must not look like one that does. Panics too in a
    /// build without debug assertions, in which all guards stand, so that the variable cannot open a service that was built
    /// with the feature by mistake.
    #[must_use]
    pub fn off() -> Option<Self> {
        static OFF: OnceLock<Option<Guard>> = OnceLock::new();
        *OFF.get_or_init(|| named(std::env::var_os(Self::VARIABLE)?, cfg!(debug_assertions)))
    }

    /// Returns whether the guard is off; asked where it would act, and then noted.
    ///
    /// # Panics
    ///
    /// As [`Guard::off`].
    #[must_use]
    pub fn is_off(self) -> bool {
        let off = Self::off() == Some(self);
        if off {
            self.note();
        }
        off
    }

    /// Says once, loudly and in the file, that the guard was missed.
    ///
    /// # Panics
    ///
    /// Panics if the file cannot be written: whoever named it waits for the line.
    pub fn note(self) {
        static NOTED: AtomicBool = AtomicBool::new(false);
        if NOTED.swap(true, Ordering::Relaxed) {
            return;
        }
        // Not `eprintln`, which a test runner captures.
        let _ = writeln!(std::io::stderr(), "tenancy: the guard `{self}` is OFF: {}", self.without());
        if let Some(path) = std::env::var_os(Self::MISSED) {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let written = file.and_then(|mut file| writeln!(file, "{self}"));
            written.unwrap_or_else(|error| panic!("{}: {error}", Self::MISSED));
        }
    }
}

/// The guard that the variable names, in a build with or without debug assertions.
fn named(name: OsString, debug: bool) -> Option<Guard> {
    if !debug {
        panic!("{}: an optimized build keeps its guards", Guard::VARIABLE);
    }
    let guard = name.to_string_lossy().parse();
    Some(guard.unwrap_or_else(|unknown| panic!("{}: {unknown}", Guard::VARIABLE)))
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Guard {
    type Err = UnknownGuard;

    fn from_str(name: &str) -> Result<Self, UnknownGuard> {
        let found = Self::ALL.into_iter().find(|guard| guard.name() == name);
        found.ok_or_else(|| UnknownGuard(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_guards_stand_where_nobody_names_one() {
        if std::env::var_os(Guard::VARIABLE).is_none() {
            assert!(Guard::off().is_none() && !Guard::ALL.into_iter().any(Guard::is_off));
        }
    }

    #[test]
    fn an_optimized_build_keeps_its_guards() {
        assert_eq!(named("layer".into(), true), Some(Guard::Layer));
        std::panic::catch_unwind(|| named("layer".into(), false)).expect_err("it is optimized");
        std::panic::catch_unwind(|| named("layers".into(), true)).expect_err("it is no guard");
    }

    #[test]
    fn a_name_is_a_guard_or_refused() {
        for guard in Guard::ALL {
            assert_eq!(guard.to_string().parse(), Ok(guard));
        }
        for name in ["", "Layer", "layer ", "everything"] {
            let refused = name.parse::<Guard>().expect_err(name);
            assert!(
                refused.to_string().ends_with("layer, agreement, key, filter, policy, force"),
                "{refused}"
            );
        }
    }
}
