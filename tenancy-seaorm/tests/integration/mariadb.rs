//! A real MariaDB, started from the server's binaries in a temporary folder; skipped, with the reason, without them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ActiveValue::Set, ColumnTrait, ConnectionTrait,
    DatabaseConnection, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QueryResult,
    Statement,
};
use tenancy_core::{Tenant, TenantContext, TenantId};
use tenancy_seaorm::{Error, ErrorKind, LeakyPredicates, Policy, PolicyBuilder, Tenancy};

use crate::corpus::differences_on;
use crate::fixture::{Shop, context, customer, open, order, policy, tag};

struct Server {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    async fn start() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("tenancy-mariadb-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let data = format!("--datadir={}", folder.join("data").display());
        let options = ["--no-defaults", "--user=root", &data];
        let installed = Command::new("mariadb-install-db")
            .args(options)
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("mariadb-install-db: {error}"))?;
        if !installed.success() {
            return Err(format!("mariadb-install-db ended with {installed}"));
        }
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?.port();
        let socket = format!("--socket={}", folder.join("socket").display());
        let port_option = format!("--port={port}");
        let process = Command::new("mariadbd")
            .args(options)
            .args([
                &socket,
                &port_option,
                "--bind-address=127.0.0.1",
                "--skip-grant-tables",
                "--skip-networking=0",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mariadbd: {error}"))?;
        let server = Self { process, folder, port };
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("mariadbd did not answer within 30 seconds".to_owned())
    }

    async fn database(&self, name: &str) -> DatabaseConnection {
        let root = open(&format!("mysql://root@127.0.0.1:{}/mysql", self.port)).await;
        root.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        open(&format!("mysql://root@127.0.0.1:{}/{name}", self.port)).await
    }
}

#[tokio::test]
async fn statements_on_mariadb_see_one_tenant() {
    let server = match Server::start().await {
        Ok(server) => server,
        Err(reason) => return println!("MariaDB: skipped, {reason}"),
    };
    entities(&server).await;
    strings(&server).await;
    letters(&server).await;
    crate::catalog::mariadb::holds_its_tenants(server.database("catalog").await).await;
    let fenced = || policy().leaky_predicates(LeakyPredicates::Fence);
    let shared = Shop::of(server.database("shared").await, None, fenced()).await;
    let mut alone = Vec::new();
    for id in [1, 2, 3] {
        alone.push(Shop::alone_on(server.database(&format!("alone_{id}")).await, None, id).await);
    }
    let report = differences_on(DbBackend::MySql, &shared, &alone).await;
    // What MySQL cannot write is refused, or fails in both places alike; what is let through is the same.
    let refused = report.iter().filter(|difference| difference.contains("refused as")).count();
    assert!(refused <= 3 * alone.len(), "{refused} refusals:\n{}", report.join("\n"));
    let real: Vec<_> = report.into_iter().filter(|difference| !difference.contains("refused as")).collect();
    assert!(real.is_empty(), "{} differences:\n{}", real.len(), real.join("\n"));
}

/// The same properties as elsewhere, through entities: positional placeholders, no RETURNING on UPDATE.
async fn entities(server: &Server) {
    let shop = Shop::of(server.database("entities").await, None, policy()).await;
    let (a, b) = (shop.tenant(1), shop.tenant(2));
    let notes = async |db: &tenancy_seaorm::TenantConnection| {
        let orders = order::Entity::find()
            .filter(order::Column::Id.is_in([1, 2, 3, 4]))
            .order_by_asc(order::Column::Id);
        orders.all(db).await.expect("a list").into_iter().filter_map(|order| order.note).collect::<Vec<_>>()
    };
    assert_eq!(notes(&a).await, ["a-one", "a-two"]);
    assert_eq!(notes(&b).await, ["b-one", "b-three", "b-four"]);
    let joined = order::Entity::find().find_also_related(customer::Entity).all(&a).await.expect("a join");
    assert!(joined.iter().all(|(_, customer)| customer.as_ref().is_some_and(|c| c.name.starts_with("a-"))));
    let tags = order::Entity::find().find_with_related(tag::Entity).all(&a).await.expect("a junction");
    assert!(tags.iter().flat_map(|(_, tags)| tags).all(|tag| tag.name == "a-red"));
    let fresh = |tenant_id| order::ActiveModel {
        id: Set(9),
        tenant_id,
        customer_id: Set(1),
        total: Set(1),
        note: Set(Some("a-new".to_owned())),
    };
    let foreign = fresh(Set(Some(2))).insert(&a).await.expect_err("a foreign row");
    assert_eq!(Error::of(&foreign).map(Error::kind), Some(ErrorKind::ForeignTenant));
    order::Entity::insert(fresh(NotSet)).exec_without_returning(&a).await.expect("a stamped row");
    assert_eq!(order::Entity::find().count(&a).await.expect("a count"), 3);
    assert_eq!(order::Entity::find().count(&b).await.expect("a count"), 3);
    let update = order::Entity::update_many().col_expr(order::Column::Total, 7.into());
    assert_eq!(update.exec(&a).await.expect("an update").rows_affected, 3);
    assert_eq!(order::Entity::delete_by_id(3).exec(&a).await.expect("a delete").rows_affected, 0);
    let upsert = "INSERT INTO tags (id, name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'x'";
    let refused = a.execute_unprepared(upsert).await.expect_err("an upsert on a key that may be shared");
    assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::ConflictTarget));
    // The server runs what stands in such a comment.
    for hidden in [
        "SELECT 1 /*! UNION SELECT total FROM orders */",
        "SELECT 1 /*!UNION SELECT total FROM orders*/",
        "SELECT 1 /*!99999+ 1*/",
        "SELECT 1 /*M! + 1 */",
        "UPDATE orders SET tenant_\u{130}d = 2",
        "SELECT @a := 1",
        "SELECT @@version",
    ] {
        assert!(
            a.execute_unprepared(hidden).await.is_err_and(|error| Error::of(&error).is_some()),
            "{hidden}"
        );
    }
}

/// A server may end strings elsewhere than the rewriter: what stands behind one is code to it, or a comment.
async fn strings(server: &Server) {
    let shop = Shop::of(server.database("strings").await, None, policy()).await;
    let root = server.database("other_mode").await;
    root.execute_unprepared("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'").await.expect("a mode");
    let raw = open(&format!("mysql://root@127.0.0.1:{}/strings", server.port)).await;
    root.execute_unprepared("SET GLOBAL sql_mode = DEFAULT").await.expect("a mode");
    let select = |sql: &str| Statement::from_string(DbBackend::MySql, sql);
    let cut = r"SELECT 'x\' AS x FROM orders -- ' AS y FROM orders";
    let seen = raw.query_all_raw(select(cut)).await.expect("it is sound to such a server").len();
    assert!(seen > 3, "the server reads another statement than it seems to be: {seen} rows");
    let a = Tenancy::new(raw, policy().build().expect("a policy")).expect("a tenancy").tenant(&context(1));
    let refused = a.query_all_raw(select(cut)).await.expect_err("a string that ends elsewhere");
    assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::Unparsable));
    let whole = r"SELECT 'x\\' AS x, 'it''s' AS y FROM orders";
    assert_eq!(a.query_all_raw(select(whole)).await.expect("it is the same in both modes").len(), 2);
    drop(shop);
}

/// CORE-06: to the usual collations `Acme` is `acme`. Such ids are refused, unless the column is said to be binary.
async fn letters(server: &Server) {
    let db = server.database("letters").await;
    for (table, collation) in [("notes", ""), ("exact", "COLLATE ascii_bin")] {
        let column = format!("tenant_id varchar(64) CHARACTER SET ascii {collation}");
        let create = format!("CREATE TABLE {table} ({column}, body varchar(9))");
        db.execute_unprepared(&create).await.expect("a table");
        let rows = format!("INSERT INTO {table} VALUES ('acme', 'small'), ('Acme', 'capital')");
        db.execute_unprepared(&rows).await.expect("rows");
    }
    let tenant = |id: &str| {
        let id = TenantId::text(id).expect("an id");
        let tenant = Tenant::builder(id, "acme".parse().expect("a slug")).build().expect("a tenant");
        TenantContext::assertion(tenant, "test").expect("it is active")
    };
    let bodies = async |policy: PolicyBuilder, id: &str, table: &str| {
        let policy = policy.owned_table("notes").owned_table("exact").build().expect("a policy");
        let db = Tenancy::new(db.clone(), policy).expect("a tenancy").tenant(&tenant(id));
        let select = Statement::from_string(DbBackend::MySql, format!("SELECT body FROM {table}"));
        let rows = db.query_all_raw(select).await?;
        let body = |row: &QueryResult| row.try_get::<String>("", "body").expect("a body");
        Ok::<_, DbErr>(rows.iter().map(body).collect::<Vec<_>>())
    };
    let binary = || Policy::builder().tenant_column_is_binary();
    // What is refused below: the filter alone gives one tenant the other's row.
    assert_eq!(bodies(binary(), "Acme", "notes").await.expect("both rows").len(), 2);
    for table in ["notes", "exact"] {
        let refused = bodies(Policy::builder(), "Acme", table).await.expect_err("a capital letter");
        assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::Policy));
    }
    assert_eq!(bodies(Policy::builder(), "acme", "exact").await.expect("its row"), ["small"]);
    assert_eq!(bodies(binary(), "Acme", "exact").await.expect("its row"), ["capital"]);
    assert_eq!(bodies(binary(), "acme", "exact").await.expect("its row"), ["small"]);
}
