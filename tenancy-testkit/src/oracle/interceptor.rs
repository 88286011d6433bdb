//! The rewriter of `tenancy-seaorm` as a [`Subject`].

use std::fmt;
use std::sync::Arc;

use tenancy_core::{Tenant, TenantContext, TenantId};
use tenancy_seaorm::{Dialect, Policy, PolicyBuilder, Rewriter, TenantValue};

use super::subject::{Layout, Refusal, Scope, Scoped, Statement, Subject};
use super::value::Value;
use super::world::World;

type Change = Arc<dyn Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync>;

/// The rewriter of `tenancy-seaorm`, with its default policy, on bare shared tables: no wall hides a missing filter.
#[derive(Clone, Default)]
pub struct Interceptor {
    change: Option<Change>,
}

impl fmt::Debug for Interceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptor").finish_non_exhaustive()
    }
}

impl Interceptor {
    /// Makes a subject with the default policy over a world's tables, whose unique keys all contain the tenant.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the policy before it is built.
    #[must_use]
    pub fn with_policy(
        mut self,
        change: impl Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync + 'static,
    ) -> Self {
        self.change = Some(Arc::new(change));
        self
    }

    fn rewriter(&self, world: &World) -> Rewriter {
        let mut policy = policy_of(world);
        if let Some(change) = &self.change {
            policy = change(policy);
        }
        let policy = policy.build().expect("a world names each of its tables once");
        Rewriter::new(&policy, Dialect::Postgres)
    }
}

impl Subject for Interceptor {
    fn prepare(&self, world: &World) -> Arc<dyn Scope> {
        let tenants = world.tenants().iter().map(|tenant| (tenant.clone(), value_of(tenant))).collect();
        Arc::new(Prepared { rewriter: self.rewriter(world), tenants })
    }
}

struct Prepared {
    rewriter: Rewriter,
    tenants: Vec<(TenantId, TenantValue)>,
}

impl Scope for Prepared {
    fn scope(&self, tenant: &TenantId, statement: &Statement) -> Result<Scoped, Refusal> {
        let known = self.tenants.iter().find(|(known, _)| known == tenant);
        let Some((_, tenant)) = known else {
            return Err(Refusal { construct: "an unknown tenant".to_owned() });
        };
        let (mut sql, mut values) = (statement.sql.clone(), statement.values.iter().map(bound).collect());
        let scoped = self.rewriter.rewrite_text(&mut sql, &mut values, tenant);
        scoped.map_err(|error| Refusal {
            construct: format!("{}: {}", error.kind().as_str(), error.construct()),
        })?;
        Ok(Scoped { layout: Layout::Shared, sql, values: values.into_iter().map(unbound).collect() })
    }
}

/// The policy of a world's tables.
pub(crate) fn policy_of(world: &World) -> PolicyBuilder {
    let mut policy = Policy::builder().unique_keys_include_tenant();
    for (table, column) in world.owned_tables() {
        policy = policy.tenant_column(column).owned_table(table);
    }
    for table in world.global_tables() {
        policy = policy.global_table(table);
    }
    policy
}

fn value_of(tenant: &TenantId) -> TenantValue {
    let tenant =
        Tenant::builder(tenant.clone(), "oracle".parse().expect("a slug")).build().expect("a tenant");
    TenantValue::of(&TenantContext::assertion(tenant, "the oracle's tenant").expect("an active tenant"))
}

pub(crate) fn bound(value: &Value) -> sea_orm::Value {
    match value {
        Value::Int(v) => sea_orm::Value::Int(*v),
        Value::BigInt(v) => sea_orm::Value::BigInt(*v),
        Value::Text(v) => sea_orm::Value::String(v.clone()),
        Value::Bool(v) => sea_orm::Value::Bool(*v),
    }
}

fn unbound(value: sea_orm::Value) -> Value {
    match value {
        sea_orm::Value::Int(v) => Value::Int(v),
        sea_orm::Value::BigInt(v) => Value::BigInt(v),
        sea_orm::Value::Bool(v) => Value::Bool(v),
        sea_orm::Value::String(v) => Value::Text(v),
        other => unreachable!("the rewriter adds nothing but the tenant, and not {other:?}"),
    }
}
