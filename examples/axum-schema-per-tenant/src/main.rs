//! A schema for each tenant on axum: made when the tenant is onboarded, and never fallen through.
//!
//! `acme` and `globex` have schemas. `initech` is on the list, but its schema was never made: it is refused, although
//! there is a table of the same name in `public`, with a row in it.
//!
//! ```text
//! cargo run -p axum-schema-per-tenant              # serves on 127.0.0.1:3000 until Ctrl-C
//! cargo run -p axum-schema-per-tenant -- --check   # asks itself over sockets, and ends with 1 if an answer is unexpected
//! curl -H 'Host: acme.app.example' http://127.0.0.1:3000/notes
//! ```
//!
//! The database is taken from where the test kit takes it: a local PostgreSQL, or a container.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr,
    EntityTrait, QueryOrder,
};
use tenancy_core::{
    Domain, MemoryCatalog, Placement, Resolver, SubdomainStrategy, Tenant, TenantContext, TenantId,
};
use tenancy_seaorm::schema::{Provision, SchemaName};
use tenancy_seaorm::{Policy, Tenancy, TenantConnection};
use tenancy_testkit::TestDatabase;
use tenancy_tower::{CurrentTenant, ResolveTenantLayer};
use tokio::net::TcpListener;

type Failure = Box<dyn Error + Send + Sync>;

/// The entity does not know its tenant column, and the handler not where its table is.
#[allow(unreachable_pub, reason = "the entity macros make public items")]
mod note {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TABLE: &str =
    "CREATE TABLE notes (tenant_id bigint NOT NULL, id serial PRIMARY KEY, text text NOT NULL)";

fn policy() -> Result<Policy, tenancy_seaorm::Error> {
    Policy::builder().owned(note::Entity).build()
}

const SLUGS: [&str; 3] = ["acme", "globex", "initech"];

/// The tenants, each with the name of its schema.
fn tenants() -> Result<Vec<Arc<Tenant>>, Failure> {
    let mut tenants = Vec::new();
    for (id, slug) in (1..).zip(SLUGS) {
        let id = TenantId::integer(id)?;
        let schema = SchemaName::for_tenant("t_", &id)?;
        let placement = Placement::Schema { schema: schema.as_str().into(), shard: None };
        tenants.push(Tenant::builder(id, slug.parse()?).with_placement(placement).build()?);
    }
    Ok(tenants)
}

async fn connect(tenancy: &Tenancy, tenant: &TenantContext) -> Result<TenantConnection, StatusCode> {
    tenancy.connect(tenant).await.map_err(|error| failed(&error))
}

fn failed(error: &DbErr) -> StatusCode {
    // The error names a construct and no tenant's data.
    eprintln!("{error}");
    StatusCode::SERVICE_UNAVAILABLE
}

async fn list(
    CurrentTenant(tenant): CurrentTenant,
    State(tenancy): State<Tenancy>,
) -> Result<String, StatusCode> {
    let db = connect(&tenancy, &tenant).await?;
    let notes = note::Entity::find().order_by_asc(note::Column::Id).all(&db).await;
    let texts: Vec<_> = notes.map_err(|error| failed(&error))?.into_iter().map(|note| note.text).collect();
    Ok(format!("{}: [{}]", tenant.slug(), texts.join(", ")))
}

async fn add(
    CurrentTenant(tenant): CurrentTenant,
    State(tenancy): State<Tenancy>,
    text: String,
) -> Result<String, StatusCode> {
    let db = connect(&tenancy, &tenant).await?;
    let note = note::ActiveModel { text: Set(text), ..Default::default() };
    let note = note.insert(&db).await.map_err(|error| failed(&error))?;
    Ok(format!("{}: {}", tenant.slug(), note.text))
}

async fn open(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).max_connections(4);
    Database::connect(options).await
}

/// The role that a URL logs in as.
fn role(url: &str) -> Result<String, Failure> {
    let user = url.split("//").nth(1).and_then(|rest| rest.split([':', '@']).next());
    Ok(user.ok_or("a URL without a user")?.to_owned())
}

/// Makes the schemas of the first two tenants, and something to fall through to.
async fn prepare(database: &TestDatabase) -> Result<Tenancy, Failure> {
    let owner = open(database.owner_url()).await?;
    owner.execute_unprepared(TABLE).await?;
    owner.execute_unprepared("INSERT INTO notes (tenant_id, text) VALUES (3, 'not in a schema')").await?;
    let application = role(database.app_url())?;
    for tenant in &tenants()?[..2] {
        let schema = SchemaName::for_tenant("t_", tenant.id())?;
        let schema = Provision::new(schema).with_application_role(&application);
        schema.run(&owner, async |db| db.execute_unprepared(TABLE).await.map(drop)).await?;
    }
    Ok(Tenancy::new(open(database.app_url()).await?, policy()?)?)
}

fn app(tenancy: Tenancy) -> Result<Router, Failure> {
    let base = Domain::new("app.example")?;
    let catalog = MemoryCatalog::builder().with_base_domains([base.clone()]).build();
    for tenant in tenants()? {
        catalog.insert(tenant)?;
    }
    let resolver =
        Resolver::builder(Arc::new(catalog)).with_strategy(SubdomainStrategy::new([base])).build()?;
    let router = Router::new().route("/notes", get(list).post(add)).with_state(tenancy);
    Ok(router.layer(ResolveTenantLayer::new(resolver)))
}

/// A host, a note to add if there is one, and what must come back.
const EXPECTED: &[(&str, &str, u16, &str)] = &[
    ("acme.app.example", "", 200, "acme: []"),
    ("acme.app.example", "first", 200, "acme: first"),
    ("globex.app.example", "", 200, "globex: []"),
    ("globex.app.example", "second", 200, "globex: second"),
    ("acme.app.example", "third", 200, "acme: third"),
    ("acme.app.example", "", 200, "acme: [first, third]"),
    ("globex.app.example", "", 200, "globex: [second]"),
    ("initech.app.example", "", 503, ""),
    ("initech.app.example", "lost", 503, ""),
    ("nobody.app.example", "", 404, "no such tenant"),
];

/// Asks everything in the table and prints it. Returns whether all is as expected.
fn check(address: SocketAddr) -> std::io::Result<bool> {
    let mut all = true;
    for (host, note, status, part) in EXPECTED {
        let method = if note.is_empty() { "GET" } else { "POST" };
        let mut stream = TcpStream::connect(address)?;
        let length = note.len();
        let head = format!("{method} /notes HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}");
        write!(stream, "{head}\r\nConnection: close\r\n\r\n{note}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let found: u16 = answer.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let ok = found == *status && answer.contains(part);
        all &= ok;
        let wrong = if ok { String::new() } else { format!("  expected {status} {part:?}:\n{answer}") };
        println!("{host:<24} {method:<5} {note:<8} {found} {part}{wrong}");
    }
    Ok(all)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let checking = std::env::args().any(|argument| argument == "--check");
    let port = if checking { 0 } else { 3000 };
    let database = TestDatabase::create().await?;
    let tenancy = prepare(&database).await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, app(tenancy)?);
    if !checking {
        println!("listening on {address}; try: curl -H 'Host: acme.app.example' http://{address}/notes");
        server.await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(server.into_future());
    let all = tokio::task::spawn_blocking(move || check(address)).await??;
    println!("{}", if all { "all as expected" } else { "NOT as expected" });
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
