//! What is measured: groups of benches that are compared with each other.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Error, Overhead, OverheadProbe};

/// One thing to measure, in as many iterations as it is asked for.
pub(super) struct Bench {
    pub(super) name: String,
    run: Box<dyn FnMut(u64) -> Duration>,
}

type ProbeRun = Box<dyn Fn(&OverheadProbe) -> Result<Overhead, Error>>;

/// One comparison of single calls.
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) run: ProbeRun,
}

/// Benches that are compared with each other, and so measured together. The first one is their baseline.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::gate::Group;
///
/// let text = "shop.acme.example";
/// let group = Group::new("copy")
///     .with_bench("borrowed", move || text.len())
///     .with_bench("owned", move || text.to_owned().len());
/// assert_eq!(group.names().collect::<Vec<_>>(), ["borrowed", "owned"]);
/// ```
#[must_use]
pub struct Group {
    pub(super) name: String,
    pub(super) benches: Vec<Bench>,
    pub(super) probes: Vec<Probe>,
}

impl Group {
    /// Returns a group without benches. Its name may contain slashes; the id of a bench is `group/bench`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), benches: Vec::new(), probes: Vec::new() }
    }

    /// Adds a bench that calls `routine` again and again.
    pub fn with_bench<T>(self, name: impl Into<String>, mut routine: impl FnMut() -> T + 'static) -> Self {
        self.with_timed_bench(name, move |iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                drop(std::hint::black_box(routine()));
            }
            start.elapsed()
        })
    }

    /// Adds a bench that is told how many iterations to run, and says how long they took.
    ///
    /// # Panics
    ///
    /// Panics if the group has a bench or comparison of this name.
    pub fn with_timed_bench(
        mut self,
        name: impl Into<String>,
        run: impl FnMut(u64) -> Duration + 'static,
    ) -> Self {
        let name = name.into();
        self.assert_new(&name);
        self.benches.push(Bench { name, run: Box::new(run) });
        self
    }

    /// Adds a comparison of single calls with and without a layer.
    ///
    /// # Panics
    ///
    /// Panics if the group has a bench or comparison of this name.
    pub fn with_probe(
        mut self,
        name: impl Into<String>,
        run: impl Fn(&OverheadProbe) -> Result<Overhead, Error> + 'static,
    ) -> Self {
        let name = name.into();
        self.assert_new(&name);
        self.probes.push(Probe { name, run: Box::new(run) });
        self
    }

    fn assert_new(&self, name: &str) {
        let known = self.names().chain(self.probes.iter().map(|probe| probe.name.as_str()));
        assert!(known.into_iter().all(|known| known != name), "a bench of this name is in the group");
    }

    /// Returns the group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the names of the benches, the baseline first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.benches.iter().map(|bench| bench.name.as_str())
    }

    /// Runs the bench at `at` for `iterations`, and returns how long they took.
    ///
    /// # Panics
    ///
    /// Panics if there is no such bench.
    pub fn run(&mut self, at: usize, iterations: u64) -> Duration {
        (self.benches[at].run)(iterations)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.name).field("benches", &self.benches.len()).finish()
    }
}

type Build = Box<dyn Fn() -> Group>;

/// All groups of a bench program. A group is built when it is measured, and dropped afterwards: one with a million
/// tenants costs the others no memory.
#[derive(Default)]
#[must_use]
pub struct Suite {
    groups: Vec<(String, Build)>,
}

impl Suite {
    /// Returns a suite without groups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a group, which `build` makes.
    ///
    /// # Panics
    ///
    /// Panics if the suite has a group of this name.
    pub fn with_group(mut self, name: impl Into<String>, build: impl Fn(Group) -> Group + 'static) -> Self {
        let name = name.into();
        assert!(self.names().all(|known| known != name), "a group of this name is in the suite");
        let empty = name.clone();
        self.groups.push((name, Box::new(move || build(Group::new(empty.clone())))));
        self
    }

    /// Adds the groups of `other`.
    ///
    /// # Panics
    ///
    /// Panics if a name stands in both.
    pub fn with_suite(mut self, other: Self) -> Self {
        for (name, build) in other.groups {
            assert!(self.names().all(|known| known != name), "a group of this name is in the suite");
            self.groups.push((name, build));
        }
        self
    }

    /// Returns the names of the groups.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|(name, _)| name.as_str())
    }

    /// Builds the groups whose names `wanted` accepts, one after the other.
    pub fn groups<'a>(&'a self, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Group> + 'a {
        self.groups.iter().filter(move |(name, _)| wanted(name)).map(|(_, build)| build())
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
