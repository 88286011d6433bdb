//! A shop of several tenants whose ids overlap, on SQLite and PostgreSQL.
#![allow(unreachable_pub, reason = "the entity macros make public items, and a test binary exports nothing")]

use std::sync::Arc;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr};
use tenancy_core::{Placement, Tenant, TenantContext, TenantId};
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::{Policy, PolicyBuilder, Tenancy, TenantConnection};
use tenancy_testkit::{PoolMode, TestDatabase, TestPgBouncer};

pub mod customer {
    use sea_orm::entity::prelude::*;

    /// An entity that does not know its tenant column.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "customers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::order::Entity")]
        Orders,
    }

    impl Related<super::order::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Orders.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod order {
    use sea_orm::entity::prelude::*;

    /// An entity that has its tenant column.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub tenant_id: Option<i64>,
        pub customer_id: i32,
        pub total: i32,
        pub note: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::customer::Entity",
            from = "Column::CustomerId",
            to = "super::customer::Column::Id"
        )]
        Customer,
    }

    impl Related<super::customer::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Customer.def()
        }
    }

    impl Related<super::tag::Entity> for Entity {
        fn to() -> RelationDef {
            super::order_tag::Relation::Tag.def()
        }

        fn via() -> Option<RelationDef> {
            Some(super::order_tag::Relation::Order.def().rev())
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl Related<super::order::Entity> for Entity {
        fn to() -> RelationDef {
            super::order_tag::Relation::Order.def()
        }

        fn via() -> Option<RelationDef> {
            Some(super::order_tag::Relation::Tag.def().rev())
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod order_tag {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "order_tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub order_id: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag_id: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::order::Entity",
            from = "Column::OrderId",
            to = "super::order::Column::Id"
        )]
        Order,
        #[sea_orm(belongs_to = "super::tag::Entity", from = "Column::TagId", to = "super::tag::Column::Id")]
        Tag,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod country {
    use sea_orm::entity::prelude::*;

    /// The same for every tenant.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "countries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The tables. Ids overlap between tenants, and every key contains the tenant.
const SCHEMA: &[&str] = &[
    "CREATE TABLE customers (tenant_id BIGINT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (tenant_id, id))",
    "CREATE TABLE orders (tenant_id BIGINT NOT NULL, id INTEGER NOT NULL, customer_id INTEGER NOT NULL,
        total INTEGER NOT NULL, note TEXT, code TEXT, PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id))",
    "CREATE TABLE tags (tenant_id BIGINT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (tenant_id, id))",
    "CREATE TABLE order_tags (tenant_id BIGINT NOT NULL, order_id INTEGER NOT NULL, tag_id INTEGER NOT NULL,
        PRIMARY KEY (tenant_id, order_id, tag_id))",
    "CREATE TABLE countries (code VARCHAR(2) NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
];

/// Keys on an expression and under a condition, which forbid nothing that the primary key allows.
const KEYS: &[&str] = &[
    "CREATE UNIQUE INDEX tags_by_expression ON tags (tenant_id, (id + 0))",
    "CREATE UNIQUE INDEX tags_with_name ON tags (tenant_id, id) WHERE name <> ''",
];

/// Indexes without the tenant, by which SQLite comes upon rows before it asks whose they are.
const INDEXES: &[&str] =
    &["CREATE INDEX orders_by_note ON orders (note)", "CREATE INDEX orders_by_total ON orders (total)"];

/// The tables with tenants' rows, in an order in which they can be filled.
pub const OWNED: [&str; 4] = ["customers", "orders", "tags", "order_tags"];

/// Every row of a tenant is told apart by its texts, `a…` or `b…`; ids and amounts overlap. No code of tenant b is a
/// number, and one is no regular expression.
const ROWS: &[&str] = &[
    "INSERT INTO customers VALUES (1, 1, 'a-ann'), (1, 2, 'a-bob'), (2, 1, 'b-ann'), (2, 3, 'b-cid')",
    "INSERT INTO orders VALUES (1, 1, 1, 10, 'a-one', '5'), (1, 2, 1, 20, 'a-two', '7'), (2, 1, 1, 10, 'b-one', 'SECRET-3'),
        (2, 3, 3, 30, 'b-three', '(['), (2, 4, 1, 20, 'b-four', 'SECRET-4')",
    "INSERT INTO tags VALUES (1, 1, 'a-red'), (2, 1, 'b-red'), (2, 2, 'b-blue')",
    "INSERT INTO order_tags VALUES (1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 1, 2), (2, 3, 2)",
];

pub fn policy() -> PolicyBuilder {
    Policy::builder()
        .owned(customer::Entity)
        .owned_by(order::Entity, order::Column::TenantId)
        .owned(tag::Entity)
        .owned_table("order_tags")
        .global(country::Entity)
}

/// The context of one of the shop's tenants: `1` is a, `2` is b, `3` has no rows.
pub fn context(id: i64) -> TenantContext {
    TenantContext::assertion(tenant(id), "a test").expect("the tenant is active")
}

/// The context of a tenant with a schema of its own.
pub fn context_in(id: i64, schema: &str) -> TenantContext {
    let placement = Placement::Schema { schema: schema.into(), shard: None };
    let tenant = tenant(id).to_builder().with_placement(placement).build().expect("a tenant");
    TenantContext::assertion(tenant, "a test").expect("the tenant is active")
}

/// The role that a URL logs in as.
pub fn role(url: &str) -> String {
    let user = url.split("//").nth(1).and_then(|rest| rest.split([':', '@']).next());
    user.expect("a URL with a user").to_owned()
}

pub fn tenant(id: i64) -> Arc<Tenant> {
    let slug = format!("tenant-{id}").parse().expect("a slug");
    Tenant::builder(TenantId::integer(id).expect("an id"), slug).build().expect("a tenant")
}

/// How the shop's tenants are kept apart on PostgreSQL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Model {
    /// In shared tables, by the filter alone.
    Row,
    /// In shared tables with row-level security; each statement tells the server the tenant.
    Walled,
    /// The same in sessions.
    WalledSession,
    /// In schemas, by sessions.
    SchemaSession,
    /// In schemas; each statement tells the server the schema.
    SchemaLocal,
    /// In schemas, which each statement names.
    SchemaQualified,
    /// In shared tables, by the filter alone, through PgBouncer in transaction mode.
    PooledRow,
    /// With row-level security, through PgBouncer in transaction mode.
    PooledWalled,
    /// In schemas, through PgBouncer in transaction mode.
    PooledSchema,
}

impl Model {
    /// All but the one that the others are compared with.
    pub const OTHERS: [Self; 5] =
        [Self::Walled, Self::WalledSession, Self::SchemaSession, Self::SchemaLocal, Self::SchemaQualified];

    /// Through PgBouncer in transaction mode.
    pub const POOLED: [Self; 3] = [Self::PooledRow, Self::PooledWalled, Self::PooledSchema];

    fn walled(self) -> bool {
        matches!(self, Self::Walled | Self::WalledSession | Self::PooledWalled)
    }

    fn in_schemas(self) -> bool {
        use Model::{PooledSchema, SchemaLocal, SchemaQualified, SchemaSession};
        matches!(self, SchemaSession | SchemaLocal | SchemaQualified | PooledSchema)
    }
}

/// A database with the shop's rows, and the raw handle to it, which only a test keeps.
pub struct Shop {
    model: Model,
    pub tenancy: Tenancy,
    pub raw: DatabaseConnection,
    /// Keeps the database from being dropped.
    database: Option<TestDatabase>,
    /// Keeps what stands before it from ending.
    _pooler: Option<TestPgBouncer>,
}

impl Shop {
    pub async fn sqlite(policy: PolicyBuilder) -> Self {
        Self::of(open_sqlite().await, None, policy).await
    }

    pub async fn postgres(policy: PolicyBuilder) -> Self {
        let database = TestDatabase::create().await.expect("PostgreSQL for the test");
        Self::of(open(database.owner_url()).await, Some(database), policy).await
    }

    /// A shop on PostgreSQL whose tenants are kept apart as `model` says, and whose application has a role of its own.
    ///
    /// In schemas, each tenant's table is a part of one that raw access sees as a whole, in `public`: what fell through
    /// to it would see all tenants.
    pub async fn placed(model: Model, policy: PolicyBuilder) -> Self {
        let database = TestDatabase::create().await.expect("PostgreSQL for the test");
        if !Model::POOLED.contains(&model) {
            let url = database.app_url().to_owned();
            return Self::placed_behind(model, policy, database, &url).await;
        }
        let pooler = TestPgBouncer::start(&database, PoolMode::Transaction, 2).await.expect("PgBouncer");
        let mut shop = Self::placed_behind(model, policy, database, pooler.app_url()).await;
        shop._pooler = Some(pooler);
        shop
    }

    /// The same with another way to the database.
    pub async fn placed_behind(
        model: Model,
        policy: PolicyBuilder,
        database: TestDatabase,
        app: &str,
    ) -> Self {
        let policy = policy.build().expect("a policy");
        let raw = open(if model.walled() { database.admin_url() } else { database.owner_url() }).await;
        if model.in_schemas() {
            create_in_schemas(&raw).await.expect("the shop's tables");
        } else {
            create(&raw, "").await.expect("the shop's tables");
        }
        fill(&raw).await.expect("the shop's rows");
        raw.execute_unprepared("ANALYZE").await.expect("statistics");
        let mut tenancy = Tenancy::new(open(app).await, policy.clone()).expect("a tenancy");
        if Model::POOLED.contains(&model) {
            tenancy = tenancy.behind_transaction_pooler();
        }
        if model.walled() {
            let wall = RowSecurity::new(&policy, IdType::BigInt).with_application_role(role(app));
            wall.enable(&raw).await.expect("row-level security");
            tenancy = tenancy.with_row_security(IdType::BigInt).await.expect("the wall stands");
        }
        if model == Model::SchemaQualified {
            tenancy = tenancy.with_qualified_schemas();
        }
        Self { model, tenancy, raw, database: Some(database), _pooler: None }
    }

    pub async fn on(backend: DbBackend, policy: PolicyBuilder) -> Self {
        match backend {
            DbBackend::Postgres => Self::postgres(policy).await,
            _ => Self::sqlite(policy).await,
        }
    }

    /// A database of one tenant alone, whose tables fill in their tenant column themselves.
    pub async fn alone(backend: DbBackend, id: i64) -> Self {
        match backend {
            DbBackend::Postgres => {
                let database = TestDatabase::create().await.expect("PostgreSQL for the test");
                let raw = open(database.owner_url()).await;
                Self::alone_on(raw, Some(database), id).await
            }
            _ => Self::alone_on(open_sqlite().await, None, id).await,
        }
    }

    /// The same on an open connection.
    pub async fn alone_on(raw: DatabaseConnection, database: Option<TestDatabase>, id: i64) -> Self {
        create(&raw, &format!(" DEFAULT {id}")).await.expect("the shop's tables");
        // Alone, a tag's id is unique by itself.
        raw.execute_unprepared("CREATE UNIQUE INDEX tags_by_id ON tags (id)").await.expect("an index");
        if raw.get_database_backend() != DbBackend::MySql {
            for key in KEYS {
                let (name, alone) = (key.replace(" ON ", "_alone ON "), "tenant_id, ");
                raw.execute_unprepared(&name.replace(alone, "")).await.expect("an index");
            }
        }
        let tenancy = Tenancy::new(raw.clone(), policy().build().expect("a policy")).expect("a tenancy");
        Self { model: Model::Row, tenancy, raw, database, _pooler: None }
    }

    /// Puts the rows of one tenant back as they were.
    pub async fn keep_only(&self, id: i64) {
        for table in OWNED.iter().rev() {
            self.raw.execute_unprepared(&format!("DELETE FROM {table}")).await.expect("no rows");
        }
        let marker = format!("({id}, ");
        for statement in ROWS {
            let (head, rows) = statement.split_once(" VALUES ").expect("rows");
            let own: Vec<_> = rows
                .split("), ")
                .map(|row| row.trim().trim_end_matches(')'))
                .filter(|row| row.starts_with(&marker))
                .collect();
            if !own.is_empty() {
                let sql = format!("{head} VALUES {})", own.join("), "));
                self.raw.execute_unprepared(&sql).await.expect("the tenant's rows");
            }
        }
    }

    pub async fn of(raw: DatabaseConnection, database: Option<TestDatabase>, policy: PolicyBuilder) -> Self {
        create(&raw, "").await.expect("the shop's tables");
        fill(&raw).await.expect("the shop's rows");
        // With statistics PostgreSQL scans these small tables, and so meets foreign rows before the filter.
        if raw.get_database_backend() != DbBackend::MySql {
            raw.execute_unprepared("ANALYZE").await.expect("statistics");
        }
        let tenancy = Tenancy::new(raw.clone(), policy.build().expect("a policy")).expect("a tenancy");
        Self { model: Model::Row, tenancy, raw, database, _pooler: None }
    }

    /// The address of the database, as its owner.
    pub fn url(&self) -> &str {
        self.database().owner_url()
    }

    /// The address of the database, as the application.
    pub fn app_url(&self) -> &str {
        self.database().app_url()
    }

    pub fn database(&self) -> &TestDatabase {
        self.database.as_ref().expect("a database of PostgreSQL")
    }

    /// The address of the database, as its server's administrator.
    pub fn admin_url(&self) -> &str {
        self.database().admin_url()
    }

    /// Ends every other connection to the database, as an administrator or a crash would.
    pub async fn kill_others(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let asked = sea_orm::Statement::from_string(DbBackend::Postgres, sql);
        self.raw.query_all_raw(asked).await.expect("they are ended");
    }

    /// The total of one order, past every scope.
    pub async fn raw_total(&self, tenant: i64, id: i32) -> i32 {
        let sql = format!("SELECT total FROM orders WHERE tenant_id = {tenant} AND id = {id}");
        let asked = sea_orm::Statement::from_string(self.raw.get_database_backend(), sql);
        let row = self.raw.query_one_raw(asked).await.expect("an answer").expect("the order");
        row.try_get_by_index(0).expect("a total")
    }

    pub fn tenant(&self, id: i64) -> TenantConnection {
        self.tenancy.tenant(&self.context(id))
    }

    /// The connection that a request of the tenant gets.
    pub async fn connect(&self, id: i64) -> TenantConnection {
        self.connect_as(&self.context(id)).await
    }

    pub async fn connect_as(&self, context: &TenantContext) -> TenantConnection {
        match self.model {
            Model::WalledSession | Model::SchemaSession => {
                self.tenancy.session(context).await.expect("a session")
            }
            _ => self.tenancy.tenant(context),
        }
    }

    pub fn context(&self, id: i64) -> TenantContext {
        if self.model.in_schemas() { context_in(id, &format!("t_{id}")) } else { context(id) }
    }
}

/// A database of its own in memory, with the shop's rows, under `policy`.
pub async fn sqlite(policy: PolicyBuilder) -> Tenancy {
    Shop::sqlite(policy).await.tenancy
}

async fn open_sqlite() -> DatabaseConnection {
    open("sqlite::memory:").await
}

pub async fn open(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    let connections = if url.starts_with("sqlite") { 1 } else { 3 };
    options.max_connections(connections).sqlx_logging(false).test_before_acquire(false);
    Database::connect(options).await.expect("the database opens")
}

async fn create(db: &DatabaseConnection, default: &str) -> Result<(), DbErr> {
    for statement in SCHEMA {
        let statement =
            statement.replace("tenant_id BIGINT NOT NULL", &format!("tenant_id BIGINT NOT NULL{default}"));
        db.execute_unprepared(&statement).await?;
    }
    if db.get_database_backend() != DbBackend::MySql {
        create_keys(db).await?;
    }
    if db.get_database_backend() == DbBackend::Sqlite {
        for index in INDEXES {
            db.execute_unprepared(index).await?;
        }
    }
    db.execute_unprepared("INSERT INTO countries VALUES ('at', 'Austria'), ('de', 'Germany')").await?;
    Ok(())
}

async fn create_keys(db: &DatabaseConnection) -> Result<(), DbErr> {
    for key in KEYS {
        db.execute_unprepared(key).await?;
    }
    Ok(())
}

/// Each table as a whole in `public`, and the tenants' parts of it in schemas.
async fn create_in_schemas(db: &DatabaseConnection) -> Result<(), DbErr> {
    for statement in SCHEMA.iter().filter(|statement| statement.contains("tenant_id")) {
        db.execute_unprepared(&format!("{statement} PARTITION BY LIST (tenant_id)")).await?;
    }
    for statement in SCHEMA.iter().filter(|statement| !statement.contains("tenant_id")) {
        db.execute_unprepared(statement).await?;
    }
    db.execute_unprepared("INSERT INTO countries VALUES ('at', 'Austria'), ('de', 'Germany')").await?;
    for id in 1..=3 {
        db.execute_unprepared(&format!("CREATE SCHEMA t_{id}")).await?;
        for table in OWNED {
            let part =
                format!("CREATE TABLE t_{id}.{table} PARTITION OF public.{table} FOR VALUES IN ({id})");
            db.execute_unprepared(&part).await?;
        }
    }
    create_keys(db).await
}

/// Puts the shop's rows back as they were.
pub async fn fill(db: &DatabaseConnection) -> Result<(), DbErr> {
    for table in OWNED.iter().rev() {
        db.execute_unprepared(&format!("DELETE FROM {table}")).await?;
    }
    for statement in ROWS {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}
