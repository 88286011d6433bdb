//! What a tenant that was served and is idle leaves in memory.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};
use tenancy_seaorm::session::SessionOptions;
use tenancy_seaorm::{Tenancy, danger};

use super::schemas::{fill, schemas, tenant};
use super::{open, shared_runtime, ten};
use crate::statement::entity::item;
use crate::statement::{POSTGRES, policy};

/// Serves tenants with schemas of their own on one connection, and says what the server keeps of them.
#[derive(Debug)]
pub struct Memory {
    runtime: super::Runtime,
    tenancy: Tenancy,
    capability: danger::Capability,
}

/// Returns one, or none if [`POSTGRES`] names no database.
#[must_use]
pub fn memory() -> Option<Memory> {
    let url = std::env::var(POSTGRES).ok()?;
    let runtime = shared_runtime();
    let db = runtime.block_on(async {
        fill(&open(&url, None).await).await;
        open(&url, None).await
    });
    let (tenancy, capability) = Tenancy::with_capability(db, policy()).expect("the database can be scoped");
    let tenancy = tenancy.with_sessions(SessionOptions::default().with_kept(1));
    Some(Memory { runtime, tenancy, capability })
}

impl Memory {
    /// How many tenants there are.
    #[must_use]
    pub fn tenants(&self) -> i32 {
        schemas()
    }

    /// Serves a request of each tenant from `first` up to `end`.
    pub fn serve(&self, first: i32, end: i32) {
        self.runtime.block_on(async {
            for turn in first..end {
                let session = self.tenancy.session(&tenant(turn)).await.expect("a session");
                ten(&session, turn, None).await.expect("they run");
            }
        });
    }

    /// What the one connection's server process holds, in bytes, if the role may know (`pg_read_all_stats`). The
    /// connection is closed afterwards.
    #[must_use]
    pub fn of_the_server(&self) -> Option<f64> {
        self.runtime.block_on(async {
            let session = self.tenancy.session(&tenant(0)).await.expect("a session");
            item::Entity::find().all(&session).await.expect("they are read");
            let raw = danger::unscoped_session(&self.tenancy, &self.capability, &session, "a benchmark");
            let raw = raw.await.expect("the right capability");
            let sql = "SELECT sum(total_bytes)::float8 FROM pg_backend_memory_contexts";
            let row = raw.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
            row.ok()??.try_get_by_index(0).ok()
        })
    }

    /// Bytes for each idle tenant, by where they are; `held` says what the closure that it runs keeps in this process.
    pub fn of_each(&self, held: impl FnOnce(&mut dyn FnMut()) -> f64) -> BTreeMap<String, f64> {
        let (first, all) = (1, self.tenants());
        let each = |bytes: f64| bytes / f64::from(all - first);
        self.serve(0, first);
        let before = self.of_the_server();
        self.serve(0, first);
        let client = held(&mut || self.serve(first, all));
        let mut bytes = BTreeMap::from([("client".to_owned(), each(client))]);
        if let (Some(before), Some(after)) = (before, self.of_the_server()) {
            bytes.insert("server".to_owned(), each(after - before));
        }
        bytes
    }
}
