//! How a tenant's statements reach the server.

use std::sync::Arc;

use sea_orm::DbBackend;
use tenancy_core::TenantContext;

use super::Tenancy;
use crate::conduit::{Link, LinkKind};
use crate::connection::TenantConnection;
use crate::plain::Plain;
use crate::rewrite::Addressing;
use crate::schema::SchemaName;
use crate::session::Between;
use crate::wire::Settings;

impl Tenancy {
    pub(super) fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    #[inline]
    pub(super) fn row_link(&self, context: &TenantContext) -> Link {
        if !self.is_postgres() {
            return Link::new(&self.rows, LinkKind::Pool);
        }
        let settings = Settings { unnamed: self.pooler, ..Settings::of(context) };
        let local = self.walled || self.pooler;
        Link::new(&self.rows, if local { LinkKind::Local(settings) } else { LinkKind::Told(settings) })
    }

    /// What has to be found out before a statement, unless there is a pooler for certain: then all of them are fit for it.
    pub(super) fn unstated(&self) -> Option<Arc<Between>> {
        self.between.clone().filter(|_| !self.pooler)
    }

    pub(super) fn untold(&self) -> Settings {
        Settings { tenant: None, schema: None, searched: true, role: None, unnamed: self.pooler }
    }

    pub(super) fn schema_connection(&self, context: &TenantContext, schema: &str) -> TenantConnection {
        let name = SchemaName::new(schema).ok().filter(|_| self.is_postgres());
        let Some(name) = name else {
            return self.pooled(context).misplaced();
        };
        let settings = self.schema_settings(context, name.clone());
        let bare = self.schemas.addressing == Addressing::Qualified && !self.pooler && !self.schemas.roles;
        let kind = if bare { LinkKind::Told(settings) } else { LinkKind::Local(settings) };
        TenantConnection::new(Link::new(&self.schemas.way, kind), context.clone()).within_schema(Some(name))
    }

    pub(super) fn schema_settings(&self, context: &TenantContext, schema: SchemaName) -> Settings {
        let role = self.schemas.roles.then(|| schema.clone());
        let searched = self.schemas.addressing == Addressing::Path;
        Settings { schema: Some(schema), searched, role, unnamed: self.pooler, ..Settings::of(context) }
    }

    /// Statements without a scope, by the way that suits what is before the server.
    pub(crate) fn plain(&self) -> Plain<Link> {
        match self.pooler {
            true => Plain::behind_transaction_pooler(self.db.clone()),
            false => Plain::to(self.db.clone()),
        }
    }
}
