//! [`Pinned`]: a share in one [`Wire`], as a session or as a transaction on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use sea_orm::{DbErr, ExecResult, QueryResult, Statement, TransactionOptions};
use tokio::sync::{Mutex, MutexGuard};

use super::{Wire, runtime};
use crate::conduit::Rows;
use crate::error::{Error, ErrorKind};

/// A session (level 0), a transaction on one connection (level 1) or a savepoint in that (2 and more).
pub(crate) struct Pinned {
    shared: Arc<Shared>,
    level: u32,
    finished: bool,
}

struct Shared {
    wire: Mutex<Wire>,
    /// A transaction was dropped while somebody else used the connection: nothing more may run on it.
    broken: AtomicBool,
}

impl Pinned {
    pub(crate) fn new(wire: Wire, level: u32) -> Self {
        let shared = Shared { wire: Mutex::new(wire), broken: AtomicBool::new(false) };
        Self { shared: Arc::new(shared), level, finished: false }
    }

    pub(crate) async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.enter().await?.execute(statement).await
    }

    pub(crate) async fn query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.enter().await?.query_one(statement).await
    }

    pub(crate) async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.enter().await?.query_all(statement).await
    }

    /// Rows as they arrive. Nothing else runs on the connection meanwhile, and a stream that is dropped before its
    /// end leaves a connection that is closed rather than used again.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Rows<'_>, DbErr> {
        let mut wire = self.enter().await?;
        Ok(Box::pin(async_stream::try_stream! {
            wire.busy = true;
            let query = wire.query(statement);
            let mut rows = query.fetch(wire.conn());
            let result = loop {
                match rows.try_next().await {
                    Ok(Some(row)) => yield QueryResult::from(row),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(rows);
            wire.seen(&result);
            result.map_err(|error| DbErr::Query(runtime(error)))?;
        }))
    }

    pub(crate) async fn begin(&self, options: &TransactionOptions) -> Result<Self, DbErr> {
        let mut wire = self.enter().await?;
        let level = wire.begin(options, "").await?;
        Ok(Self { shared: Arc::clone(&self.shared), level, finished: false })
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbErr> {
        let mut wire = self.innermost().await?;
        let result = wire.commit().await;
        drop(wire);
        self.finished = true;
        result
    }

    pub(crate) async fn rollback(mut self) -> Result<(), DbErr> {
        let mut wire = self.innermost().await?;
        let result = wire.rollback_to(self.level - 1).await;
        drop(wire);
        self.finished = true;
        result
    }

    /// Runs `with` on the connection, which is closed afterwards instead of used again.
    pub(crate) async fn taint(&self) -> Result<(), DbErr> {
        self.enter().await?.taint();
        Ok(())
    }

    /// The connection, if a statement at this level may run now.
    async fn enter(&self) -> Result<MutexGuard<'_, Wire>, DbErr> {
        let mut wire = self.shared.wire.lock().await;
        if self.shared.broken.load(Ordering::Acquire) || wire.lost {
            let hint = "an operation on it was interrupted; take a new session";
            return Err(refused("a connection in an unknown state", hint));
        }
        wire.settle().await?;
        if wire.depth < self.level {
            return Err(refused("a transaction that is over", "begin another one"));
        }
        if self.level == 0 && wire.depth > 0 {
            let hint = "a transaction is open on it; run the statement there, or end it first";
            return Err(refused("a statement beside a transaction on one connection", hint));
        }
        Ok(wire)
    }

    async fn innermost(&self) -> Result<MutexGuard<'_, Wire>, DbErr> {
        let wire = self.enter().await?;
        if wire.depth != self.level {
            return Err(refused(
                "the end of a transaction with an open savepoint",
                "end the savepoint first",
            ));
        }
        Ok(wire)
    }
}

impl Clone for Pinned {
    /// A share in the same session; transactions are not cloned.
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), level: self.level, finished: self.level > 0 }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.level == 0 || self.finished {
            return;
        }
        match self.shared.wire.try_lock() {
            Ok(mut wire) => wire.abandon(self.level),
            Err(_) => self.shared.broken.store(true, Ordering::Release),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if *self.broken.get_mut() {
            self.wire.get_mut().lost = true;
        }
    }
}

fn refused(construct: &'static str, hint: &'static str) -> DbErr {
    Error::new(ErrorKind::Connection, construct, hint).into()
}
