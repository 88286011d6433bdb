//! The worlds and statements as proptest strategies, which shrink.

use std::sync::Arc;

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::r#gen::Draft;
use super::rng::Rng;
use super::subject::Statement;
use super::world::World;

/// Statements over one world.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use proptest::{strategy::{Strategy, ValueTree}, test_runner::TestRunner};
/// use tenancy_testkit::oracle::{Statements, World};
///
/// let world = Arc::new(World::generate(7));
/// let mut tree = Statements::over(world).new_tree(&mut TestRunner::deterministic())?;
/// let before = tree.current().sql.len();
/// while tree.simplify() {}
/// assert!(tree.current().sql.len() <= before);
/// # Ok::<(), proptest::test_runner::Reason>(())
/// ```
#[derive(Clone, Debug)]
pub struct Statements(Arc<World>);

impl Statements {
    /// Makes the strategy of statements over `world`, of any of its tenants.
    #[must_use]
    pub fn over(world: Arc<World>) -> Self {
        Self(world)
    }
}

impl Strategy for Statements {
    type Tree = StatementTree;
    type Value = Statement;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let seed = proptest::num::u64::ANY.new_tree(runner)?.current();
        Ok(StatementTree::new(Draft::generate(&self.0, Rng::new(seed))))
    }
}

/// A statement that can be cut down, clause by clause.
#[derive(Clone, Debug)]
pub struct StatementTree {
    /// The smallest that still failed.
    best: Draft,
    current: Draft,
    /// The reduction to try next.
    next: usize,
    progress: bool,
}

impl StatementTree {
    pub(crate) fn new(draft: Draft) -> Self {
        Self { best: draft.clone(), current: draft, next: 0, progress: false }
    }

    pub(crate) fn draft(&self) -> &Draft {
        &self.current
    }

    fn advance(&mut self) -> bool {
        if let Some((frag, hoisted)) = self.best.frag.reduced(self.next) {
            let ordered = self.best.ordered && !hoisted;
            self.current = Draft { frag, ordered, ..self.best.clone() };
            self.next += 1;
            return true;
        }
        if std::mem::take(&mut self.progress) {
            self.next = 0;
            return self.advance();
        }
        self.current = self.best.clone();
        false
    }
}

impl ValueTree for StatementTree {
    type Value = Statement;

    fn current(&self) -> Statement {
        Statement::of(&self.current)
    }

    /// Takes the current statement for failing, and goes on from it.
    fn simplify(&mut self) -> bool {
        if self.next > 0 {
            self.best = self.current.clone();
            self.next -= 1;
            self.progress = true;
        }
        self.advance()
    }

    /// Takes the current statement for passing, and tries another reduction of the last that failed.
    fn complicate(&mut self) -> bool {
        self.advance()
    }
}
