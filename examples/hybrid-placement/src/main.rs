//! Three tenants, three isolation models, one handler.
//!
//! `acme` is in shared tables behind row-level security, `globex` in a schema of its own, `initech` in a database of its
//! own. `umbrella` is placed in a database that nobody configured, and is refused.
//!
//! ```text
//! cargo run -p hybrid-placement              # serves on 127.0.0.1:3000 until Ctrl-C
//! cargo run -p hybrid-placement -- --check   # asks itself over sockets and ends with 1 if an answer is not as expected
//! curl -H 'Host: acme.app.example' http://127.0.0.1:3000/notes
//! ```
//!
//! The databases are taken from where the test kit takes them: a local PostgreSQL, or a container.

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
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::schema::{Provision, SchemaName};
use tenancy_seaorm::{Placements, Policy, Tenancy, TenantConnection};
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

/// The placement map: in a service it lives in the catalog, and one tenant is moved by changing its record.
fn catalog(base: &Domain) -> Result<MemoryCatalog, tenancy_core::Error> {
    let catalog = MemoryCatalog::builder().with_base_domains([base.clone()]).build();
    let placements = [
        ("acme", Placement::Row),
        ("hooli", Placement::Row),
        ("globex", Placement::Schema { schema: "globex".into(), shard: None }),
        ("initech", Placement::Database { database: "initech".into() }),
        ("umbrella", Placement::Database { database: "umbrella".into() }),
    ];
    for (id, (slug, placement)) in (1..).zip(placements) {
        let tenant = Tenant::builder(TenantId::integer(id)?, slug.parse()?).with_placement(placement);
        catalog.insert(tenant.build()?)?;
    }
    Ok(catalog)
}

async fn connect(placements: &Placements, tenant: &TenantContext) -> Result<TenantConnection, StatusCode> {
    placements.connect(tenant).await.map_err(|error| failed(&error))
}

fn failed(error: &DbErr) -> StatusCode {
    // The error names a construct and no tenant's data.
    eprintln!("{error}");
    StatusCode::SERVICE_UNAVAILABLE
}

async fn list(
    CurrentTenant(tenant): CurrentTenant,
    State(placements): State<Placements>,
) -> Result<String, StatusCode> {
    let db = connect(&placements, &tenant).await?;
    let notes = note::Entity::find().order_by_asc(note::Column::Id).all(&db).await;
    let texts: Vec<_> = notes.map_err(|error| failed(&error))?.into_iter().map(|note| note.text).collect();
    Ok(format!("{}: [{}]", tenant.slug(), texts.join(", ")))
}

async fn add(
    CurrentTenant(tenant): CurrentTenant,
    State(placements): State<Placements>,
    text: String,
) -> Result<String, StatusCode> {
    let db = connect(&placements, &tenant).await?;
    let note = note::ActiveModel { text: Set(text), ..Default::default() };
    let note = note.insert(&db).await.map_err(|error| failed(&error))?;
    Ok(format!("{}: {}", tenant.slug(), note.text))
}

/// The databases and what leads to them.
struct Servers {
    placements: Placements,
    _databases: [TestDatabase; 2],
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

async fn prepare() -> Result<Servers, Failure> {
    let (shared, own) = (TestDatabase::create().await?, TestDatabase::create().await?);
    let owner = open(shared.owner_url()).await?;
    owner.execute_unprepared(TABLE).await?;
    let wall = RowSecurity::new(&policy()?, IdType::BigInt).with_application_role(role(shared.app_url())?);
    wall.enable(&owner).await?;
    let schema = Provision::new(SchemaName::new("globex")?).with_application_role(role(shared.app_url())?);
    schema.run(&owner, async |db| db.execute_unprepared(TABLE).await.map(drop)).await?;
    open(own.owner_url()).await?.execute_unprepared(TABLE).await?;

    let default = Tenancy::new(open(shared.app_url()).await?, policy()?)?;
    let default = default.with_row_security(IdType::BigInt).await?;
    let initech = Tenancy::new(open(own.app_url()).await?, policy()?)?;
    let placements = Placements::new(default).with_database("initech", initech);
    Ok(Servers { placements, _databases: [shared, own] })
}

fn app(placements: Placements) -> Result<Router, tenancy_core::Error> {
    let base = Domain::new("app.example")?;
    let resolver =
        Resolver::builder(Arc::new(catalog(&base)?)).with_strategy(SubdomainStrategy::new([base])).build()?;
    let router = Router::new().route("/notes", get(list).post(add)).with_state(placements);
    Ok(router.layer(ResolveTenantLayer::new(resolver)))
}

/// A host, a note to add if there is one, and what must come back.
const EXPECTED: &[(&str, &str, u16, &str)] = &[
    ("acme.app.example", "", 200, "acme: []"),
    ("acme.app.example", "first", 200, "acme: first"),
    ("globex.app.example", "", 200, "globex: []"),
    ("globex.app.example", "second", 200, "globex: second"),
    ("initech.app.example", "", 200, "initech: []"),
    ("initech.app.example", "third", 200, "initech: third"),
    ("hooli.app.example", "", 200, "hooli: []"),
    ("hooli.app.example", "fourth", 200, "hooli: fourth"),
    ("acme.app.example", "fifth", 200, "acme: fifth"),
    ("acme.app.example", "", 200, "acme: [first, fifth]"),
    ("globex.app.example", "", 200, "globex: [second]"),
    ("initech.app.example", "", 200, "initech: [third]"),
    ("hooli.app.example", "", 200, "hooli: [fourth]"),
    ("umbrella.app.example", "", 503, ""),
    ("umbrella.app.example", "lost", 503, ""),
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
    let servers = prepare().await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, app(servers.placements.clone())?);
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
