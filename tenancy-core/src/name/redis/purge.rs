//! Taking away what is stored for one tenant, in bounded steps.

use std::fmt;

use redis::Value;

use super::nodes::{Node, RedisNodes};
use super::{query, unavailable};
use crate::Error;

/// The removal of all names of one tenant in one namespace, with SCAN and UNLINK; made by
/// [`TenantRedis::purge`](crate::TenantRedis::purge).
///
/// Each step asks every node, or the next one, to look at about [`Purge::with_step`] names, and unlinks those of the tenant.
/// Redis serves others in between. Nothing of another tenant is touched: the pattern is escaped, and each name that
/// Redis returns is checked before it is unlinked (CACHE-03, CACHE-04).
///
/// On a cluster all masters are walked. A slot that moves to another master meanwhile may be missed; so may a name that
/// is added meanwhile. Flush first, and purge again after the cluster was resharded.
pub struct Purge<C> {
    connection: C,
    head: String,
    step: usize,
    /// The nodes that are not done, with their cursors; `None` before the first step.
    open: Option<Vec<(Node, u64)>>,
    removed: u64,
}

/// What a step of a [`Purge`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PurgeStep {
    /// There is more to look at.
    More {
        /// How many names this step unlinked.
        removed: u64,
    },
    /// Everything was looked at.
    Done {
        /// How many names all steps unlinked.
        total: u64,
    },
}

impl<C: RedisNodes> Purge<C> {
    pub(super) fn new(connection: C, head: String) -> Self {
        Self { connection, head, step: 500, open: None, removed: 0 }
    }

    /// Sets how many names a node looks at in one step (default: 500, at least 1).
    #[must_use]
    pub fn with_step(mut self, names: usize) -> Self {
        self.step = names.max(1);
        self
    }

    /// Does the next step. Call it at the pace that suits the server.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if Redis did not answer. Nothing is
    /// skipped then: the next call repeats the step.
    pub async fn step(&mut self) -> Result<PurgeStep, Error> {
        let (node, cursor) = match &self.open {
            None => (None, 0),
            Some(open) => match open.last() {
                Some((node, cursor)) => (Some(node.clone()), *cursor),
                None => return Ok(PurgeStep::Done { total: self.removed }),
            },
        };
        let pages = self.scan(node, cursor).await?;
        let mut removed = 0;
        for page in &pages {
            removed += self.unlink(&page.names).await?;
        }
        let open = self.open.get_or_insert_default();
        open.pop();
        open.extend(pages.into_iter().filter(|page| page.cursor != 0).map(|page| (page.node, page.cursor)));
        self.removed += removed;
        Ok(match open.is_empty() {
            false => PurgeStep::More { removed },
            true => PurgeStep::Done { total: self.removed },
        })
    }

    /// Does all steps, and returns how many names were unlinked.
    ///
    /// # Errors
    ///
    /// As [`Purge::step`].
    pub async fn run(mut self) -> Result<u64, Error> {
        loop {
            if let PurgeStep::Done { total } = self.step().await? {
                return Ok(total);
            }
        }
    }

    async fn scan(&self, node: Option<Node>, cursor: u64) -> Result<Vec<Page>, Error> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern(&self.head)).arg("COUNT").arg(self.step);
        let replies = self.connection.send(node, command).await.map_err(unavailable)?;
        replies.into_iter().map(|(node, reply)| Page::read(node, reply, &self.head)).collect()
    }

    async fn unlink(&self, names: &[Vec<u8>]) -> Result<u64, Error> {
        let mut removed = 0;
        for names in names.chunks(self.step) {
            let mut command = redis::cmd("UNLINK");
            command.arg(names);
            removed += query::<u64>(&mut self.connection.clone(), &command).await?;
        }
        Ok(removed)
    }
}

impl<C> fmt::Debug for Purge<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purge").field("removed", &self.removed).finish_non_exhaustive()
    }
}

/// What one SCAN returned.
struct Page {
    node: Node,
    cursor: u64,
    names: Vec<Vec<u8>>,
}

impl Page {
    fn read(node: Node, reply: Value, head: &str) -> Result<Self, Error> {
        let (cursor, mut names): (u64, Vec<Vec<u8>>) = redis::from_redis_value(reply).map_err(unavailable)?;
        names.retain(|name| is_of(name, head));
        Ok(Self { node, cursor, names })
    }
}

/// Returns whether `name` begins with `head` and goes on with parts or a generation: `tenant:1` is no head of
/// `tenant:10:x`.
fn is_of(name: &[u8], head: &str) -> bool {
    name.strip_prefix(head.as_bytes()).and_then(<[u8]>::first).is_some_and(|next| matches!(next, b':' | b'@'))
}

/// Returns the glob for all names that begin with `head`.
pub(super) fn pattern(head: &str) -> String {
    let mut pattern = String::with_capacity(head.len() + 8);
    for letter in head.chars() {
        // The encoding leaves none of these; escaping them costs nothing and holds should that ever change.
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push_str("[:@]*");
    pattern
}
